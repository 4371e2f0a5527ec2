import { Fault } from '#base/fault.ts'
import { isList, isObject, type Json, type JsonObject, jsonEntries } from '#base/json.ts'
import { below, type Fields, isMember } from './fields.ts'
import { fieldShape, itemKey, itemsByKey, type Shape } from './schema.ts'

/** `live` with everything that `config` says; items of keyed lists are merged, in the order of `config` where it has one. */
export function merge(shape: Shape, live: Json | undefined, config: Json): Json {
  if (shape.as === 'map' && isObject(live) && isObject(config)) {
    const result = new Map<string, Json | undefined>(Object.entries(live))
    for (const [name, value] of Object.entries(config)) {
      const inside = fieldShape(shape, name)
      const old = result.get(name)
      if (value !== undefined) result.set(name, inside ? merge(inside, old, value) : value)
    }
    return Object.fromEntries(result)
  }
  if (shape.as !== 'list' && shape.as !== 'set') return config
  const before = live === undefined ? undefined : itemsByKey(shape, live)
  const wanted = itemsByKey(shape, config)
  if (!before?.size || !wanted) return config
  return mergedKeys([...before.keys()], wanted).flatMap((key) => {
    const [old, item] = [before.get(key), wanted.get(key)]
    if (item !== undefined) return [shape.as === 'list' ? merge(shape.item, old, item) : item]
    return old === undefined ? [] : [old]
  })
}

/**
 * The keys of both lists: those of the configuration in its order, and those that only the live list has as soon as nothing that
 * both have is due before them (structured-merge-diff, typed/merge.go: visitListItems).
 */
function mergedKeys(live: readonly string[], config: ReadonlyMap<string, unknown>): string[] {
  const wanted = [...config.keys()]
  const here = new Set(live)
  const shared = wanted.filter((key) => here.has(key))
  const keys = new Set<string>()
  for (let l = 0, r = 0, due = 0; l < live.length || r < wanted.length; ) {
    const [own, want, next] = [live[l], wanted[r], shared[due]]
    if (own !== undefined && own !== want) {
      const isLater = config.has(own) && want !== undefined && next !== undefined && next !== own
      if (isLater || keys.has(own)) l++
      if (isLater) continue
      if (!config.has(own)) {
        keys.add(own)
        l++
        continue
      }
    }
    if (want === undefined) continue
    keys.add(want)
    r++
    if (own === want) l++
    if (own === want || next === want) due++
  }
  return [...keys]
}

/** What stays of what is dropped: fields that a manager owns, and those of them that a manager has applied. */
type Kept = Readonly<{ owned: Fields | undefined; applied: Fields | undefined }>

function keptBelow({ owned, applied }: Kept, key: string): Kept {
  return { owned: below(owned, key), applied: below(applied, key) }
}

/**
 * `value` without the members of `dropped` that no manager owns. A field that the schema names is removed with all its content
 * when no manager owns anything below it. Items of lists and keys of maps are members by themselves: they are removed although a
 * manager owns a field below them, and stay when only their fields are dropped (structured-merge-diff, merge/update.go: prune).
 * What is emptied by that stays when a manager has applied it, and not for one in whose update it came into being.
 */
export function prune(shape: Shape, value: Json, dropped: Fields, kept: Kept): Json {
  if (shape.as === 'map' && isObject(value)) {
    const entries = Object.entries(value).flatMap(([name, item]): [string, Json][] => {
      if (item === undefined) return []
      const inside = fieldShape(shape, name)
      const [gone, held] = [below(dropped, `f:${name}`), keptBelow(kept, `f:${name}`)]
      const left = inside ? pruned(inside, item, gone, held, !shape.fields.has(name)) : item
      return left === undefined ? [] : [[name, left]]
    })
    return Object.fromEntries(entries)
  }
  if (shape.as !== 'list' && shape.as !== 'set') return value
  const items = itemsByKey(shape, value)
  if (!items) return value
  const inside: Shape = shape.as === 'list' ? shape.item : { as: 'atom' }
  return [...items].flatMap(([key, item]) => {
    const left = pruned(inside, item, below(dropped, key), keptBelow(kept, key), true)
    if (left === undefined) return []
    return [shape.as === 'list' ? withKeys(shape.keys, left, item) : left]
  })
}

/** What is left of a value; undefined when it is removed. `alone`: it is a member by itself, not by what is in it. */
function pruned(shape: Shape, value: Json, dropped: Fields | undefined, kept: Kept, alone: boolean): Json | undefined {
  if (!dropped) return value
  const { owned, applied } = kept
  const isKept = owned !== undefined && (!alone || isMember(owned))
  if (!isKept && (!alone || isMember(dropped))) return undefined
  const left = prune(shape, value, dropped, kept)
  const isEmptied = isVoid(left) && !isVoid(value)
  return isEmptied && !(applied && isMember(applied)) ? undefined : left
}

/** An item that stays keeps its keys, by which it is found. */
function withKeys(keys: readonly string[], left: Json, item: Json): Json {
  if (!isObject(left) || !isObject(item) || keys.every((key) => left[key] === item[key])) return left
  return { ...left, ...Object.fromEntries(keys.map((key) => [key, item[key]])) }
}

function isVoid(value: Json): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0
}

/**
 * A configuration ready to merge: without nulls, which mean nothing.
 * @throws Fault BadRequest for duplicate items of a keyed list.
 */
export function requireMergeable(shape: Shape, config: JsonObject, what: string): JsonObject {
  const mergeable = checked(shape, config, '')
  return isObject(mergeable) ? mergeable : {}

  function checked(at: Shape, value: Json, path: string): Json {
    if (at.as === 'list' && isList(value)) {
      requireKeys(at.keys, value, path)
      return value.map((item) => checked(at.item, item, `${path}[${itemName(at.keys, item)}]`))
    }
    if (at.as === 'set' && Array.isArray(value) && new Set(value).size < value.length)
      throw refused(`${path}: duplicate entries; name every item once`)
    if (at.as !== 'map' || !isObject(value)) return value
    const entries = jsonEntries(value).filter(([, item]) => item !== null)
    return Object.fromEntries(
      entries.map(([name, item]) => {
        const inside = fieldShape(at, name)
        return [name, inside ? checked(inside, item, `${path}.${name}`) : item]
      }),
    )
  }

  function requireKeys(keys: readonly string[], list: readonly Json[], path: string): void {
    const seen = new Set<string>()
    const names = keys.map((name) => `"${name}"`).join(', ')
    for (const [i, item] of list.entries()) {
      const key = itemKey(keys, item)
      if (key === undefined)
        throw refused(
          `${path}: element ${i}: associative list with keys has an element that omits key field ${names} (and doesn't have default value); add it`,
        )
      if (seen.has(key))
        throw refused(
          `${path}: duplicate entries for key [${itemName(keys, item)}]; give every item a ${names} of its own`,
        )
      seen.add(key)
    }
  }

  function refused(why: string): Fault {
    return new Fault('BadRequest', `failed to create typed patch object (${what}): ${why}`)
  }
}

function itemName(keys: readonly string[], item: Json): string {
  return isObject(item) ? keys.map((name) => `${name}=${JSON.stringify(item[name])}`).join(',') : ''
}
