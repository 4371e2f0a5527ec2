import { Type } from 'typebox'
import type { Kind, ObjectMeta } from '../meta/object.ts'
import { type Of, objectSchema, stringMap } from '../meta/schema.ts'

const configMapFields = {
  data: Type.Optional(stringMap),
  binaryData: Type.Optional(stringMap),
  immutable: Type.Optional(Type.Boolean()),
}
const configMapSchema = Type.Object(configMapFields)

/** Settings by key: texts in `data`, base64 in `binaryData`. */
export type ConfigMap = Readonly<{ apiVersion: string; kind: string; metadata: ObjectMeta }> &
  Of<typeof configMapSchema>

export const ConfigMap: Kind<ConfigMap> = {
  group: '',
  version: 'v1',
  kind: 'ConfigMap',
  plural: 'configmaps',
  singular: 'configmap',
  shortNames: ['cm'],
  categories: [],
  namespaced: true,
  status: false,
  columns: [
    {
      name: 'Data',
      type: 'integer',
      path: 'data',
      cell: ({ data, binaryData }) => String(Object.keys({ ...(data as object), ...(binaryData as object) }).length),
    },
    { name: 'Age', type: 'date', path: 'metadata.creationTimestamp' },
  ],
  schema: objectSchema(configMapFields, 'Settings by key.'),
}
