import { apiVersionOf, type Kind } from '#apis/meta/object.ts'
import { isList, isObject, isStrings, type Json, type JsonObject } from '#base/json.ts'
import { fieldNamed, type Message, messageOf } from '../protobuf-shapes.ts'

/** How ownership treats a value: as one, by field, or by item. */
export type Shape =
  | Readonly<{ as: 'atom' }>
  /**
   * `fields` are known by name, `others` is what any other key holds; keys with neither are none of our business. What
   * `isAlways` neither comes nor goes, and so is no member by itself: a struct in Go that is no pointer.
   */
  | Readonly<{ as: 'map'; fields: ReadonlyMap<string, Shape>; others?: Shape; isAlways?: boolean }>
  | Readonly<{ as: 'list'; keys: readonly string[]; item: Shape }>
  | Readonly<{ as: 'set' }>

export const atom: Shape = { as: 'atom' }

/** Without a schema: objects by field and lists as one, as Kubernetes does it for preserved unknown fields. */
const guessed: Shape = {
  as: 'map',
  fields: new Map(),
  get others() {
    return guessed
  },
}

const labels: Shape = { as: 'map', fields: new Map(), others: atom }
const owner: Shape = atom

/** What of the metadata can be owned; the rest is the server's. */
const metadata: Shape = {
  as: 'map',
  isAlways: true,
  fields: new Map<string, Shape>([
    ['labels', labels],
    ['annotations', labels],
    ['finalizers', { as: 'set' }],
    ['ownerReferences', { as: 'list', keys: ['uid'], item: owner }],
  ]),
}

const shapes = new WeakMap<object, Shape>()

/** The shape of a whole object of a kind. */
export function shapeOf(kind: Kind): Shape {
  const found = shapes.get(kind.schema)
  if (found) return found
  const root = shapeIn(kind.schema, messageOf(`${apiVersionOf(kind)} ${kind.kind}`))
  const fields = new Map(root.as === 'map' ? root.fields : [])
  fields.delete('apiVersion')
  fields.delete('kind')
  fields.set('metadata', metadata)
  const shape: Shape = { as: 'map', fields }
  shapes.set(kind.schema, shape)
  return shape
}

/** `message` is what the value is in Go, for the kinds built into Kubernetes. */
function shapeIn(schema: JsonObject, message?: Message): Shape {
  const type = schema['x-kubernetes-list-type']
  if (schema['x-kubernetes-map-type'] === 'atomic') return atom
  if (schema.type === 'array') {
    if (type === 'set') return { as: 'set' }
    if (type !== 'map' || !isObject(schema.items)) return atom
    const keys = schema['x-kubernetes-list-map-keys']
    return {
      as: 'list',
      keys: isStrings(keys) ? keys : [],
      item: shapeIn(schema.items, message),
    }
  }
  if (schema['x-kubernetes-preserve-unknown-fields'] === true) return guessed
  const properties = isObject(schema.properties) ? Object.entries(schema.properties) : undefined
  const others = isObject(schema.additionalProperties) ? shapeIn(schema.additionalProperties, message) : undefined
  if (!properties && !others) return schema.type === 'object' ? guessed : atom
  const fields = new Map(
    (properties ?? []).map(([name, below]) => [name, isObject(below) ? shapeOfField(below, name, message) : atom]),
  )
  return { as: 'map', fields, ...(others && { others }) }
}

function shapeOfField(schema: JsonObject, name: string, message: Message | undefined): Shape {
  const field = message && fieldNamed(message, name)
  if (!field || typeof field.type === 'string') return shapeIn(schema)
  const shape = shapeIn(schema, field.type)
  const isAlways = !field.many && !field.isPointer
  return shape.as === 'map' && isAlways ? { ...shape, isAlways } : shape
}

/** The shape of a field; undefined when it cannot be owned. */
export function fieldShape(shape: Extract<Shape, { as: 'map' }>, name: string): Shape | undefined {
  return shape.fields.get(name) ?? shape.others
}

/** The key of an item of a list map, `k:{…}`; undefined when the item has none. */
export function itemKey(keys: readonly string[], item: Json): string | undefined {
  if (!isObject(item)) return undefined
  let text = ''
  for (const name of keys) {
    const value = item[name]
    if (value === undefined || typeof value === 'object') return undefined
    text += `${text && ','}${JSON.stringify(name)}:${JSON.stringify(value)}`
  }
  return `k:{${text}}`
}

/** Items of a list map or set by their key; undefined when an item has no key, or two have the same. */
export function itemsByKey(shape: Extract<Shape, { as: 'list' | 'set' }>, list: Json): Map<string, Json> | undefined {
  if (!isList(list)) return undefined
  const items = new Map<string, Json>()
  for (const item of list) {
    const key = shape.as === 'list' ? itemKey(shape.keys, item) : `v:${JSON.stringify(item)}`
    if (key === undefined || items.has(key)) return undefined
    items.set(key, item)
  }
  return items
}
