import { Type } from 'typebox'
import type { Kind, ObjectMeta } from '../meta/object.ts'
import { listMap, loose, type Of, objectSchema } from '../meta/schema.ts'

const serviceAccountFields = {
  secrets: Type.Optional(listMap(loose(), 'name')),
  imagePullSecrets: Type.Optional(Type.Array(Type.Object({ name: Type.Optional(Type.String()) }))),
  automountServiceAccountToken: Type.Optional(Type.Boolean()),
}
const serviceAccountSchema = Type.Object(serviceAccountFields)

/** An identity for programs; `kubectl create token NAME` creates a token for it. */
export type ServiceAccount = Readonly<{ apiVersion: string; kind: string; metadata: ObjectMeta }> &
  Of<typeof serviceAccountSchema>

export const ServiceAccount: Kind<ServiceAccount> = {
  group: '',
  version: 'v1',
  kind: 'ServiceAccount',
  plural: 'serviceaccounts',
  singular: 'serviceaccount',
  shortNames: ['sa'],
  categories: [],
  namespaced: true,
  status: false,
  subresources: [
    { name: 'token', group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest', verbs: ['create'] },
  ],
  columns: [
    {
      name: 'Secrets',
      type: 'integer',
      path: 'secrets',
      cell: ({ secrets }) => String(Array.isArray(secrets) ? secrets.length : 0),
    },
    { name: 'Age', type: 'date', path: 'metadata.creationTimestamp' },
  ],
  schema: objectSchema(serviceAccountFields, 'An identity for programs.'),
}
