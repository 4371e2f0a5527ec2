import { type Static, type TSchema, Type } from 'typebox'
import type { Schema } from './object.ts'
import { microPattern } from './time.ts'

/** A TypeBox type with every level read-only, since objects are values. */
type Frozen<T> = T extends readonly (infer Item)[]
  ? readonly Frozen<Item>[]
  : T extends object
    ? { readonly [K in keyof T]: Frozen<T[K]> }
    : T

/** The static type of a schema, frozen. */
export type Of<T extends TSchema> = Frozen<Static<T>>

/** A string that must be one of `values`. One plain enum, so that a wrong value is one error and OpenAPI shows the list. */
export function oneOf<const T extends string>(values: readonly T[], description?: string) {
  return Type.Unsafe<T>({ type: 'string', enum: values, ...(description && { description }) })
}

/** An object with unknown fields, which are kept. */
export function loose(description?: string) {
  return Type.Unsafe<Record<string, unknown>>({
    type: 'object',
    'x-kubernetes-preserve-unknown-fields': true,
    ...(description && { description }),
  })
}

/** An object with some known fields; others are kept. */
export function looseObject<T extends Record<string, TSchema>>(fields: T) {
  return Type.Object(fields, { 'x-kubernetes-preserve-unknown-fields': true })
}

/** Which texts are quantities, in the words of KubeVirt's own CRDs. */
const quantityPattern =
  '^(\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))))?$'

/** A Kubernetes quantity such as `128Mi`, or a plain number; `minimum` in units of what is measured. */
export function quantity(description: string, options: { minimum?: number } = {}) {
  return Type.Unsafe<string | number>({
    'x-kubernetes-int-or-string': true,
    format: 'quantity',
    pattern: quantityPattern,
    ...options,
    description,
  })
}

/** A moment (Kubernetes' Time), in RFC 3339. */
export const time = Type.Unsafe<string>({ type: 'string', format: 'date-time' })

/** A moment that may be null, as Go writes one that is not set. */
export const nullableTime = Type.Unsafe<string | null>({ type: 'string', format: 'date-time', nullable: true })

/** A moment with microseconds (Kubernetes' MicroTime). */
export const microTime = Type.Unsafe<string>({ type: 'string', format: 'date-time', pattern: microPattern })

/** The same, or null. */
export const nullableMicroTime = Type.Unsafe<string | null>({
  type: 'string',
  format: 'date-time',
  pattern: microPattern,
  nullable: true,
})

/** A map with any keys. Written with `additionalProperties`, the one form OpenAPI 3.0 knows. */
export function mapOf<T extends TSchema>(value: T) {
  return Type.Unsafe<Record<string, Static<T>>>({ type: 'object', additionalProperties: value })
}

/** A map of strings, as labels are. */
export const stringMap = mapOf(Type.String())

/** Amounts of resources, by name. */
export const amounts = mapOf(quantity('An amount of one resource.'))

/** A list whose items are identified by a key, so that several writers can own items of it. */
export function listMap<T extends TSchema>(item: T, key: string, options: { maxItems?: number } = {}) {
  return Type.Array(item, {
    ...options,
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': [key],
  })
}

/** A list of plain values that several writers can own values of. */
export function listSet<T extends TSchema>(item: T) {
  return Type.Array(item, { 'x-kubernetes-list-type': 'set' })
}

/** A condition of a status. */
export const condition = Type.Object({
  type: Type.String(),
  status: oneOf(['True', 'False', 'Unknown']),
  reason: Type.Optional(Type.String()),
  message: Type.Optional(Type.String()),
  lastTransitionTime: Type.Optional(nullableTime),
  lastProbeTime: Type.Optional(nullableTime),
})

/** `apiVersion` and `kind` plus the kind's own fields; metadata has one schema for all kinds, added by the API machinery. */
export function objectSchema(fields: Record<string, TSchema>, description: string): Schema {
  return Type.Object(
    {
      apiVersion: Type.Optional(Type.String({ description: 'Group and version that the object is written in.' })),
      kind: Type.Optional(Type.String({ description: 'What the object is.' })),
      ...fields,
    },
    { description },
  ) as unknown as Schema
}

/** Conditions, by type. */
export const conditions = listMap(condition, 'type')
