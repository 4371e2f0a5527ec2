import type { Kind } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import { isList, isObject, type Json, type JsonObject } from '#base/json.ts'
import { atom, fieldShape, type Shape, shapeOf } from './apply/schema.ts'

/** A directive of the patch language (`$patch`, `$setElementOrder/…`) instead of a field. */
const isDirective = (key: string) => key.startsWith('$')
const removeFrom = '$deleteFromPrimitiveList/'
const orderOf = '$setElementOrder/'
/** Longest item repeated in a message, characters. */
const maxShown = 200

/**
 * Applies a strategic merge patch: lists that the kind's schema has keys for are merged item by item, in the order of the patch;
 * every other list is replaced as a whole. kubectl sends it for kinds it was compiled with and for those whose OpenAPI says that
 * it may. Kubernetes stores directives that it has no use for; here they are refused.
 * @throws Fault BadRequest for an item of a keyed list that does not say which one it is, and for an unknown directive.
 */
export function strategicPatch(kind: Kind, object: JsonObject, patch: JsonObject): JsonObject {
  return mergeObjects(object, patch, shapeOf(kind), '')
}

function mergeObjects(before: JsonObject, patch: JsonObject, shape: Shape, path: string): JsonObject {
  const directive = directiveOf(patch, path)
  if (directive === 'delete') return {}
  const target = directive === 'replace' ? {} : before
  const result = new Map<string, Json | undefined>(Object.entries(target))
  for (const [key, value] of Object.entries(patch)) {
    const removed = key.startsWith(removeFrom) ? key.slice(removeFrom.length) : undefined
    if (removed !== undefined && Array.isArray(value)) result.set(removed, without(result.get(removed), value))
    if (isDirective(key) || value === undefined) continue
    if (value === null) result.delete(key)
    else result.set(key, mergeValues(result.get(key), value, below(shape, key), path ? `${path}.${key}` : key))
  }
  // Last, because an order also names what the patch adds.
  for (const [name, order] of ordersIn(patch, shape)) {
    const list = result.get(name)
    const was = target[name]
    if (isList(list)) result.set(name, ordered(list, order, isList(was) ? was : [], below(shape, name)))
  }
  return Object.fromEntries(result)
}

/** What `$patch` says about the object or item it is in. @throws Fault BadRequest for what it cannot say */
function directiveOf(patch: Json, path: string): 'replace' | 'delete' | undefined {
  const directive = isObject(patch) ? patch.$patch : undefined
  if (directive === undefined || directive === null || directive === 'replace' || directive === 'delete')
    return directive ?? undefined
  throw new Fault('BadRequest', `unknown patch type: ${shown(directive)} in map: ${shown(patch)} (${path})`)
}

/** The orders of lists that are merged: the one that the patch gives, else that of its items. */
function ordersIn(patch: JsonObject, shape: Shape): [name: string, order: readonly Json[]][] {
  return Object.entries(patch).flatMap(([key, value]): [string, readonly Json[]][] => {
    const name = key.startsWith(orderOf) ? key.slice(orderOf.length) : key
    const isMerged = ['list', 'set'].includes(below(shape, name).as)
    if (!isList(value) || (name === key && (!isMerged || patch[orderOf + name] !== undefined))) return []
    return [[name, value]]
  })
}

function below(shape: Shape, key: string): Shape {
  return (shape.as === 'map' ? fieldShape(shape, key) : undefined) ?? atom
}

function mergeValues(target: Json | undefined, value: Json, shape: Shape, path: string): Json {
  if (isObject(value)) return mergeObjects(isObject(target) ? target : {}, value, shape, path)
  if (!isList(value)) return value
  const before = isList(target) ? target : []
  if (shape.as === 'set') return [...new Set([...before, ...value])]
  return shape.as === 'list' ? mergeItems(before, value, shape, path) : replacement(value, path)
}

/** A list that replaces another. Its items may say so, and have no key by which one could be deleted. */
function replacement(list: readonly Json[], path: string): readonly Json[] {
  return list.flatMap((item) => {
    const directive = directiveOf(item, path)
    if (directive === 'replace') return []
    if (directive === 'delete')
      throw new Fault('BadRequest', `items of ${path} have no merge key by which ${shown(item)} could be deleted`)
    return [isObject(item) ? mergeObjects({}, item, atom, `${path}[]`) : item]
  })
}

type ListShape = Extract<Shape, { as: 'list' }>

/** Deletions come first, so that a patch may delete an item and add another under its key (Kubernetes' rule). */
function mergeItems(before: readonly Json[], patch: readonly Json[], { keys, item: shape }: ListShape, path: string) {
  const [key = ''] = keys
  const isReplace = (item: Json) => directiveOf(item, path) === 'replace'
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
  throw new Fault('BadRequest', `map: ${shown(item)} does not contain declared merge key: ${key} (${path})`)
}

function shown(item: Json): string {
  const text = JSON.stringify(item)
  return text.length > maxShown ? `${text.slice(0, maxShown)}…` : text
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
