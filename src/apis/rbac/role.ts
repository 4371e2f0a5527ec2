import { type TSchema, Type } from 'typebox'
import type { ApiObject, ClusterMeta, Kind } from '../meta/object.ts'
import { loose, type Of, objectSchema } from '../meta/schema.ts'

export const rbacGroup = 'rbac.authorization.k8s.io'

const strings = Type.Optional(Type.Array(Type.String()))
const ruleSchema = Type.Object({
  verbs: Type.Array(Type.String()),
  apiGroups: strings,
  resources: strings,
  resourceNames: strings,
  nonResourceURLs: strings,
})
const rules = Type.Optional(Type.Unsafe<Rule[] | null>({ type: 'array', nullable: true, items: ruleSchema }))

/** Verbs on resources, or on paths that are no resources. An empty list of names means all. */
export type Rule = Of<typeof ruleSchema>

/** Rights in a namespace. */
export type Role = ApiObject & Readonly<{ rules?: readonly Rule[] | null }>

const requirementSchema = Type.Object({
  key: Type.String(),
  operator: Type.String(),
  values: strings,
})
const selectorSchema = Type.Object({
  matchLabels: Type.Optional(loose()),
  matchExpressions: Type.Optional(Type.Array(requirementSchema)),
})
/** Labels of other roles. */
export type LabelSelector = Readonly<{
  matchLabels?: Readonly<Record<string, string>>
  matchExpressions?: Of<typeof requirementSchema>[]
}>
/** Rights in the whole cluster. With an aggregation rule, the rules are those of all selected roles. */
export type ClusterRole = Role &
  Readonly<{
    metadata: ClusterMeta
    aggregationRule?: Readonly<{ clusterRoleSelectors?: readonly LabelSelector[] }>
  }>

const shared = {
  group: rbacGroup,
  version: 'v1',
  shortNames: [],
  categories: [],
  status: false,
  names: 'segment',
  // Unlike the columns of other kinds, these show the time itself and not the age.
  columns: [{ name: 'Created At', type: 'string', path: 'metadata.creationTimestamp' }],
} as const satisfies Partial<Kind>

export const Role: Kind<Role> = {
  ...shared,
  kind: 'Role',
  plural: 'roles',
  singular: 'role',
  namespaced: true,
  schema: objectSchema({ rules }, 'What may be done in a namespace.'),
}

const aggregationRule: TSchema = Type.Object({ clusterRoleSelectors: Type.Optional(Type.Array(selectorSchema)) })

export const ClusterRole: Kind<ClusterRole> = {
  ...shared,
  kind: 'ClusterRole',
  plural: 'clusterroles',
  singular: 'clusterrole',
  namespaced: false,
  schema: objectSchema({ rules, aggregationRule: Type.Optional(aggregationRule) }, 'What may be done anywhere.'),
}
