import { type Static, type TSchema, Type } from 'typebox'
import { mapOf, nullableTime, quantity } from './schema.ts'

/** A leaf of a shape: a word for a JSON type, or for one of Kubernetes' own. */
type Leaf = 'string' | 'boolean' | 'integer' | 'number' | 'quantity' | 'intOrString' | 'time' | 'object'

/** A map with any keys and values of one shape. */
type MapShape = Readonly<{ mapOf: Shape }>

/**
 * The shape of a value in few words: a leaf, a list (its item in brackets), a map, or an object by its fields. A field whose name
 * ends with `!` is required. It says as much as the field lists of an API do, and no more: no static type comes of it.
 */
export type Shape = Leaf | readonly [Shape] | MapShape | Readonly<{ [field: string]: Shape }>

/** A map in a shape. */
export function map(value: Shape): MapShape {
  return { mapOf: value }
}

const leaves: Readonly<Record<Leaf, TSchema>> = {
  string: Type.String(),
  boolean: Type.Boolean(),
  integer: Type.Integer(),
  number: Type.Number(),
  quantity: quantity(''),
  intOrString: Type.Unsafe({ 'x-kubernetes-int-or-string': true }),
  time: nullableTime,
  object: Type.Unsafe({ type: 'object', 'x-kubernetes-preserve-unknown-fields': true }),
}

/** The schema of an object of this shape. */
export function objectOf(shape: Readonly<{ [field: string]: Shape }>) {
  return Type.Unsafe<Record<string, unknown>>(schemaOf(shape))
}

/** The schema of a list of items of this shape. */
export function listOf(shape: Readonly<{ [field: string]: Shape }>) {
  return Type.Unsafe<Record<string, unknown>[]>({ type: 'array', items: schemaOf(shape) })
}

function schemaOf(shape: Shape): TSchema {
  if (typeof shape === 'string') return leaves[shape]
  if (isList(shape)) return Type.Array(schemaOf(shape[0]))
  if (isMap(shape)) return mapOf(schemaOf(shape.mapOf))
  const names = Object.keys(shape)
  const required = names.filter((name) => name.endsWith('!')).map((name) => name.slice(0, -1))
  return Type.Unsafe({ type: 'object', properties: propertiesOf(shape), ...(required.length && { required }) })
}

function propertiesOf(shape: Readonly<{ [field: string]: Shape }>): Record<string, TSchema> {
  return Object.fromEntries(Object.entries(shape).map(([name, value]) => [name.replace(/!$/, ''), schemaOf(value)]))
}

function isList(shape: Shape): shape is readonly [Shape] {
  return Array.isArray(shape)
}

function isMap(shape: Shape): shape is MapShape {
  return typeof shape === 'object' && 'mapOf' in shape
}

/** A schema of an object that also knows these fields, which nothing here reads or writes. */
export function withFields<T extends TSchema>(schema: T, shape: Readonly<{ [field: string]: Shape }>) {
  const { properties = {} } = schema as { properties?: object }
  return Type.Unsafe<Static<T>>({ ...schema, properties: { ...properties, ...propertiesOf(shape) } })
}
