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
  const { pods, log, everyMs, signal } = options
  const check = new OrphanCheck(options)
  const controller = runController({
    name: 'orphans',
    workers: 1,
    log,
    signal,
    reconcile: async (uid) => {
      if (uid !== all) return check.one(uid)
      for (const found of await check.listed()) controller.enqueue(found)
    },
  })
  // A pod's finalizer is dropped after its sandbox was removed. A user may have removed it by hand.
  pods.onChange((now, before) => {
    const { uid, finalizers } = before?.metadata ?? {}
    if (!now && uid && !finalizers?.includes(sandboxFinalizer)) controller.enqueue(uid)
  })
  startResync({ list: () => [all], enqueue: controller.enqueue, everyMs, signal })
  return { left: () => check.left, stop: () => controller.stop() }
}

/** Checks sandboxes without a pod, and remembers which it has found and which are kept. */
class OrphanCheck {
  readonly #options: Options
  /** The node, as the object of Events. */
  readonly #node: Node
  readonly #found = new Map<string, FoundSandbox>()
  /** Sandboxes that are kept and were reported. */
  readonly #left = new Set<string>()

  constructor(options: Options) {
    this.#options = options
    const { node } = options.self
    this.#node = { apiVersion: apiVersionOf(Node), kind: Node.kind, metadata: { name: node, uid: node } }
  }

  /** Number of sandboxes that are kept. */
  get left(): number {
    return this.#left.size
  }

  /** UIDs of all sandboxes without a pod in the cache, which proves nothing. */
  async listed(): Promise<readonly string[]> {
    const { sandboxes, pods } = this.#options
    this.#found.clear()
    for (const one of await sandboxes.list()) if (!pods.indexed('byUid', one.uid).length) this.#found.set(one.uid, one)
    for (const uid of this.#left) if (!this.#found.has(uid)) this.#left.delete(uid)
    return [...this.#found.keys()]
  }

  /** Removes a sandbox if its pod is proven gone. */
  async one(uid: string): Promise<void> {
    const { client, sandboxes, self } = this.#options
    if (!this.#found.has(uid)) await this.listed()
    const sandbox = this.#found.get(uid)
    if (!sandbox) return
    const { items, resourceVersion } = await client.list(Pod, { fieldSelector: `spec.nodeName=${self.node}` })
    if (items.some(({ metadata }) => metadata.uid === uid)) return
    if (isYoungerThan(sandbox.owner, resourceVersion)) {
      // The revisions of a restored store soon exceed the recorded one, so the result of this check is recorded now.
      await sandboxes.disown(uid)
      return this.#keep(sandbox, 'it was made after the last change in the store, which is an older copy')
    }
    const reason = foreignReason(sandbox.owner, self)
    if (reason) return this.#keep(sandbox, reason)
    await this.#remove(sandbox)
    this.#found.delete(uid)
    this.#left.delete(uid)
  }

  /** Reports once that a sandbox is kept. */
  #keep({ uid, namespace, name }: FoundSandbox, reason: string): void {
    if (this.#left.has(uid)) return
    this.#left.add(uid)
    const { log, recorder } = this.#options
    log.warn({ uid, pod: `${namespace}/${name}`, reason }, 'Keeping a sandbox that has no pod on this node')
    const what = `Sandbox ${uid} (${namespace}/${name}) has no pod, and ${reason}`
    const remedy = 'its guest goes on; patchbay down ends all guests of this host'
    recorder(this.#node, 'Warning', 'SandboxLeft', `${what}: ${remedy}`)
  }

  async #remove({ uid, namespace, name }: FoundSandbox): Promise<void> {
    const { log, recorder, sandboxes, signal } = this.#options
    log.info({ uid, pod: `${namespace}/${name}` }, 'Removing a sandbox whose pod is gone')
    const sandbox = `The sandbox of the deleted pod ${namespace}/${name}`
    const warn = (what: string) => recorder(this.#node, 'Warning', 'FailedKillPod', `${sandbox} ${what}`)
    try {
      const notUndone = await sandboxes.remove(uid, signal)
      if (notUndone.length) warn(`was removed, but not all was undone that CNI plugins did: ${notUndone.join('; ')}`)
    } catch (fault) {
      if (faultKind(fault) !== 'Aborted') warn(`cannot be removed, and is tried again: ${explain(fault)}`)
      throw fault
    }
  }
}
