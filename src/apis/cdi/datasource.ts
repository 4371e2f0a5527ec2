import { Type } from 'typebox'
import { refused } from '../meta/fate.ts'
import type { Kind, ObjectMeta } from '../meta/object.ts'
import { conditions, loose, type Of, objectSchema } from '../meta/schema.ts'
import { claimSourceSchema } from './datavolume.ts'

const sourceSchema = Type.Object({
  pvc: Type.Optional(claimSourceSchema),
  snapshot: Type.Optional(refused(loose(), 'there are no snapshots; use pvc')),
  dataSource: Type.Optional(
    Type.Object({
      namespace: Type.Optional(Type.String({ description: 'That of the DataSource when absent.' })),
      name: Type.String(),
    }),
  ),
})
export type DataSourceSource = Of<typeof sourceSchema>

const dataSourceStatusSchema = Type.Object({
  source: Type.Optional(Type.Object({ pvc: Type.Optional(claimSourceSchema) })),
  conditions: Type.Optional(conditions),
})
export type DataSourceStatus = Of<typeof dataSourceStatusSchema>

/** A name for a claim that DataVolumes copy. */
export type DataSource = Readonly<{
  apiVersion: string
  kind: string
  metadata: ObjectMeta
  spec: Readonly<{ source: DataSourceSource }>
  status?: DataSourceStatus
}>

export const DataSource: Kind<DataSource> = {
  group: 'cdi.kubevirt.io',
  version: 'v1beta1',
  kind: 'DataSource',
  plural: 'datasources',
  singular: 'datasource',
  shortNames: ['das'],
  categories: ['all'],
  namespaced: true,
  status: true,
  columns: [{ name: 'Age', type: 'date', path: 'metadata.creationTimestamp' }],
  schema: objectSchema(
    { spec: Type.Object({ source: sourceSchema }), status: Type.Optional(dataSourceStatusSchema) },
    'A name for a claim that DataVolumes copy.',
  ),
}
