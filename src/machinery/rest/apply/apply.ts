import { apiVersionOf, type Kind } from '#apis/meta/object.ts'
import { Fault, faultKind } from '#base/fault.ts'
import { isObject, type JsonObject } from '#base/json.ts'
import type { Key } from '../../client/client.ts'
import { type Doc, storeKey } from '../doc.ts'
import { type Registry, type WriteOptions, writerOf } from '../registry.ts'
import { conflict } from '../status.ts'
import { requireKnown } from '../unknown.ts'
import { applied, configOf } from './managed.ts'

export type ApplyOptions = WriteOptions &
  Readonly<{
    force: boolean
    /** Called before an object is made: who may patch may not create for that. @throws Fault Forbidden */
    requireCreate: () => void
  }>

/**
 * Server-side apply: creates an object, or sets those of its fields that `config` has.
 * @throws Fault Conflict naming the owners of fields that differ, and whatever create and update throw.
 */
export async function applyObject(
  registry: Registry,
  kind: Kind,
  key: Key,
  config: JsonObject,
  options: ApplyOptions,
): Promise<{ doc: Doc; isNew: boolean }> {
  const wanted = requireConfig(kind, key, config, options.subresource)
  const once: WriteOptions = { ...options, operation: 'Apply', unknownFields: 'Ignore' }
  const how = { writer: writerOf(once), force: options.force }
  if (!options.subresource && !(await registry.store.get(storeKey(kind, key)))) {
    requireNoUid(kind, key.name, wanted)
    options.requireCreate()
    try {
      return { doc: await registry.create(kind, key.namespace, wanted, once), isNew: true }
    } catch (error) {
      // Another client created it in between.
      if (faultKind(error) !== 'AlreadyExists') throw error
    }
  }
  const change = (live: Doc) => applied(kind, live, wanted, how)
  return { doc: await registry.update(kind, key, change, once), isNew: false }
}

/** @throws Fault Conflict for a configuration of an object that is gone */
function requireNoUid(kind: Kind, name: string, { metadata }: JsonObject): void {
  const uid = isObject(metadata) ? metadata.uid : undefined
  if (!uid) return
  const why = `uid mismatch: the provided object specified uid ${String(uid)}, and no existing object was found`
  throw conflict(kind, name, why)
}

/** What of a configuration this write may set. @throws Fault BadRequest */
function requireConfig(kind: Kind, key: Key, config: JsonObject, subresource: 'status' | undefined): JsonObject {
  const meta = config.metadata ?? {}
  if (!isObject(meta)) throw new Fault('BadRequest', 'metadata must be an object')
  const { managedFields, ...metadata } = meta
  if (managedFields !== undefined && managedFields !== null)
    throw new Fault('BadRequest', 'metadata.managedFields must be nil; remove it from what you apply')
  if (typeof metadata.name === 'string' && metadata.name !== key.name)
    throw new Fault(
      'BadRequest',
      `the name of the object (${metadata.name}) does not match the name on the URL (${key.name})`,
    )
  const named = {
    apiVersion: apiVersionOf(kind),
    kind: kind.kind,
    ...config,
    metadata: { ...metadata, name: metadata.name ?? key.name },
  }
  const what = `${key.namespace ?? ''}/${key.name}; ${apiVersionOf(kind)}, Kind=${kind.kind}`
  const { status, ...rest } = configOf(kind, requireKnown(kind, named, what), what)
  if (!kind.status) return { ...rest, ...(status !== undefined && { status }) }
  if (!subresource) return rest
  const { apiVersion, kind: kindName, metadata: own } = rest
  return {
    apiVersion,
    kind: kindName,
    metadata: headOf(isObject(own) ? own : {}),
    ...(status !== undefined && { status }),
  }
}

/** The part of metadata that only says which object is meant. */
function headOf({ name, namespace, uid, resourceVersion }: JsonObject): JsonObject {
  return { name, namespace, uid, resourceVersion }
}
