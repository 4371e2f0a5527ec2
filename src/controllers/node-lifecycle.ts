import type { Lease } from '#apis/coordination/lease.ts'
import { Node } from '#apis/core/node.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import type { Log } from '#base/log.ts'
import { timestamp } from '#base/time.ts'
import { leaseNamespace, nodeNameLabel } from '#core/access/node.ts'
import { unreachableInstance, unreachableNode } from '#core/vm/unreachable.ts'
import type { Client } from '#machinery/client/client.ts'
import { type Informer, onAnyChange } from '#machinery/client/informer.ts'
import { modifySame } from '#machinery/client/modify-same.ts'
import type { Recorder } from '#machinery/client/recorder.ts'
import { type Controller, runController } from '#machinery/loop/reconcile.ts'

/** How long a node without a lease duration may go without renewing its Lease, seconds (Kubernetes' default). */
const usualSeconds = 40

type Options = Readonly<{
  client: Client
  nodes: Informer<Node>
  /** Leases of the namespace for nodes. */
  leases: Informer<Lease>
  vmis: Informer<VirtualMachineInstance>
  recorder: Recorder
  log: Log
  signal: AbortSignal
}>

/** When a node's Lease last changed, by the clock of this process; the clock of the node is never read. */
type Seen = Readonly<{ renewTime: string | undefined; atMs: number }>

/** Sets nodes whose Lease has expired to not ready, so that no pods are placed there; a returning agent sets Ready again. */
export function startNodeLifecycleController(options: Options): Controller {
  const { client, nodes, leases, vmis, recorder, log, signal } = options
  const seen = new Map<string, Seen>()
  const controller = runController({ name: 'node-lifecycle', workers: 1, log, signal, reconcile })
  onAnyChange(nodes, ({ metadata }) => controller.enqueue(metadata.name))
  onAnyChange(leases, ({ metadata }) => controller.enqueue(metadata.name))
  return controller

  async function reconcile(name: string): Promise<{ againAfterMs: number } | undefined> {
    const node = nodes.get({ name })
    if (!node) {
      seen.delete(name)
      return undefined
    }
    const lease = leases.get({ namespace: leaseNamespace, name })
    const leftMs = (lease?.spec?.leaseDurationSeconds ?? usualSeconds) * 1000 - silentMs(name, lease)
    if (leftMs > 0) return { againAfterMs: leftMs }
    await markUnknown(node)
    for (const vmi of vmis.list()) if (vmi.metadata.labels?.[nodeNameLabel] === name) await markNotReady(vmi, name)
    return undefined
  }

  function silentMs(name: string, lease: Lease | undefined): number {
    const renewTime = lease?.spec?.renewTime ?? undefined
    const before = seen.get(name)
    if (before && before.renewTime === renewTime) return performance.now() - before.atMs
    seen.set(name, { renewTime, atMs: performance.now() })
    return 0
  }

  async function markUnknown(node: Stored<Node>): Promise<void> {
    const { name } = node.metadata
    let isNews = false
    await client.modify(
      Node,
      { name },
      (current) => {
        const next = unreachableNode(current, timestamp())
        isNews = next !== undefined
        return next
      },
      { subresource: 'status' },
    )
    if (!isNews) return
    log.warn({ node: name }, 'The agent of a node does not renew its lease')
    recorder(node, 'Normal', 'NodeNotReady', `Node ${name} status is now: NodeNotReady`)
  }

  async function markNotReady(vmi: Stored<VirtualMachineInstance>, node: string): Promise<void> {
    await modifySame(
      client,
      VirtualMachineInstance,
      vmi,
      (current) => unreachableInstance(current, node, timestamp()),
      { subresource: 'status' },
    )
  }
}
