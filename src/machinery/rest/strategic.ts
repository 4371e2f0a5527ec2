import type { Kind } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import { isObject, type Json, type JsonObject } from '#base/json.ts'
import { atom, fieldShape, type Shape, shapeOf } from './apply/schema.ts'

/** A directive of the patch language (`$patch`, `$setElementOrder/…`) instead of a field. */
const isDirective = (key: string) => key.startsWith('$')
const removeFrom = '$deleteFromPrimitiveList/'
const orderOf = '$setElementOrder/'
/** Longest item repeated in a message, characters. */
const maxShown = 200

/**
 * Applies a strategic merge patch: lists that the kind's schema has keys for are merged item by item, every other list is
 * replaced as a whole. kubectl sends it for kinds it was compiled with and for those whose OpenAPI says that it may.
 * @throws Fault BadRequest for an item of a keyed list that does not say which one it is.
 */
export function strategicPatch(kind: Kind, object: JsonObject, patch: JsonObject): JsonObject {
  return mergeObjects(object, patch, shapeOf(kind), '')
}

function mergeObjects(target: JsonObject, patch: JsonObject, shape: Shape, path: string): JsonObject {
  if (patch.$patch === 'replace') return withoutDirectives(patch)
  const result = new Map<string, Json | undefined>(Object.entries(target))
  for (const [key, value] of Object.entries(patch)) {
    const removed = key.startsWith(removeFrom) ? key.slice(removeFrom.length) : undefined
    if (removed !== undefined && Array.isArray(value)) result.set(removed, without(result.get(removed), value))
    if (isDirective(key) || value === undefined) continue
    if (value === null) result.delete(key)
    else result.set(key, mergeValues(result.get(key), value, below(shape, key), path ? `${path}.${key}` : key))
  }
  // Last, because an order also names what the patch adds.
  for (const [key, order] of Object.entries(patch)) {
    const name = key.startsWith(orderOf) ? key.slice(orderOf.length) : ''
    const list = result.get(name)
    if (Array.isArray(list) && Array.isArray(order)) {
      const before = target[name]
      result.set(name, ordered(list, order, Array.isArray(before) ? before : [], below(shape, name)))
    }
  }
  return Object.fromEntries(result)
}

function below(shape: Shape, key: string): Shape {
  return (shape.as === 'map' ? fieldShape(shape, key) : undefined) ?? atom
}

function mergeValues(target: Json | undefined, value: Json, shape: Shape, path: string): Json {
  if (isObject(value)) {
    if (value.$patch === 'delete') return {}
    return mergeObjects(isObject(target) ? target : {}, value, shape, path)
  }
  if (!Array.isArray(value)) return value
  const before: readonly Json[] = Array.isArray(target) ? target : []
  if (shape.as === 'set') return [...new Set([...before, ...value])]
  return shape.as === 'list' ? mergeItems(before, value, shape, path) : value
}

type ListShape = Extract<Shape, { as: 'list' }>

/** Deletions come first, so that a patch may delete an item and add another under its key (Kubernetes' rule). */
function mergeItems(before: readonly Json[], patch: readonly Json[], { keys, item: shape }: ListShape, path: string) {
  const [key = ''] = keys
  const isReplace = (item: Json) => isObject(item) && item.$patch === 'replace'
  const sent = patch.filter((item) => !isReplace(item)).map((item) => requireKey(item, key, path))
  const deleted = new Set(sent.filter((item) => item.$patch === 'delete').map((item) => item[key]))
  const live = patch.some(isReplace) ? [] : before
  const items = deleted.size ? live.filter((one) => !isObject(one) || !deleted.has(one[key])) : [...live]
  const places = new Map<Json | undefined, number>()
  // From the end: of several items with one key the first is meant.
  for (let i = items.length - 1; i >= 0; i--) {
    const one = items[i]
    if (isObject(one)) places.set(one[key], i)
  }
  for (const item of sent) {
    if (item.$patch === 'delete') continue
    const at = places.get(item[key]) ?? items.length
    places.set(item[key], at)
    const found = items[at]
    items[at] = mergeObjects(isObject(found) ? found : {}, item, shape, `${path}[]`)
  }
  return items
}

/** @throws Fault BadRequest for an item that does not say which one it is */
function requireKey(item: Json, key: string, path: string): JsonObject {
  if (isObject(item) && item[key] !== undefined) return item
  const text = JSON.stringify(item)
  const shown = text.length > maxShown ? `${text.slice(0, maxShown)}…` : text
  throw new Fault('BadRequest', `map: ${shown} does not contain declared merge key: ${key} (${path})`)
}

/**
 * A list in a patch's order. Items without a place in it stay before those they stood before, and go behind all others
 * (Kubernetes' rule).
 */
function ordered(
  list: readonly Json[],
  order: readonly Json[],
  before: readonly Json[],
  shape: Shape,
): readonly Json[] {
  const key = shape.as === 'list' ? shape.keys[0] : undefined
  const id = (item: Json) => (key !== undefined && isObject(item) ? item[key] : item)
  const places = (items: readonly Json[]) => new Map(items.map((item, i) => [id(item), i]))
  const [wanted, was] = [places(order), places(before)]
  const place = (item: Json) => wanted.get(id(item)) ?? Number.POSITIVE_INFINITY
  const named = list.filter((item) => wanted.has(id(item))).sort((a, b) => place(a) - place(b))
  const others = list.filter((item) => !wanted.has(id(item)))
  const stood = others.map((item) => was.get(id(item)) ?? Number.POSITIVE_INFINITY)
  const result: Json[] = []
  let next = 0
  for (const item of named) {
    const at = was.get(id(item)) ?? -1
    const from = next
    while (next < stood.length && (stood[next] ?? 0) < at) next++
    for (const other of others.slice(from, next)) result.push(other)
    result.push(item)
  }
  return [...result, ...others.slice(next)]
}

function without(list: Json | undefined, removed: readonly Json[]): readonly Json[] {
  const gone = new Set(removed)
  return Array.isArray(list) ? list.filter((item) => !gone.has(item)) : []
}

function withoutDirectives(value: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(value).filter(([key, item]) => !isDirective(key) && item !== null))
}
