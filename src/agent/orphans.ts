import { Node } from '#apis/core/node.ts'
import { Pod } from '#apis/core/pod.ts'
import { apiVersionOf } from '#apis/meta/object.ts'
import { explain, faultKind } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import type { FoundSandbox, Lifecycle } from '#core/ports.ts'
import { foreignReason, isYoungerThan, type NodeIdentity } from '#core/sandbox/owner.ts'
import { sandboxFinalizer } from '#core/vm/launcher.ts'
import type { Client } from '#machinery/client/client.ts'
import type { Informer } from '#machinery/client/informer.ts'
import type { Recorder } from '#machinery/client/recorder.ts'
import { runController } from '#machinery/loop/reconcile.ts'
import { startResync } from '#machinery/loop/resync.ts'

type Options = Readonly<{
  client: Client
  sandboxes: Pick<Lifecycle, 'list' | 'disown' | 'remove'>
  self: NodeIdentity
  pods: Informer<Pod, 'byUid'>
  recorder: Recorder
  log: Log
  /** Interval of the checks of all sandboxes, milliseconds. */
  everyMs: number
  signal: AbortSignal
}>

/** The controller of sandboxes without a pod. */
export type Orphans = Readonly<{
  /** Number of sandboxes that are kept because nothing proves that they may be removed. */
  left(): number
  stop(): Promise<void>
}>

/** The queue key of a check of all sandboxes; no UID is empty. */
const all = ''

/**
 * Removes sandboxes whose pod is proven gone, one at a time, and keeps all others. The proof is a complete list of this node's
 * pods from the cluster that the sandbox belongs to, from a store that is not older than the sandbox.
 */
export function startOrphans(options: Options): Orphans {
  const { pods, sandboxes, self, recorder, log, everyMs, signal } = options
  const podsOfNode = { fieldSelector: `spec.nodeName=${self.node}` }
  const me = { apiVersion: apiVersionOf(Node), kind: Node.kind, metadata: { name: self.node, uid: self.node } }
  const found = new Map<string, FoundSandbox>()
  const left = new Map<string, string>()
  const controller = runController({
    name: 'orphans',
    workers: 1,
    log,
    signal,
    reconcile: (uid) => (uid === all ? lookThrough() : look(uid)),
  })
  // A pod's finalizer is dropped after its sandbox was removed. A user may have removed it by hand.
  pods.onChange((now, before) => {
    const { uid, finalizers } = before?.metadata ?? {}
    if (!now && uid && !finalizers?.includes(sandboxFinalizer)) controller.enqueue(uid)
  })
  startResync({ list: () => [all], enqueue: controller.enqueue, everyMs, signal })
  return { left: () => left.size, stop: () => controller.stop() }

  async function lookThrough(): Promise<void> {
    await refresh()
    for (const uid of found.keys()) controller.enqueue(uid)
  }

  async function refresh(): Promise<void> {
    found.clear()
    for (const one of await sandboxes.list()) if (!pods.indexed('byUid', one.uid).length) found.set(one.uid, one)
    for (const uid of left.keys()) if (!found.has(uid)) left.delete(uid)
  }

  async function look(uid: string): Promise<void> {
    if (!found.has(uid)) await refresh()
    const sandbox = found.get(uid)
    if (!sandbox) return
    const { items, resourceVersion } = await options.client.list(Pod, podsOfNode)
    if (items.some(({ metadata }) => metadata.uid === uid)) return
    if (isYoungerThan(sandbox.owner, resourceVersion)) {
      // The revisions of a restored store soon exceed the recorded one, so the result of this check is recorded now.
      await sandboxes.disown(uid)
      return leave(sandbox, 'it was made after the last change in the store, which is an older copy')
    }
    const reason = foreignReason(sandbox.owner, self)
    if (reason) return leave(sandbox, reason)
    await remove(sandbox)
    found.delete(uid)
    left.delete(uid)
  }

  /** Reports once that a sandbox is kept. */
  function leave({ uid, namespace, name }: FoundSandbox, reason: string): void {
    if (left.has(uid)) return
    left.set(uid, reason)
    log.warn({ uid, pod: `${namespace}/${name}`, reason }, 'Keeping a sandbox that has no pod on this node')
    const remedy = 'its guest goes on; patchbay down ends all guests of this host'
    recorder(me, 'Warning', 'SandboxLeft', `Sandbox ${uid} (${namespace}/${name}) has no pod, and ${reason}: ${remedy}`)
  }

  async function remove({ uid, namespace, name }: FoundSandbox): Promise<void> {
    log.info({ uid, pod: `${namespace}/${name}` }, 'Removing a sandbox whose pod is gone')
    const sandbox = `The sandbox of the deleted pod ${namespace}/${name}`
    const warn = (what: string) => recorder(me, 'Warning', 'FailedKillPod', `${sandbox} ${what}`)
    try {
      const notUndone = await sandboxes.remove(uid, signal)
      if (notUndone.length) warn(`was removed, but not all was undone that CNI plugins did: ${notUndone.join('; ')}`)
    } catch (fault) {
      if (faultKind(fault) !== 'Aborted') warn(`cannot be removed, and is tried again: ${explain(fault)}`)
      throw fault
    }
  }
}
