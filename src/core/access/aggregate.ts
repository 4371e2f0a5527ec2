import type { ClusterRole, LabelSelector, Rule } from '#apis/rbac/role.ts'
import { sameJson } from '#base/json.ts'

/** The rules an aggregating role should have: those of all other roles it selects, each once, in order of role names. */
export function aggregatedRules(role: ClusterRole, all: readonly ClusterRole[]): readonly Rule[] {
  const selectors = role.aggregationRule?.clusterRoleSelectors ?? []
  const chosen = all
    .filter((one) => one.metadata.name !== role.metadata.name)
    .filter((one) => selectors.some((selector) => isSelected(selector, one.metadata.labels ?? {})))
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
  const rules: Rule[] = []
  for (const rule of chosen.flatMap((one) => one.rules ?? []))
    if (!rules.some((known) => sameJson(known, rule))) rules.push(rule)
  return rules
}

function isSelected(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  const { matchLabels = {}, matchExpressions = [] } = selector
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = labels[key]
      if (operator === 'Exists') return value !== undefined
      if (operator === 'DoesNotExist') return value === undefined
      if (operator === 'In') return value !== undefined && values.includes(value)
      return operator === 'NotIn' && (value === undefined || !values.includes(value))
    })
  )
}
