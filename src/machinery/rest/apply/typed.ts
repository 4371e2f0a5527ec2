import { isList, isObject, type Json, type JsonObject, sameJson } from '#base/json.ts'
import { type Fields, isEmpty, noFields } from './fields.ts'
import { atom, fieldShape, itemKey, itemsByKey, type Shape } from './schema.ts'

type Tree = { [key: string]: Fields }

/** Every field an object sets. Known fields are members by what is in them; keys of maps and items of lists by themselves. */
export function fieldsOf(shape: Shape, value: JsonObject): Fields {
  return nodeOf(shape, value) ?? noFields
}

/** The node of a value that is there; undefined when nothing in it can be owned. `{}` is a member. */
function nodeOf(shape: Shape, value: Json): Fields | undefined {
  if (shape.as === 'map') return isObject(value) ? mapNode(shape, value) : noFields
  if (shape.as === 'atom') return noFields
  const items = itemsByKey(shape, value)
  if (!items?.size) return noFields
  const node: Tree = {}
  for (const [key, item] of items) node[key] = shape.as === 'list' ? owned(nodeOf(shape.item, item)) : noFields
  return node
}

function mapNode(shape: Extract<Shape, { as: 'map' }>, value: JsonObject): Fields | undefined {
  const node: Tree = {}
  let some = false
  for (const [name, item] of Object.entries(value)) {
    if (item === undefined) continue
    some = true
    const inside = fieldShape(shape, name)
    const inner = inside && nodeOf(inside, item)
    if (inner) node[`f:${name}`] = shape.fields.has(name) ? inner : owned(inner)
  }
  return isEmpty(node) && some ? undefined : node
}

/** A node as a member of its set. */
function owned(node: Fields | undefined): Fields {
  if (!node || isEmpty(node)) return noFields
  return Object.hasOwn(node, '.') ? node : { '.': noFields, ...node }
}

/**
 * The node of a value that came or went as a whole: what holds others came with them, and is a member besides them
 * (structured-merge-diff, typed/compare.go). Undefined when nothing in it can be owned.
 */
function wholeNode(shape: Shape, value: Json): Fields | undefined {
  if (shape.as === 'atom') return noFields
  const node: Tree = {}
  if (shape.as === 'map') {
    if (!isObject(value)) return noFields
    for (const [name, item] of Object.entries(value)) {
      const inside = item === undefined ? undefined : fieldShape(shape, name)
      const inner = inside && item !== undefined ? wholeNode(inside, item) : undefined
      if (inner) node[`f:${name}`] = inner
    }
    if (shape.isAlways) return isEmpty(node) ? undefined : node
    return owned(node)
  }
  const inside = shape.as === 'list' ? shape.item : atom
  for (const [key, item] of itemsByKey(shape, value) ?? []) node[key] = owned(wholeNode(inside, item))
  return owned(node)
}

/** What differs between two objects. `changed` is in the new one, `removed` only in the old one. */
export type Difference = Readonly<{ changed: Fields; removed: Fields }>

/** What changed from `before` to `after`. The order of keyed lists does not count. */
export function compare(shape: Shape, before: JsonObject, after: JsonObject): Difference {
  const found = differ(shape, before, after)
  return { changed: found?.changed ?? noFields, removed: found?.removed ?? noFields }
}

type Found = Readonly<{ changed?: Fields | undefined; removed?: Fields | undefined }>

/** Undefined when there is no difference. */
function differ(shape: Shape, a: Json | undefined, b: Json | undefined): Found | undefined {
  if (a === b) return undefined
  if (b === undefined) return a === undefined ? undefined : { removed: wholeNode(shape, a) }
  if (a === undefined) return { changed: wholeNode(shape, b) }
  if (shape.as === 'atom') return sameJson(a, b) ? undefined : { changed: noFields }
  if (shape.as === 'map') {
    if (isObject(a) && isObject(b)) return differMaps(shape, a, b)
    return isObject(a) || isObject(b) ? turned(shape, a, b) : differ(atom, a, b)
  }
  return differLists(shape, a, b)
}

/** A value became one of another form: what was in it is gone. */
function turned(shape: Shape, a: Json, b: Json): Found {
  return { changed: nodeOf(shape, b), removed: nodeOf(shape, a) }
}

function differMaps(shape: Extract<Shape, { as: 'map' }>, a: JsonObject, b: JsonObject): Found | undefined {
  const found = new Collector()
  for (const name of Object.keys(b)) note(name, own(a, name), b[name])
  for (const name of Object.keys(a)) if (own(b, name) === undefined) note(name, a[name], undefined)
  return found.all()

  function note(name: string, before: Json | undefined, after: Json | undefined): void {
    const inside = before === after ? undefined : fieldShape(shape, name)
    if (inside) found.add(`f:${name}`, differ(inside, before, after))
  }
}

function differLists(shape: Extract<Shape, { as: 'list' | 'set' }>, a: Json, b: Json): Found | undefined {
  if (shape.as === 'list') {
    const found = differPairs(shape, a, b)
    if (found) return found.all()
  }
  const [before, after] = [itemsByKey(shape, a), itemsByKey(shape, b)]
  // Items with duplicate keys: the list is one value.
  if (!before || !after) return differ(atom, a, b)
  const found = new Collector()
  const inside = shape.as === 'list' ? shape.item : atom
  for (const [key, item] of after) found.add(key, differ(inside, before.get(key), item))
  for (const [key, item] of before) if (!after.has(key)) found.add(key, differ(inside, item, undefined))
  return found.all()
}

/** Most changes leave the items where they are: then no key has to be written but those of items that differ. */
function differPairs(shape: Extract<Shape, { as: 'list' }>, a: Json, b: Json): Collector | undefined {
  if (!isList(a) || !isList(b) || a.length !== b.length || !a.length) return undefined
  const found = new Collector()
  for (let i = 0; i < a.length; i++) {
    const [left, right] = [a[i], b[i]]
    if (left === right) continue
    if (!isObject(left) || !isObject(right) || shape.keys.some((key) => left[key] !== right[key])) return undefined
    const difference = differ(shape.item, left, right)
    if (!difference) continue
    const key = itemKey(shape.keys, right)
    if (key === undefined) return undefined
    found.add(key, difference)
  }
  return found
}

/** Gathers differences under their keys. */
class Collector {
  readonly #changed: Tree = {}
  readonly #removed: Tree = {}

  add(key: string, found: Found | undefined): void {
    if (found?.changed) this.#changed[key] = found.changed
    if (found?.removed) this.#removed[key] = found.removed
  }

  all(): Found | undefined {
    const changed = isEmpty(this.#changed) ? undefined : this.#changed
    const removed = isEmpty(this.#removed) ? undefined : this.#removed
    return changed || removed ? { changed, removed } : undefined
  }
}

function own(object: JsonObject, name: string): Json | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined
}
