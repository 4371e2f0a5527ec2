import type { ApiObject, Kind, ObjectMeta } from '#apis/meta/object.ts'
import type { Client } from './client.ts'

/** Keeps an object from going until `finalizer` is dropped. Not added to one that is going already. */
export async function addFinalizer<T extends ApiObject>(
  client: Client,
  kind: Kind<T>,
  { metadata }: T,
  finalizer: string,
): Promise<void> {
  if (metadata.deletionTimestamp || metadata.finalizers?.includes(finalizer)) return
  await client.modify(kind, metadata, (current) => {
    const { finalizers = [], deletionTimestamp, uid } = current.metadata
    if (uid !== metadata.uid || deletionTimestamp || finalizers.includes(finalizer)) return undefined
    return withFinalizers(current, [...finalizers, finalizer])
  })
}

/** Lets an object go, as far as `finalizer` is concerned. Another object of the same name is left alone. */
export async function dropFinalizer<T extends ApiObject>(
  client: Client,
  kind: Kind<T>,
  { metadata }: T,
  finalizer: string,
): Promise<void> {
  await client.modify(kind, metadata, (current) => {
    const { finalizers = [], uid } = current.metadata
    if (uid !== metadata.uid || !finalizers.includes(finalizer)) return undefined
    return withFinalizers(
      current,
      finalizers.filter((one) => one !== finalizer),
    )
  })
}

function withFinalizers<T extends ApiObject>(object: T, finalizers: readonly string[]): T {
  const metadata: ObjectMeta = { ...object.metadata, finalizers }
  return { ...object, metadata }
}
