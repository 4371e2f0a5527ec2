import fastJsonPatch from 'fast-json-patch'
import type { Kind } from '#apis/meta/object.ts'
import { explain, Fault } from '#base/fault.ts'
import { copyJson, isObject, type Json, type JsonObject } from '#base/json.ts'
import { requireModest } from './request.ts'
import { strategicPatch } from './strategic.ts'

/** The media types of patches, but for those of apply. */
export const patchTypes = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
] as const
export type PatchType = (typeof patchTypes)[number]

/** Most operations in a JSON patch (Kubernetes' limit). */
const maxOperations = 10_000
/** Most bytes that the `copy` operations of a JSON patch may make: a few of them double an object many times. */
const maxCopiedBytes = 3 * 1024 * 1024

/**
 * Applies a patch to an object of a kind and returns the new one; the old one is untouched.
 * @throws Fault BadRequest for a malformed patch, Invalid when a `test` fails or a path does not exist.
 */
export function applyPatch(kind: Kind, type: PatchType, object: JsonObject, patch: Json): JsonObject {
  const result = patched(kind, type, object, patch)
  if (!isObject(result)) throw new Fault('BadRequest', 'The patch does not leave an object')
  requireModest(result)
  return result
}

function patched(kind: Kind, type: PatchType, object: JsonObject, patch: Json): Json {
  if (type === 'application/json-patch+json') return jsonPatch(object, patch)
  if (!isObject(patch)) throw new Fault('BadRequest', 'A merge patch must be an object')
  return type === 'application/merge-patch+json' ? mergePatch(object, patch) : strategicPatch(kind, object, patch)
}

function jsonPatch(object: JsonObject, patch: Json): Json {
  if (!Array.isArray(patch)) throw new Fault('BadRequest', 'A JSON patch must be a list of operations')
  if (patch.length > maxOperations)
    throw new Fault(
      'TooLarge',
      `The allowed maximum operations in a JSON patch is ${maxOperations}, got ${patch.length}`,
    )
  try {
    let document: unknown = copyJson(object)
    let copied = 0
    // The library puts values of the patch into the document; a patch that is applied again must still be what was sent.
    for (const [i, operation] of (copyJson(patch) as unknown as Operation[]).entries()) {
      // Asked before it is done; the library judges the operation itself.
      if (operation?.op === 'copy') copied += bytesAt(document, operation.from)
      if (copied > maxCopiedBytes)
        throw new Fault('TooLarge', `The copies of a JSON patch may have ${maxCopiedBytes} bytes together`)
      document = fastJsonPatch.applyOperation(document, operation as never, true, true, true, i).newDocument
    }
    return document as JsonObject
  } catch (error) {
    if (error instanceof Fault) throw error
    // The library's message repeats the whole document below its first line.
    const [first] = explain(error).split('\n')
    throw new Fault('Invalid', `the server rejected our request due to an error in our request: ${first}`)
  }
}

type Operation = Readonly<{ op?: unknown; from?: unknown }> | null

function bytesAt(document: unknown, pointer: unknown): number {
  if (typeof pointer !== 'string') return 0
  return JSON.stringify(fastJsonPatch.getValueByPointer(document, pointer) ?? null).length
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
