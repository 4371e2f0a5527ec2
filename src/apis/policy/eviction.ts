import { Type } from 'typebox'
import type { Kind } from '../meta/object.ts'
import { loose, objectSchema } from '../meta/schema.ts'

/** Asks that a pod leaves its node, as `kubectl drain` does; posted to `pods/NAME/eviction` and never stored. */
export const Eviction: Kind = {
  group: 'policy',
  version: 'v1',
  kind: 'Eviction',
  plural: 'evictions',
  singular: 'eviction',
  shortNames: [],
  categories: [],
  namespaced: true,
  status: false,
  verbs: ['create'],
  columns: [],
  schema: objectSchema({ deleteOptions: Type.Optional(loose()) }, 'Asks that a pod leaves its node.'),
}
