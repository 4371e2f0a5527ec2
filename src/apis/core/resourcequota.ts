import { Type } from 'typebox'
import type { JsonObject } from '#base/json.ts'
import type { Kind, ObjectMeta } from '../meta/object.ts'
import { parseQuantity, quantityText } from '../meta/quantity.ts'
import { amounts, loose, type Of, objectSchema } from '../meta/schema.ts'

const quotaSpecSchema = Type.Object({
  hard: Type.Optional(amounts),
  scopes: Type.Optional(Type.Array(Type.String())),
  scopeSelector: Type.Optional(loose()),
})

const quotaStatusSchema = Type.Object({ hard: Type.Optional(amounts), used: Type.Optional(amounts) })

/** Limits of what all objects of a namespace use together, by resource, such as `pods` or `requests.memory`. */
export type ResourceQuota = Readonly<{
  apiVersion: string
  kind: string
  metadata: ObjectMeta
  spec?: Of<typeof quotaSpecSchema>
  status?: Of<typeof quotaStatusSchema>
}>

/**
 * `pods: 1/2, requests.memory: 1Gi/2Gi`: usage and limit of the resources whose names start, or do not start, with `limits.`.
 */
function usedText(quota: JsonObject, isLimit: boolean): string {
  const { hard = {}, used = {} } = (quota as unknown as ResourceQuota).status ?? {}
  return Object.keys(hard)
    .filter((name) => name.startsWith('limits.') === isLimit)
    .toSorted()
    .map((name) => `${name}: ${text(used[name] ?? 0)}/${text(hard[name])}`)
    .join(', ')
}

function text(amount: unknown): string {
  const parsed = parseQuantity(amount)
  return parsed ? quantityText(parsed) : String(amount)
}

export const ResourceQuota: Kind<ResourceQuota> = {
  group: '',
  version: 'v1',
  kind: 'ResourceQuota',
  plural: 'resourcequotas',
  singular: 'resourcequota',
  shortNames: ['quota'],
  categories: [],
  namespaced: true,
  status: true,
  columns: [
    { name: 'Request', type: 'string', path: 'status', cell: (quota) => usedText(quota, false) },
    { name: 'Limit', type: 'string', path: 'status', cell: (quota) => usedText(quota, true) },
    { name: 'Age', type: 'date', path: 'metadata.creationTimestamp' },
  ],
  schema: objectSchema(
    { spec: Type.Optional(quotaSpecSchema), status: Type.Optional(quotaStatusSchema) },
    'What all objects of a namespace together may take.',
  ),
}
