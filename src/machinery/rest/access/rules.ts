import { Fault } from '#base/fault.ts'

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
      /** The selectors of a list or watch, as sent. */
      fieldSelector?: string
      labelSelector?: string
    }>
  | Readonly<{ verb: string; path: string }>

/** Whether a rule allows something. */
export function isAllowedBy(rule: Rule, wanted: Attributes): boolean {
  const { verbs, apiGroups, resources, resourceNames, urls } = setsOf(rule)
  if (!hasOrAll(verbs, wanted.verb)) return false
  if ('path' in wanted) return urls.some((url) => coversPath(url, wanted.path))
  const { group, resource, subresource, name = '' } = wanted
  return (
    hasOrAll(apiGroups, group) &&
    coversResource(resources, resource, subresource) &&
    (resourceNames.size === 0 || resourceNames.has(name))
  )
}

/** Most missing rules that are searched: more would not be read. */
const maxMissing = 10
/** Most comparisons of rules for one answer: lists of many verbs, groups, resources and names multiply. */
const maxComparisons = 2_000_000

/**
 * The rules of `wanted` that `owned` does not cover, in the smallest pieces, at most ten. Each field of a rule leaves fewer
 * owned rules to compare with the next one. @throws Fault TooLarge when that takes too long nevertheless
 */
export function missingRules(owned: readonly Rule[], wanted: readonly Rule[]): Rule[] {
  const missing: Rule[] = []
  const sets = owned.map(setsOf)
  const budget = { left: maxComparisons }
  for (const rule of wanted)
    for (const piece of uncovered(sets, rule, budget)) {
      missing.push(piece)
      if (missing.length === maxMissing) return missing
    }
  return missing
}

type Budget = { left: number }
type Sets = Readonly<Record<'verbs' | 'apiGroups' | 'resources' | 'resourceNames', ReadonlySet<string>>> &
  Readonly<{ urls: readonly string[] }>

const setsOfRules = new WeakMap<Rule, Sets>()

/** The lists of a rule as sets; made once, as every request is checked against the rules of roles. */
function setsOf(rule: Rule): Sets {
  const known = setsOfRules.get(rule)
  if (known) return known
  const sets = {
    verbs: new Set(rule.verbs),
    apiGroups: new Set(rule.apiGroups),
    resources: new Set(rule.resources),
    resourceNames: new Set(rule.resourceNames),
    urls: rule.nonResourceURLs ?? [],
  }
  setsOfRules.set(rule, sets)
  return sets
}

function* uncovered(owned: readonly Sets[], rule: Rule, budget: Budget): Generator<Rule> {
  for (const verb of new Set(rule.verbs)) {
    const byVerb = those(owned, ({ verbs }) => hasOrAll(verbs, verb), budget)
    for (const url of rule.nonResourceURLs ?? [])
      if (!those(byVerb, ({ urls }) => urls.some((own) => coversPath(own, url)), budget).length)
        yield { verbs: [verb], nonResourceURLs: [url] }
    for (const group of new Set(rule.apiGroups)) {
      const byGroup = those(byVerb, ({ apiGroups }) => hasOrAll(apiGroups, group), budget)
      for (const full of new Set(rule.resources)) {
        const [resource = '', subresource] = splitOnce(full)
        const left = those(byGroup, ({ resources }) => coversResource(resources, resource, subresource), budget)
        if (left.some(({ resourceNames }) => !resourceNames.size)) continue
        const what = { verbs: [verb], apiGroups: [group], resources: [full] }
        if (!rule.resourceNames?.length) yield what
        for (const name of rule.resourceNames ?? [])
          if (!those(left, ({ resourceNames }) => resourceNames.has(name), budget).length)
            yield { ...what, resourceNames: [name] }
      }
    }
  }
}

function those(rules: readonly Sets[], isMeant: (rule: Sets) => boolean, budget: Budget): Sets[] {
  budget.left -= rules.length + 1
  if (budget.left < 0)
    throw new Fault('TooLarge', 'the rules are too many to be compared with those of their author; write fewer at once')
  return rules.filter(isMeant)
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

function hasOrAll(list: ReadonlySet<string>, one: string): boolean {
  return list.has('*') || list.has(one)
}

// A star alone is every resource with its subresources; a star before `/status` is that subresource of all.
function coversResource(resources: ReadonlySet<string>, resource: string, subresource: string | undefined): boolean {
  const full = subresource ? `${resource}/${subresource}` : resource
  return hasOrAll(resources, full) || (subresource !== undefined && resources.has(`*/${subresource}`))
}

function coversPath(url: string, path: string): boolean {
  if (url === '*' || url === path) return true
  return url.endsWith('*') && path.startsWith(url.slice(0, -1))
}

function splitOnce(resource: string): string[] {
  const at = resource.indexOf('/')
  return at < 0 ? [resource] : [resource.slice(0, at), resource.slice(at + 1)]
}
