import { Namespace } from '#apis/core/namespace.ts'
import { kinds } from '#apis/kinds.ts'
import type { Log } from '#base/log.ts'
import type { Client } from '#machinery/client/client.ts'
import { dropFinalizer } from '#machinery/client/finalizers.ts'
import type { Informer } from '#machinery/client/informer.ts'
import { type Controller, runController } from '#machinery/loop/reconcile.ts'

/** Keeps a namespace until everything in it is gone. */
export const namespaceFinalizer = 'kubernetes'

/** Interval of the check whether a namespace is empty, milliseconds. */
const recheckMs = 200

type Options = Readonly<{ client: Client; namespaces: Informer<Namespace>; log: Log; signal: AbortSignal }>

/** Empties deleted namespaces, then drops their finalizer. */
export function startNamespaceController({ client, namespaces, log, signal }: Options): Controller {
  const controller = runController({ name: 'namespace', workers: 1, log, signal, reconcile })
  namespaces.onChange((now) => {
    if (now?.metadata.deletionTimestamp) controller.enqueue(now.metadata.name)
  })
  return controller

  async function reconcile(name: string): Promise<{ againAfterMs: number } | undefined> {
    const namespace = namespaces.get({ name })
    if (!namespace?.metadata.deletionTimestamp) return undefined
    await client.modify(
      Namespace,
      { name },
      (current) =>
        current.metadata.deletionTimestamp
          ? { ...current, status: { ...current.status, phase: 'Terminating' } }
          : undefined,
      { subresource: 'status' },
    )
    if (await empty(name)) return { againAfterMs: recheckMs }
    await dropFinalizer(client, Namespace, namespace, namespaceFinalizer)
    return undefined
  }

  /** Deletes all remaining objects; returns whether there were any. */
  async function empty(namespace: string): Promise<boolean> {
    let left = 0
    for (const kind of kinds.filter((one) => one.namespaced)) {
      const { items } = await client.list(kind, { namespace })
      left += items.length
      for (const item of items) if (!item.metadata.deletionTimestamp) await client.delete(kind, item.metadata)
    }
    return left > 0
  }
}
