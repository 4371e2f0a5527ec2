import { Type } from 'typebox'
import type { Kind, ObjectMeta } from '../meta/object.ts'
import { loose, objectSchema } from '../meta/schema.ts'

/** The cluster configuration: one object, `kubevirt/kubevirt`. */
export type KubeVirt = Readonly<{
  apiVersion: string
  kind: string
  metadata: ObjectMeta
  spec: Readonly<Record<string, unknown>>
  status?: Readonly<Record<string, unknown>>
}>

export const KubeVirt: Kind<KubeVirt> = {
  group: 'kubevirt.io',
  version: 'v1',
  kind: 'KubeVirt',
  plural: 'kubevirts',
  singular: 'kubevirt',
  shortNames: ['kv', 'kvs'],
  categories: ['all'],
  namespaced: true,
  status: true,
  columns: [
    { name: 'Age', type: 'date', path: 'metadata.creationTimestamp' },
    { name: 'Phase', type: 'string', path: 'status.phase' },
  ],
  schema: objectSchema(
    { spec: Type.Optional(loose()), status: Type.Optional(loose()) },
    'The configuration of the cluster.',
  ),
}
