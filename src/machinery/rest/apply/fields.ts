import type { FieldSet } from '#apis/meta/object.ts'
import { isObject, type Json, type JsonObject } from '#base/json.ts'

/**
 * A set of fields of an object, in the very form `fieldsV1` has in JSON: a tree whose keys are `f:NAME`, `k:{"KEY":"VALUE"}`
 * (an item of a list map) or `v:VALUE` (an item of a set). A node without children is a member; one with children is a
 * member only when it also has the key `.`. Kept in this form because most writes touch few fields of large sets: every
 * function here shares what it does not change and costs what the smaller side costs.
 */
export type Fields = FieldSet

export const noFields: Fields = Object.freeze({})

/** Whether a set is empty. Only of whole sets: an empty node inside a set is a member. */
export function isEmpty(set: Fields): boolean {
  for (const _ in set) return false
  return true
}

/** Whether a node inside a set is itself a member. */
export function isMember(node: Fields): boolean {
  return isEmpty(node) || Object.hasOwn(node, '.')
}

/** The node under a key; undefined for a missing one. */
export function below(set: Fields | undefined, key: string): Fields | undefined {
  return set !== undefined && key !== '.' && Object.hasOwn(set, key) ? set[key] : undefined
}

/** What is in either. */
export function union(a: Fields, b: Fields): Fields {
  if (a === b || isEmpty(b)) return a
  if (isEmpty(a)) return b
  return merged(a, b)
}

function merged(a: Fields, b: Fields): Fields {
  if (a === b) return a
  // A leaf that gets children stays a member by its dot.
  if (isEmpty(a)) return Object.hasOwn(b, '.') ? b : { '.': noFields, ...b }
  if (isEmpty(b)) return Object.hasOwn(a, '.') ? a : { '.': noFields, ...a }
  const result: { [key: string]: Fields } = { ...a }
  for (const [key, node] of Object.entries(b)) {
    const old = Object.hasOwn(a, key) ? a[key] : undefined
    result[key] = old ? merged(old, node) : node
  }
  return result
}

/** What is in any of many sets. By halves: one after the other would copy what is gathered already for each of them. */
export function unionOf(sets: readonly Fields[]): Fields {
  if (sets.length <= 1) return sets[0] ?? noFields
  const half = sets.length >> 1
  return union(unionOf(sets.slice(0, half)), unionOf(sets.slice(half)))
}

/** What is in both. */
export function intersection(a: Fields, b: Fields): Fields {
  return common(a, b) ?? noFields
}

/** Undefined when nothing is in common; `{}` would be a member. */
function common(a: Fields, b: Fields): Fields | undefined {
  const result: { [key: string]: Fields } = {}
  for (const [key, left] of Object.entries(a)) {
    const right = below(b, key)
    if (key === '.' || !right) continue
    const inner = common(left, right)
    const node = isMember(left) && isMember(right) ? (inner ? { '.': noFields, ...inner } : noFields) : inner
    if (node) result[key] = node
  }
  return isEmpty(result) ? undefined : result
}

/** What is in `a` and not in `b`. With `deep`, a member of `b` takes everything below it along. */
export function difference(a: Fields, b: Fields, deep = false): Fields {
  const changes = new Map<string, Fields | undefined>()
  const [fewA, fewB] = [keysOf(a), keysOf(b)]
  for (const key of fewA.length < fewB.length ? fewA : fewB) {
    const [left, right] = [below(a, key), below(b, key)]
    if (!left || !right) continue
    const node = deep && isMember(right) ? undefined : rest(left, right, deep)
    if (node !== left) changes.set(key, node)
  }
  return changes.size ? changed(a, fewA, changes) : a
}

/** A set with other nodes under some keys, or none. */
function changed(set: Fields, keys: readonly string[], changes: ReadonlyMap<string, Fields | undefined>): Fields {
  // Keys that are deleted one by one make an object slow.
  const isFew = changes.size * 2 < keys.length
  const result: { [key: string]: Fields } = isFew ? { ...set } : {}
  if (!isFew) for (const key of keys) if (!changes.has(key)) result[key] = set[key] ?? noFields
  for (const [key, node] of changes) {
    if (node) result[key] = node
    else if (isFew) delete result[key]
  }
  return result
}

/** Keys of a set. Those of large ones are kept: one set of changes is taken from the sets of all managers. */
function keysOf(set: Fields): readonly string[] {
  const known = keysOfLarge.get(set)
  if (known) return known
  const keys = Object.keys(set)
  if (keys.length > manyKeys) keysOfLarge.set(set, keys)
  return keys
}

const manyKeys = 32
const keysOfLarge = new WeakMap<Fields, readonly string[]>()

/** A node without what another node has; undefined when nothing is left. */
function rest(left: Fields, right: Fields, deep: boolean): Fields | undefined {
  const stays = isMember(left) && !isMember(right)
  const inner = difference(left, right, deep)
  if (!hasChildren(inner)) return stays ? noFields : undefined
  if (stays === Object.hasOwn(inner, '.')) return inner
  if (stays) return { '.': noFields, ...inner }
  const { '.': _, ...children } = inner
  return children
}

function hasChildren(node: Fields): boolean {
  for (const key in node) if (key !== '.') return true
  return false
}

/** Every member with its path in Kubernetes' notation: `.spec.networks[name="red"].pod`. */
export function pathsOf(set: Fields): string[] {
  const paths: string[] = []
  const visit = (at: Fields, path: string): void => {
    for (const [key, node] of Object.entries(at)) {
      if (key === '.') continue
      const below = path + stepOf(key)
      if (isMember(node)) paths.push(below)
      visit(node, below)
    }
  }
  visit(set, '')
  return paths
}

function stepOf(key: string): string {
  if (key.startsWith('f:')) return `.${key.slice(2)}`
  if (key.startsWith('v:')) return `[=${key.slice(2)}]`
  const item: JsonObject = JSON.parse(key.slice(2))
  const keys = Object.entries(item)
  return `[${keys.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(',')}]`
}

/** Parses a client's `fieldsV1`; undefined when malformed. */
export function parseFields(value: Json | undefined): Fields | undefined {
  return isFields(value) ? value : undefined
}

function isFields(value: Json | undefined): value is Fields {
  return (
    isObject(value) &&
    Object.entries(value).every(([key, node]) => isKey(key) && isFields(node) && (key !== '.' || isEmpty(node)))
  )
}

function isKey(key: string): boolean {
  if (key === '.' || key.startsWith('f:')) return true
  if (!/^[kv]:/.test(key)) return false
  try {
    const value: unknown = JSON.parse(key.slice(2))
    return key.startsWith('v:') || isObject(value)
  } catch {
    return false
  }
}
