/** A rule of a SelfSubjectRulesReview. */
export type Rule = Readonly<{
  verbs?: readonly string[]
  apiGroups?: readonly string[]
  resources?: readonly string[]
  resourceNames?: readonly string[]
}>

/** Something that a user may or may not do; `resource` may have a subresource. */
export type Need = Readonly<{ verb: string; group: string; resource: string }>

const kubevirt = 'kubevirt.io'
const subresources = 'subresources.kubevirt.io'

/** What each act needs. */
export const needs = {
  wire: { verb: 'patch', group: kubevirt, resource: 'virtualmachines' },
  create: { verb: 'create', group: kubevirt, resource: 'virtualmachines' },
  update: { verb: 'update', group: kubevirt, resource: 'virtualmachines' },
  start: { verb: 'update', group: subresources, resource: 'virtualmachines/start' },
  stop: { verb: 'update', group: subresources, resource: 'virtualmachines/stop' },
  restart: { verb: 'update', group: subresources, resource: 'virtualmachines/restart' },
  pause: { verb: 'update', group: subresources, resource: 'virtualmachineinstances/pause' },
  unpause: { verb: 'update', group: subresources, resource: 'virtualmachineinstances/unpause' },
  migrate: { verb: 'update', group: subresources, resource: 'virtualmachines/migrate' },
  console: { verb: 'get', group: subresources, resource: 'virtualmachineinstances/console' },
  screen: { verb: 'get', group: subresources, resource: 'virtualmachineinstances/vnc' },
  traffic: { verb: 'get', group: subresources, resource: 'virtualmachineinstances/traffic' },
} as const satisfies Readonly<Record<string, Need>>

export type Act = keyof typeof needs

/** Whether rules allow something to an object of that name. */
export function allows(rules: readonly Rule[], { verb, group, resource }: Need, name: string): boolean {
  const has = (list: readonly string[] | undefined, ...any: readonly string[]) =>
    any.some((one) => list?.includes(one)) || (list?.includes('*') ?? false)
  const sub = resource.split('/')[1]
  return rules.some(
    (rule) =>
      has(rule.verbs, verb) &&
      has(rule.apiGroups, group) &&
      has(rule.resources, resource, ...(sub ? [`*/${sub}`] : [])) &&
      (!rule.resourceNames?.length || rule.resourceNames.includes(name)),
  )
}

/** A permission in words that an administrator can act on: `patch virtualmachines.kubevirt.io in namespace default`. */
export function needText({ verb, group, resource }: Need, namespace: string): string {
  const [plural, sub] = resource.split('/')
  return `${verb} ${plural}.${group}${sub ? `/${sub}` : ''} in namespace ${namespace}`
}
