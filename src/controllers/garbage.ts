import { isVersionOf, type Kind, type OwnerReference, type StoredMeta } from '#apis/meta/object.ts'
import type { Log } from '#base/log.ts'
import type { Client, Key } from '#machinery/client/client.ts'
import { makeInformer } from '#machinery/client/informer.ts'
import { modifySame } from '#machinery/client/modify-same.ts'
import { type Controller, runController } from '#machinery/loop/reconcile.ts'

/** Keeps an owner until its dependents are deleted. */
const foregroundFinalizer = 'foregroundDeletion'
/** Keeps an owner until its dependents no longer reference it. */
export const orphanFinalizer = 'orphan'

/** An object as the collector sees it. */
type Item = Readonly<{ kind: Kind; metadata: StoredMeta }>
type Options = Readonly<{ client: Client; kinds: readonly Kind[]; log: Log; signal: AbortSignal }>

/**
 * Deletes objects whose owners are all gone, and carries out the propagation policy of a deleted owner: delete its
 * dependents first (`foregroundDeletion`), or keep them (`orphan`). An owner counts as gone only when the server says so.
 */
export function startGarbageController({ client, kinds, log, signal }: Options): Controller {
  const items = new Map<string, Item>()
  const dependents = new Map<string, Set<string>>()
  const informers = kinds.map((kind) => ({ kind, informer: makeInformer(client, kind, {}, { log, signal }) }))
  const synced = Promise.all(informers.map(({ informer }) => informer.synced)).then(() => undefined)
  const reconcile = (uid: string) => collect(client, kinds, items.get(uid))
  const controller = runController({ name: 'garbage', workers: 2, log, signal, reconcile, sources: [() => synced] })
  for (const { kind, informer } of informers)
    informer.onChange((now, before) => {
      if (before) forget(before.metadata)
      if (now) note({ kind, metadata: now.metadata })
      // Each dependent of a deleted object lost an owner; its other owners may have waited for its deletion.
      if (!now && before) for (const uid of dependents.get(before.metadata.uid) ?? []) controller.enqueue(uid)
      for (const owner of (now ?? before)?.metadata.ownerReferences ?? []) controller.enqueue(owner.uid)
    })
  return controller

  function note(item: Item): void {
    const { uid, ownerReferences = [], deletionTimestamp } = item.metadata
    items.set(uid, item)
    for (const owner of ownerReferences) {
      const known = dependents.get(owner.uid) ?? new Set()
      dependents.set(owner.uid, known.add(uid))
    }
    if (deletionTimestamp || ownerReferences.length) controller.enqueue(uid)
  }

  function forget({ uid, ownerReferences = [] }: StoredMeta): void {
    items.delete(uid)
    for (const owner of ownerReferences) {
      const known = dependents.get(owner.uid)
      known?.delete(uid)
      if (known?.size === 0) dependents.delete(owner.uid)
    }
  }
}

/** One pass over one object: first as a terminating owner, then as a dependent. */
async function collect(client: Client, kinds: readonly Kind[], item: Item | undefined): Promise<void> {
  if (!item) return
  const { kind } = item
  // The cache may lag behind, and a deletion cannot be undone.
  const live = await client.get(kind, item.metadata)
  if (!live || live.metadata.uid !== item.metadata.uid) return
  const { metadata } = live
  if (metadata.deletionTimestamp) {
    if (metadata.finalizers?.includes(orphanFinalizer)) await orphan(client, kinds, { kind, metadata })
    else if (metadata.finalizers?.includes(foregroundFinalizer))
      await finishForeground(client, kinds, { kind, metadata })
    return
  }
  const owners = await Promise.all(
    (metadata.ownerReferences ?? []).map((owner) => ownerState(client, kinds, owner, metadata.namespace)),
  )
  const lost = (metadata.ownerReferences ?? []).filter((_, i) => owners[i] !== 'there')
  if (!lost.length) return
  if (lost.length === owners.length) {
    const waits = owners.includes('waiting')
    await client.delete(kind, metadata, { ...asSeen(metadata), ...(waits && { propagation: 'Foreground' as const }) })
    return
  }
  await disown(client, { kind, metadata }, new Set(lost.map((owner) => owner.uid)))
}

/** `waiting`: it exists only until its dependents are gone. */
async function ownerState(
  client: Client,
  kinds: readonly Kind[],
  owner: OwnerReference,
  namespace: string | undefined,
): Promise<'there' | 'waiting' | 'gone'> {
  const kind = kinds.find((one) => one.kind === owner.kind && isVersionOf(one, owner.apiVersion))
  // The server knows nothing of a kind it does not serve, so nothing is deleted because of one.
  if (!kind) return 'there'
  const found = await client.get(kind, keyIn(kind, owner.name, namespace))
  if (found?.metadata.uid !== owner.uid) return 'gone'
  const { deletionTimestamp, finalizers } = found.metadata
  return deletionTimestamp && finalizers?.includes(foregroundFinalizer) ? 'waiting' : 'there'
}

/** Preconditions: the object as it was when its owners were checked. */
function asSeen({ uid, resourceVersion }: StoredMeta): { uid: string; resourceVersion: string } {
  return { uid, resourceVersion }
}

function keyIn(kind: Kind, name: string, namespace: string | undefined): Key {
  return { name, ...(kind.namespaced && namespace !== undefined && { namespace }) }
}

async function orphan(client: Client, kinds: readonly Kind[], owner: Item): Promise<void> {
  const { uid } = owner.metadata
  for (const item of await ownedBy(client, kinds, owner)) await disown(client, item, new Set([uid]))
  await dropFinalizer(client, owner, orphanFinalizer)
}

/** Drops the finalizer when no dependent blocks it; each deleted dependent enqueues its owner again. */
async function finishForeground(client: Client, kinds: readonly Kind[], owner: Item): Promise<void> {
  const { uid } = owner.metadata
  const left = await ownedBy(client, kinds, owner)
  for (const { kind, metadata } of left) {
    const isShared = (metadata.ownerReferences ?? []).length > 1
    if (isShared || metadata.deletionTimestamp) continue
    await client.delete(kind, metadata, { ...asSeen(metadata), propagation: 'Foreground' })
  }
  const blocks = ({ metadata }: Item) =>
    metadata.ownerReferences?.some((one) => one.uid === uid && one.blockOwnerDeletion === true)
  if (!(await ownedBy(client, kinds, owner)).some(blocks)) await dropFinalizer(client, owner, foregroundFinalizer)
}

/** Read from the server, not from a cache: a dependent that is missed now stays for ever. */
async function ownedBy(client: Client, kinds: readonly Kind[], { kind, metadata }: Item): Promise<Item[]> {
  const scope = kind.namespaced && metadata.namespace !== undefined ? { namespace: metadata.namespace } : {}
  const lists = await Promise.all(
    kinds
      .filter((one) => one.namespaced || !kind.namespaced)
      .map(async (one) => ({ kind: one, ...(await client.list(one, scope)) })),
  )
  return lists.flatMap((list) =>
    list.items
      .filter((one) => one.metadata.ownerReferences?.some((owner) => owner.uid === metadata.uid))
      .map((one) => ({ kind: list.kind, metadata: one.metadata })),
  )
}

async function disown(client: Client, { kind, metadata }: Item, owners: ReadonlySet<string>): Promise<void> {
  await modifySame(client, kind, { metadata }, ({ metadata: current, ...object }) => ({
    ...object,
    metadata: {
      ...current,
      ownerReferences: (current.ownerReferences ?? []).filter((owner) => !owners.has(owner.uid)),
    },
  }))
}

async function dropFinalizer(client: Client, { kind, metadata }: Item, finalizer: string): Promise<void> {
  await modifySame(client, kind, { metadata }, ({ metadata: current, ...object }) => ({
    ...object,
    metadata: { ...current, finalizers: (current.finalizers ?? []).filter((one) => one !== finalizer) },
  }))
}
