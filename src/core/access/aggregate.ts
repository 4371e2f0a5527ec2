import { isSelected, type Requirement } from '#apis/meta/selector.ts'
import type { ClusterRole, LabelSelector, Rule } from '#apis/rbac/role.ts'

/** The rules an aggregating role should have: those of all other roles it selects, each once, in order of role names. */
export function aggregatedRules(role: ClusterRole, all: readonly ClusterRole[]): readonly Rule[] {
  const selectors = (role.aggregationRule?.clusterRoleSelectors ?? []).map(requirementsOf)
  const chosen = all
    .filter((one) => one.metadata.name !== role.metadata.name)
    .filter((one) => selectors.some((selector) => isSelected(selector, one.metadata.labels ?? {})))
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
  const rules = new Map<string, Rule>()
  for (const rule of chosen.flatMap((one) => one.rules ?? [])) {
    const { verbs, apiGroups, resources, resourceNames, nonResourceURLs } = rule
    const key = JSON.stringify([verbs, apiGroups, resources, resourceNames, nonResourceURLs])
    if (!rules.has(key)) rules.set(key, rule)
  }
  return [...rules.values()]
}

/** An operator that does not exist selects nothing. */
function requirementsOf({ matchLabels = {}, matchExpressions = [] }: LabelSelector): Requirement[] {
  return [
    ...Object.entries(matchLabels).map(([key, value]) => ({ key, operator: 'In' as const, values: new Set([value]) })),
    ...matchExpressions.map(({ key, operator, values = [] }): Requirement => {
      const isKnown = operator === 'In' || operator === 'NotIn' || operator === 'Exists' || operator === 'DoesNotExist'
      return isKnown ? { key, operator, values: new Set(values) } : { key, operator: 'In', values: new Set() }
    }),
  ]
}
