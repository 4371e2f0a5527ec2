/** Which verbs on which resources (or paths that are none): a PolicyRule of Kubernetes. */
export type Rule = Readonly<{
  verbs: readonly string[]
  apiGroups?: readonly string[]
  resources?: readonly string[]
  resourceNames?: readonly string[]
  nonResourceURLs?: readonly string[]
}>

/** What a request wants to do. */
export type Attributes =
  | Readonly<{
      verb: string
      group: string
      resource: string
      subresource?: string
      namespace?: string
      name?: string
      /** What a list or watch is narrowed down to, as it was asked for. */
      fieldSelector?: string
      labelSelector?: string
    }>
  | Readonly<{ verb: string; path: string }>

/** Whether a rule allows something. */
export function isAllowedBy(rule: Rule, wanted: Attributes): boolean {
  if (!hasOrAll(rule.verbs, wanted.verb)) return false
  if ('path' in wanted) return (rule.nonResourceURLs ?? []).some((url) => coversPath(url, wanted.path))
  const { group, resource, subresource, name = '' } = wanted
  const names = rule.resourceNames ?? []
  return (
    hasOrAll(rule.apiGroups ?? [], group) &&
    coversResource(rule.resources ?? [], resource, subresource) &&
    (names.length === 0 || names.includes(name))
  )
}

/** What of `wanted` the rules of `owned` do not give, in the smallest pieces. */
export function missingRules(owned: readonly Rule[], wanted: readonly Rule[]): Rule[] {
  return wanted.flatMap(pieces).filter((piece) => !owned.some((rule) => coversPiece(rule, piece)))
}

/** Rules for readers: pieces that differ only in their verb are one. */
export function compactRules(rules: readonly Rule[]): Rule[] {
  const byKey = new Map<string, Rule>()
  for (const { verbs, ...what } of rules) {
    const key = JSON.stringify(what)
    const before = byKey.get(key)
    byKey.set(key, { ...what, verbs: [...new Set([...(before?.verbs ?? []), ...verbs])] })
  }
  return [...byKey.values()]
}

/** A rule as Kubernetes prints it: `{APIGroups:["apps"], Resources:["deployments"], Verbs:["get" "list"]}`. */
export function ruleText(rule: Rule): string {
  const parts: readonly (readonly [string, readonly string[] | undefined])[] = [
    ['APIGroups', rule.apiGroups],
    ['Resources', rule.resources],
    ['NonResourceURLs', rule.nonResourceURLs],
    ['ResourceNames', rule.resourceNames],
    ['Verbs', rule.verbs],
  ]
  return `{${parts.flatMap(([name, list]) => (list?.length ? [`${name}:${listText(list)}`] : [])).join(', ')}}`
}

/** A list as Go prints it: `["a" "b"]`. */
export function listText(list: readonly string[]): string {
  return `[${list.map((one) => JSON.stringify(one)).join(' ')}]`
}

function hasOrAll(list: readonly string[], one: string): boolean {
  return list.includes('*') || list.includes(one)
}

// A star alone is every resource with its subresources; a star before `/status` is that subresource of all.
function coversResource(resources: readonly string[], resource: string, subresource: string | undefined): boolean {
  const full = subresource ? `${resource}/${subresource}` : resource
  return hasOrAll(resources, full) || (subresource !== undefined && resources.includes(`*/${subresource}`))
}

function coversPath(url: string, path: string): boolean {
  if (url === '*' || url === path) return true
  return url.endsWith('*') && path.startsWith(url.slice(0, -1))
}

function coversPiece(rule: Rule, piece: Rule): boolean {
  if (!hasOrAll(rule.verbs, piece.verbs[0]!)) return false
  const [url] = piece.nonResourceURLs ?? []
  if (url !== undefined) return (rule.nonResourceURLs ?? []).some((own) => coversPath(own, url))
  const [resource = '', subresource] = splitOnce(piece.resources?.[0] ?? '')
  const names = rule.resourceNames ?? []
  const [name] = piece.resourceNames ?? []
  return (
    hasOrAll(rule.apiGroups ?? [], piece.apiGroups?.[0] ?? '') &&
    coversResource(rule.resources ?? [], resource, subresource) &&
    (names.length === 0 || (name !== undefined && names.includes(name)))
  )
}

function splitOnce(resource: string): string[] {
  const at = resource.indexOf('/')
  return at < 0 ? [resource] : [resource.slice(0, at), resource.slice(at + 1)]
}

/** Rules of one verb, group, resource and name each. */
function pieces(rule: Rule): Rule[] {
  return rule.verbs.flatMap((verb): Rule[] => [
    ...(rule.nonResourceURLs ?? []).map((url) => ({ verbs: [verb], nonResourceURLs: [url] })),
    ...(rule.apiGroups ?? []).flatMap((group) =>
      (rule.resources ?? []).flatMap((resource): Rule[] => {
        const what = { verbs: [verb], apiGroups: [group], resources: [resource] }
        if (!rule.resourceNames?.length) return [what]
        return rule.resourceNames.map((name) => ({ ...what, resourceNames: [name] }))
      }),
    ),
  ])
}
