import type { FieldError } from '#apis/meta/object.ts'
import type { RoleBinding, Subject } from '#apis/rbac/binding.ts'
import { type Role, type Rule, rbacGroup } from '#apis/rbac/role.ts'
import { isObject } from '#base/json.ts'

/** Most rules of one role. */
const maxRules = 1000
/**
 * Most combinations of verbs and resources in one rule: when it is granted, each may have to be compared with the rights of its
 * author.
 */
const maxPieces = 10_000

function piecesOf({ verbs, apiGroups = [], resources = [], resourceNames = [], nonResourceURLs = [] }: Rule): number {
  const resourced = apiGroups.length * resources.length * Math.max(1, resourceNames.length)
  return verbs.length * (nonResourceURLs.length + resourced)
}

/** Everything wrong with the rules of a Role or ClusterRole. */
export function roleErrors(role: Role): FieldError[] {
  const isNamespaced = Boolean(role.metadata.namespace)
  const rules = role.rules ?? []
  if (rules.length > maxRules)
    return [wrong('rules', `Too many: ${rules.length}: must have at most ${maxRules} items; write several roles`)]
  return rules.flatMap((rule, i) => {
    const at = (field: string) => `rules[${i}].${field}`
    const { verbs, apiGroups = [], resources = [], resourceNames = [], nonResourceURLs = [] } = rule
    const errors: FieldError[] = []
    const count = piecesOf(rule)
    if (count > maxPieces)
      return [
        wrong(
          `rules[${i}]`,
          `${count} combinations of verbs, apiGroups, resources and resourceNames: must be at most ${maxPieces}; write several rules`,
        ),
      ]
    if (!verbs.length) errors.push(required(at('verbs'), 'verbs must contain at least one value'))
    if (nonResourceURLs.length) {
      const shown = `[]string{${nonResourceURLs.map((url) => JSON.stringify(url)).join(', ')}}`
      if (isNamespaced)
        errors.push(wrong(at('nonResourceURLs'), `${shown}: namespaced rules cannot apply to non-resource URLs`))
      if (apiGroups.length || resources.length || resourceNames.length)
        errors.push(
          wrong(at('nonResourceURLs'), `${shown}: rules cannot apply to both regular resources and non-resource URLs`),
        )
      return errors
    }
    if (!apiGroups.length) errors.push(required(at('apiGroups'), 'resource rules must supply at least one api group'))
    if (!resources.length) errors.push(required(at('resources'), 'resource rules must supply at least one resource'))
    return errors
  })
}

/** Names the API groups that a binding left out. */
export function bindingWithDefaults<T extends RoleBinding>(binding: T): T {
  // Validation reports what does not fit the schema.
  if (!isObject(binding.roleRef) || !(binding.subjects === undefined || Array.isArray(binding.subjects))) return binding
  const subjects = binding.subjects?.map((subject: Subject) => {
    const isPerson = subject?.kind === 'User' || subject?.kind === 'Group'
    return isPerson && !subject.apiGroup ? { ...subject, apiGroup: rbacGroup } : subject
  })
  const roleRef = { ...binding.roleRef, apiGroup: binding.roleRef.apiGroup || rbacGroup }
  return { ...binding, roleRef, ...(subjects && { subjects }) }
}

/** Everything wrong with a RoleBinding or ClusterRoleBinding. */
export function bindingErrors(binding: RoleBinding, old: RoleBinding | undefined): FieldError[] {
  const { roleRef, subjects = [], metadata } = binding
  const kinds = metadata.namespace ? ['Role', 'ClusterRole'] : ['ClusterRole']
  const errors: FieldError[] = []
  if (roleRef.apiGroup !== rbacGroup) errors.push(unsupported('roleRef.apiGroup', roleRef.apiGroup ?? '', [rbacGroup]))
  if (!kinds.includes(roleRef.kind)) errors.push(unsupported('roleRef.kind', roleRef.kind, kinds))
  if (!roleRef.name) errors.push(required('roleRef.name', ''))
  if (old && JSON.stringify(ordered(old)) !== JSON.stringify(ordered(binding))) {
    const { apiGroup, kind, name } = roleRef
    errors.push(
      wrong(
        'roleRef',
        `rbac.RoleRef{APIGroup:${JSON.stringify(apiGroup)}, Kind:${JSON.stringify(kind)}, Name:${JSON.stringify(name)}}: cannot change roleRef`,
      ),
    )
  }
  return [...errors, ...subjects.flatMap((subject, i) => subjectErrors(subject, i))]
}

const ordered = ({ roleRef }: RoleBinding) => [roleRef.apiGroup, roleRef.kind, roleRef.name]

function subjectErrors({ kind, apiGroup = '', name, namespace }: Subject, i: number): FieldError[] {
  const at = (field: string) => `subjects[${i}].${field}`
  const errors: FieldError[] = name ? [] : [required(at('name'), '')]
  const groups: Readonly<Record<string, string>> = { ServiceAccount: '', User: rbacGroup, Group: rbacGroup }
  const group = groups[kind]
  if (group === undefined) errors.push(unsupported(at('kind'), kind, Object.keys(groups)))
  else if (apiGroup !== group) errors.push(unsupported(at('apiGroup'), apiGroup, [group]))
  if (kind === 'ServiceAccount' && !namespace) errors.push(required(at('namespace'), ''))
  return errors
}

function required(field: string, why: string): FieldError {
  return { field, message: why ? `Required value: ${why}` : 'Required value', reason: 'FieldValueRequired' }
}

function wrong(field: string, why: string): FieldError {
  return { field, message: `Invalid value: ${why}`, reason: 'FieldValueInvalid' }
}

function unsupported(field: string, value: string, supported: readonly string[]): FieldError {
  const list = supported.map((one) => `"${one}"`).join(', ')
  return {
    field,
    message: `Unsupported value: "${value}": supported values: ${list}`,
    reason: 'FieldValueNotSupported',
  }
}
