import type { ApiObject, Kind, Stored } from '#apis/meta/object.ts'
import type { Client, Key, ModifyOptions } from './client.ts'

/** Which object was seen: that of this name with this uid. */
export type Seen = Readonly<{ metadata: Key & Readonly<{ uid: string }> }>

/**
 * Changes the newest version of the very object that was seen, as `Client.modify` does: one of the same name that was made
 * after it is left alone, and `change` is not asked about it. Resolves to undefined when the object is gone.
 */
export async function modifySame<T extends ApiObject>(
  client: Pick<Client, 'modify'>,
  kind: Kind<T>,
  { metadata }: Seen,
  change: (current: Stored<T>) => T | undefined,
  options: ModifyOptions = {},
): Promise<Stored<T> | undefined> {
  const isSame = (one: Stored) => one.metadata.uid === metadata.uid
  const after = await client.modify(
    kind,
    metadata,
    (current) => (isSame(current) ? change(current) : undefined),
    options,
  )
  return after && isSame(after) ? after : undefined
}
