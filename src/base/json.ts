/** Values that survive a trip through JSON. Treat them as immutable: a change makes a new value. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject
export type JsonObject = { readonly [key: string]: Json | undefined }

/** True for an object literal, false for null and arrays. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** True for a list. Its items are JSON when the value is. */
export function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value)
}

/** True for a list of strings and nothing else. */
export function isStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

/** The fields of an object that have a value; an empty list for any other value. */
export function jsonEntries(value: Json | undefined): [name: string, value: Json][] {
  if (!isObject(value)) return []
  return Object.entries(value).flatMap(([name, item]): [string, Json][] => (item === undefined ? [] : [[name, item]]))
}

/** Parses JSON; undefined for malformed text, for which the caller reports what it expected. */
export function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Deep equality of JSON values. An absent key equals an undefined one; the order of keys does not matter. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => sameJson(item, b[i]))
  if (!isObject(a) || !isObject(b)) return false
  const keys = new Set([...Object.keys(a), ...Object.keys(b)])
  for (const key of keys) if (!sameJson(own(a, key), own(b, key))) return false
  return true
}

/** A copy that shares nothing with the original: several times as fast as structuredClone, which handles more than JSON. */
export function copyJson<T extends Json>(value: T): T
export function copyJson(value: Json): Json {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((item: Json) => copyJson(item))
  const copy: { [key: string]: Json | undefined } = {}
  for (const [key, item] of Object.entries(value)) {
    const inner = item === undefined ? item : copyJson(item)
    // An assignment would set the copy's prototype.
    if (key === '__proto__')
      Object.defineProperty(copy, key, { value: inner, enumerable: true, configurable: true, writable: true })
    else copy[key] = inner
  }
  return copy
}

/** Whether a value is nested deeper than `levels`; never descends deeper than that itself. */
export function isDeeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels <= 0 || Object.values(value).some((item) => isDeeperThan(item, levels - 1))
}

function own(object: JsonObject, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined
}
