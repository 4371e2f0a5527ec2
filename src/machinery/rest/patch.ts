import fastJsonPatch from 'fast-json-patch'
import { explain, Fault } from '#base/fault.ts'
import { isObject, type Json, type JsonObject } from '#base/json.ts'

/** The media types of patches we apply to a kind. */
export const patchTypes = ['application/json-patch+json', 'application/merge-patch+json'] as const
export type PatchType = (typeof patchTypes)[number]

/**
 * Applies a patch to an object and returns the new one; the old one is untouched.
 * @throws Fault BadRequest for a malformed patch, Invalid when a `test` fails or a path does not exist.
 */
export function applyPatch(type: PatchType, object: JsonObject, patch: Json): JsonObject {
  const result = type === 'application/json-patch+json' ? jsonPatch(object, patch) : mergePatch(object, patch)
  if (!isObject(result)) throw new Fault('BadRequest', 'The patch does not leave an object')
  return result
}

function jsonPatch(object: JsonObject, patch: Json): Json {
  if (!Array.isArray(patch)) throw new Fault('BadRequest', 'A JSON patch must be a list of operations')
  try {
    return fastJsonPatch.applyPatch(structuredClone(object) as object, patch as never, true, true, true)
      .newDocument as JsonObject
  } catch (error) {
    // The library's message repeats the whole document below its first line.
    const [first] = explain(error).split('\n')
    throw new Fault('Invalid', `the server rejected our request due to an error in our request: ${first}`)
  }
}

/** RFC 7386. Keys are copied by own property only, so that `__proto__` in a patch is a key like any other. */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return patch
  const result = new Map<string, Json | undefined>(isObject(target) ? Object.entries(target) : [])
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) result.delete(key)
    else if (value !== undefined) result.set(key, mergePatch(result.get(key), value))
  }
  return Object.fromEntries(result) as JsonObject
}
