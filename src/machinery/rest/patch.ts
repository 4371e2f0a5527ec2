import type { Kind } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import { isObject, type Json, type JsonObject } from '#base/json.ts'
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
  return result
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
