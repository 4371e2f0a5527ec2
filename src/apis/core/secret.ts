import { Type } from 'typebox'
import type { Kind, ObjectMeta } from '../meta/object.ts'
import { type Of, objectSchema, stringMap } from '../meta/schema.ts'

const secretFields = {
  data: Type.Optional(stringMap),
  stringData: Type.Optional(stringMap),
  type: Type.Optional(Type.String()),
  immutable: Type.Optional(Type.Boolean()),
}
const secretSchema = Type.Object(secretFields)

/** Confidential bytes, base64 by key. `stringData` is for writing only and never stored. */
export type Secret = Readonly<{ apiVersion: string; kind: string; metadata: ObjectMeta }> & Of<typeof secretSchema>

export const Secret: Kind<Secret> = {
  group: '',
  version: 'v1',
  kind: 'Secret',
  plural: 'secrets',
  singular: 'secret',
  shortNames: [],
  categories: [],
  namespaced: true,
  status: false,
  columns: [
    { name: 'Type', type: 'string', path: 'type' },
    {
      name: 'Data',
      type: 'integer',
      path: 'data',
      cell: ({ data }) => String(Object.keys(data ?? {}).length),
    },
    { name: 'Age', type: 'date', path: 'metadata.creationTimestamp' },
  ],
  schema: objectSchema(secretFields, 'Bytes that not everybody may read, base64 by key.'),
}
