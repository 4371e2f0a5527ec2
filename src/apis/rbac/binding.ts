import { Type } from 'typebox'
import type { JsonObject } from '#base/json.ts'
import type { ApiObject, ClusterMeta, Column, Kind } from '../meta/object.ts'
import { type Of, objectSchema } from '../meta/schema.ts'
import { rbacGroup } from './role.ts'

const subjectSchema = Type.Object({
  kind: Type.String(),
  apiGroup: Type.Optional(Type.String()),
  name: Type.String(),
  namespace: Type.Optional(Type.String()),
})
const roleRefSchema = Type.Object({ apiGroup: Type.Optional(Type.String()), kind: Type.String(), name: Type.String() })

const bindingFields = {
  subjects: Type.Optional(Type.Array(subjectSchema)),
  roleRef: roleRefSchema,
}
const bindingSchema = Type.Object(bindingFields)

/** A user, a group or a ServiceAccount. */
export type Subject = Of<typeof subjectSchema>

/** Grants a role to subjects: in its own namespace, or (ClusterRoleBinding) in the whole cluster. */
export type RoleBinding = ApiObject & Of<typeof bindingSchema>
export type ClusterRoleBinding = RoleBinding & Readonly<{ metadata: ClusterMeta }>

function subjectsOf(binding: JsonObject, kind: string): string {
  const { subjects = [] } = binding as unknown as RoleBinding
  return subjects
    .filter((subject) => subject.kind === kind)
    .map(({ name, namespace }) => (kind === 'ServiceAccount' ? `${namespace ?? ''}/${name}` : name))
    .join(', ')
}

const columns: readonly Column[] = [
  {
    name: 'Role',
    type: 'string',
    path: 'roleRef',
    cell: ({ roleRef }) => {
      const { kind, name } = roleRef as { kind: string; name: string }
      return `${kind}/${name}`
    },
  },
  { name: 'Age', type: 'date', path: 'metadata.creationTimestamp' },
  { name: 'Users', type: 'string', path: 'subjects', cell: (one) => subjectsOf(one, 'User'), wide: true },
  { name: 'Groups', type: 'string', path: 'subjects', cell: (one) => subjectsOf(one, 'Group'), wide: true },
  {
    name: 'ServiceAccounts',
    type: 'string',
    path: 'subjects',
    cell: (one) => subjectsOf(one, 'ServiceAccount'),
    wide: true,
  },
]

const shared = {
  group: rbacGroup,
  version: 'v1',
  shortNames: [],
  categories: [],
  status: false,
  names: 'segment',
  columns,
} as const satisfies Partial<Kind>

export const RoleBinding: Kind<RoleBinding> = {
  ...shared,
  kind: 'RoleBinding',
  plural: 'rolebindings',
  singular: 'rolebinding',
  namespaced: true,
  schema: objectSchema(bindingFields, 'Gives subjects what a role allows, in one namespace.'),
}

export const ClusterRoleBinding: Kind<ClusterRoleBinding> = {
  ...shared,
  kind: 'ClusterRoleBinding',
  plural: 'clusterrolebindings',
  singular: 'clusterrolebinding',
  namespaced: false,
  schema: objectSchema(bindingFields, 'Gives subjects what a role allows, everywhere.'),
}
