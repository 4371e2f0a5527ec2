import type { ApiObject, Kind } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import type { Client } from './client.ts'
import { modifySame, type Seen } from './modify-same.ts'

/** Adds `finalizer` to an object. Not added to a terminating one. */
export async function addFinalizer<T extends ApiObject>(
  client: Client,
  kind: Kind<T>,
  object: T,
  finalizer: string,
): Promise<void> {
  const { metadata } = object
  if (metadata.deletionTimestamp || metadata.finalizers?.includes(finalizer)) return
  await modifySame(client, kind, seen(object), (current) => {
    const { finalizers = [], deletionTimestamp } = current.metadata
    if (deletionTimestamp || finalizers.includes(finalizer)) return undefined
    return withFinalizers(current, [...finalizers, finalizer])
  })
}

/** Removes `finalizer` from an object. Another object of the same name is left alone. */
export async function dropFinalizer<T extends ApiObject>(
  client: Client,
  kind: Kind<T>,
  object: T,
  finalizer: string,
): Promise<void> {
  await modifySame(client, kind, seen(object), (current) => {
    const { finalizers = [] } = current.metadata
    if (!finalizers.includes(finalizer)) return undefined
    return withFinalizers(
      current,
      finalizers.filter((one) => one !== finalizer),
    )
  })
}

/** @throws Fault Bug for an object that was never stored */
function seen({ kind, metadata: { name, namespace, uid } }: ApiObject): Seen {
  if (uid === undefined) throw new Fault('Bug', `${kind} ${name} has no uid`)
  return { metadata: { name, uid, ...(namespace !== undefined && { namespace }) } }
}

function withFinalizers<T extends ApiObject>(object: T, finalizers: readonly string[]): T {
  return { ...object, metadata: { ...object.metadata, finalizers } }
}
