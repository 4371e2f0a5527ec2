import { isBuiltIn, type Kind } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import { isList, isObject, type Json, type JsonObject } from '#base/json.ts'
import { jsonPatch } from './json-patch.ts'
import { requireWithinLimits } from './request.ts'
import { strategicPatch } from './strategic.ts'

/** The media types of patches, but for those of apply. */
export const patchTypes = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
] as const
export type PatchType = (typeof patchTypes)[number]

/**
 * Applies a patch to an object of a kind and returns the new one; the old one is untouched.
 * @throws Fault BadRequest for a malformed patch, Invalid when a `test` fails or a path does not exist.
 */
export function applyPatch(kind: Kind, type: PatchType, object: JsonObject, patch: Json): JsonObject {
  const result = patched(kind, type, object, patch)
  if (!isObject(result)) throw new Fault('BadRequest', 'The patch does not leave an object')
  requireWithinLimits(result)
  if (isBuiltIn(kind)) requireMaps(type, result, patch)
  return result
}

/** What of the metadata is a map of strings. */
const mapsOfMetadata = ['labels', 'annotations'] as const
/** Longest object in a message, characters. */
const maxShown = 1024

/**
 * Labels and annotations that a patch leaves as something else have no place in the types of Go behind the kinds built into
 * Kubernetes; these are its words. @throws Fault Invalid
 */
function requireMaps(type: PatchType, result: JsonObject, patch: Json): void {
  const { metadata } = result
  for (const name of isObject(metadata) ? mapsOfMetadata : []) {
    const value = isObject(metadata) ? (metadata[name] ?? {}) : {}
    if (isObject(value)) continue
    const isStrategic = type === 'application/strategic-merge-patch+json'
    const shown = isStrategic ? inGo(patch) : JSON.stringify(result)
    const why = isStrategic
      ? `cannot restore map from ${isList(value) ? 'slice' : kindInGo(value)}`
      : `json: cannot unmarshal ${isList(value) ? 'array' : typeInJson(value)} into Go struct field ObjectMeta.metadata.${name} of type map[string]string`
    const cut = shown.length > maxShown ? `${shown.slice(0, maxShown)}…` : shown
    const message = `Invalid value: ${JSON.stringify(cut)}: ${why}`
    const causes = [{ reason: 'FieldValueInvalid', message, field: 'patch' }]
    throw new Fault('Invalid', ` "" is invalid: patch: ${message}`, { data: { details: { causes } } })
  }
}

/** A value as Go prints it (`%+v`). */
function inGo(value: Json | undefined): string {
  if (isList(value)) return `[${value.map(inGo).join(' ')}]`
  if (isObject(value)) {
    const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))
    return `map[${entries.map(([name, item]) => `${name}:${inGo(item)}`).join(' ')}]`
  }
  return value === null || value === undefined ? '<nil>' : String(value)
}

function kindInGo(value: Json): string {
  if (typeof value === 'number') return Number.isInteger(value) ? 'int64' : 'float64'
  return typeInJson(value)
}

function typeInJson(value: Json): string {
  return typeof value === 'boolean' ? 'bool' : typeof value
}

function patched(kind: Kind, type: PatchType, object: JsonObject, patch: Json): Json {
  if (type === 'application/json-patch+json') return jsonPatch(object, patch)
  if (!isObject(patch)) throw new Fault('BadRequest', 'A merge patch must be an object')
  return type === 'application/merge-patch+json' ? mergePatch(object, patch) : strategicPatch(kind, object, patch)
}

/** RFC 7386. Keys are copied by own property only, so that `__proto__` in a patch is a key like any other. */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return patch
  const result = new Map<string, Json | undefined>(isObject(target) ? Object.entries(target) : [])
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) result.delete(key)
    else if (value !== undefined) result.set(key, mergePatch(result.get(key), value))
  }
  return Object.fromEntries(result)
}
