import { Type } from 'typebox'
import type { ClusterMeta, Kind } from '../meta/object.ts'
import { conditions, loose, objectSchema } from '../meta/schema.ts'

/** A scope for names. */
export type Namespace = Readonly<{
  apiVersion: string
  kind: string
  metadata: ClusterMeta
  spec?: Readonly<Record<string, unknown>>
  status?: Readonly<{ phase?: string }>
}>

export const Namespace: Kind<Namespace> = {
  group: '',
  version: 'v1',
  kind: 'Namespace',
  plural: 'namespaces',
  singular: 'namespace',
  shortNames: ['ns'],
  categories: [],
  namespaced: false,
  status: true,
  columns: [
    { name: 'Status', type: 'string', path: 'status.phase' },
    { name: 'Age', type: 'date', path: 'metadata.creationTimestamp' },
  ],
  schema: objectSchema(
    {
      spec: Type.Optional(loose()),
      status: Type.Optional(
        Type.Object({ phase: Type.Optional(Type.String()), conditions: Type.Optional(conditions) }),
      ),
    },
    'A scope for names.',
  ),
}
