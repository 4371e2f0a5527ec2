import { Fault } from '#base/fault.ts'
import { isObject, type Json, type JsonObject } from '#base/json.ts'

/**
 * Lists of Kubernetes' own kinds that a strategic patch merges, by their path, with the field that tells items apart (none:
 * the items are plain values). Every other list is replaced as a whole, as in a merge patch.
 */
const mergedLists: Readonly<Record<string, string | undefined>> = {
  'metadata.finalizers': undefined,
  'metadata.ownerReferences': 'uid',
  imagePullSecrets: 'name',
  secrets: 'name',
  'spec.containers': 'name',
  'spec.volumes': 'name',
  'status.addresses': 'type',
  'status.conditions': 'type',
  'status.podIPs': 'ip',
}

/** A word of the patch language (`$patch`, `$setElementOrder/…`) instead of a field. */
const isDirective = (key: string) => key.startsWith('$')

/**
 * Applies a strategic merge patch, which kubectl sends for the kinds it was compiled with.
 * @throws Fault BadRequest for an item of a merged list that does not say which one it is.
 */
export function strategicPatch(object: JsonObject, patch: JsonObject): JsonObject {
  return mergeObjects(object, patch, '')
}

function mergeObjects(target: JsonObject, patch: JsonObject, path: string): JsonObject {
  if (patch.$patch === 'replace') return withoutDirectives(patch)
  const result = new Map<string, Json | undefined>(Object.entries(target))
  for (const [key, value] of Object.entries(patch)) {
    const removed = key.startsWith('$deleteFromPrimitiveList/') ? key.slice(key.indexOf('/') + 1) : undefined
    if (removed !== undefined && Array.isArray(value)) result.set(removed, without(result.get(removed), value))
    if (isDirective(key) || value === undefined) continue
    if (value === null) result.delete(key)
    else result.set(key, mergeValues(result.get(key), value, path ? `${path}.${key}` : key))
  }
  return Object.fromEntries(result)
}

function mergeValues(target: Json | undefined, value: Json, path: string): Json {
  if (isObject(value)) {
    if (value.$patch === 'delete') return {}
    return mergeObjects(isObject(target) ? target : {}, value, path)
  }
  if (!Array.isArray(value) || !Object.hasOwn(mergedLists, path)) return value
  const before: readonly Json[] = Array.isArray(target) ? target : []
  const key = mergedLists[path]
  return key === undefined ? [...new Set([...before, ...value])] : mergeItems(before, value, key, path)
}

function mergeItems(before: readonly Json[], patch: readonly Json[], key: string, path: string): Json {
  const items = patch.some((item) => isObject(item) && item.$patch === 'replace') ? [] : [...before]
  for (const item of patch) {
    if (isObject(item) && item.$patch === 'replace') continue
    if (!isObject(item) || item[key] === undefined)
      throw new Fault(
        'BadRequest',
        `map: ${JSON.stringify(item)} does not contain declared merge key: ${key} (${path})`,
      )
    const at = items.findIndex((one) => isObject(one) && one[key] === item[key])
    const found = items[at]
    if (item.$patch === 'delete') {
      if (at >= 0) items.splice(at, 1)
    } else if (isObject(found)) items[at] = mergeObjects(found, item, `${path}[]`)
    else items.push(withoutDirectives(item))
  }
  return items
}

function without(list: Json | undefined, removed: readonly Json[]): readonly Json[] {
  return Array.isArray(list) ? list.filter((item) => !removed.includes(item)) : []
}

function withoutDirectives(value: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(value).filter(([key, item]) => !isDirective(key) && item !== null))
}
