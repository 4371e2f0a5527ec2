import type { ApiObject, Kind, Stored } from '#apis/meta/object.ts'
import type { Client, Key, ModifyOptions } from './client.ts'

/** The object that was read: its name and uid. */
export type Seen = Readonly<{ metadata: Key & Readonly<{ uid: string }> }>

/**
 * Changes the newest version of the very object that was read, as `Client.modify` does: a recreated one of the same name is
 * left alone, without a call of `change`. Resolves to undefined when the object is gone.
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
