import type { Rule } from '#apis/rbac/role.ts'

/** Verbs of rules, by what they are for. */
export const read = ['get', 'list', 'watch'] as const
export const change = ['create', 'delete', 'deletecollection', 'patch', 'update'] as const
export const full = [...read, ...change]

/** A rule over resources of one API group. */
export function rule(apiGroup: string, resources: readonly string[], verbs: readonly string[]): Rule {
  return { apiGroups: [apiGroup], resources: [...resources], verbs: [...verbs] }
}
