import type { ApiObject, Kind, Stored } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import { isObject } from '#base/json.ts'

/** The metadata fields of every stored object. */
const alwaysThere = ['name', 'uid', 'resourceVersion', 'creationTimestamp'] as const

/**
 * JSON of an API server as an object of a kind. The kind's own fields are as its type says: before storing them the server
 * has checked them by the schema the type is made from.
 * @throws Fault Internal when metadata is malformed
 */
export function storedOf<T extends ApiObject>(kind: Kind<T>, value: unknown): Stored<T> {
  const metadata = isObject(value) ? value.metadata : undefined
  if (isObject(metadata) && alwaysThere.every((name) => typeof metadata[name] === 'string')) return value as Stored<T>
  throw new Fault('Internal', `The server sent no ${kind.kind} that is stored`)
}

/** The same for an object to create, which is not stored yet. @throws Fault Internal */
export function draftOf<T extends ApiObject>(kind: Kind<T>, value: unknown): T {
  const metadata = isObject(value) ? value.metadata : undefined
  if (isObject(metadata) && typeof metadata.name === 'string') return value as T
  throw new Fault('Internal', `The server sent no ${kind.kind}`)
}
