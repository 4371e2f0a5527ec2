import { Lease } from '#apis/coordination/lease.ts'
import { Node, type NodeCondition } from '#apis/core/node.ts'
import { type ApiObject, apiVersionOf, type Kind } from '#apis/meta/object.ts'
import { explain, faultKind } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { timestamp } from '#base/time.ts'
import { delay } from '#base/wait.ts'
import { leaseNamespace } from '#core/access/node.ts'
import type { PoolAmounts } from '#core/pci/pools.ts'
import { withCondition } from '#core/vm/conditions.ts'
import type { Client } from '#machinery/client/client.ts'

/** What the agent reports about its node. */
export type NodeFacts = Readonly<{
  name: string
  labels: Readonly<Record<string, string>>
  info: Readonly<Record<string, string>>
  addresses: readonly Readonly<{ type: string; address: string }>[]
  capacity: Readonly<Record<string, string>>
  /** The part of the capacity that pods may use. */
  allocatable: Readonly<Record<string, string>>
}>

/** How long a node counts as alive after its Lease was renewed, and how often the Lease is renewed. */
export type LeaseTimes = Readonly<{ durationSeconds: number; renewMs: number }>

/** The defaults of Kubernetes. */
export const usualLeaseTimes: LeaseTimes = { durationSeconds: 40, renewMs: 10_000 }

/** What a node says of itself that changes: its images, unless they cannot be listed now, and its extended resources. */
type NodeObservation = PoolAmounts & Readonly<{ images: NonNullable<Node['status']>['images'] }>

type Observe = () => Promise<NodeObservation>

type Options = Readonly<{
  client: Client
  node: NodeFacts
  observe: Observe
  times: LeaseTimes
  log: Log
  signal: AbortSignal
}>

/** Registers a node, then renews its Lease. Resolves when the node exists and its Lease has been renewed once. */
export async function startHeartbeat(options: Options): Promise<Readonly<{ stop(): Promise<void> }>> {
  const { client, node, observe, times, log } = options
  const own = new AbortController()
  const signal = AbortSignal.any([options.signal, own.signal])
  await register(client, node, observe)
  await beat()
  const beating = keepBeating()
  return {
    stop: () => {
      own.abort()
      return beating
    },
  }

  async function beat(): Promise<void> {
    await renew(client, node.name, times.durationSeconds)
    // Writes nothing unless its observation has changed, or the node has been set to not ready or was deleted.
    if (!(await postStatus(client, node, await observe()))) await register(client, node, observe)
  }

  async function keepBeating(): Promise<void> {
    let reported: string | undefined
    while (!signal.aborted) {
      // Rejects only because of the signal, which is checked next.
      await delay(times.renewMs, signal).catch(() => {})
      if (signal.aborted) return
      try {
        await beat()
        if (reported) log.info({}, 'The lease of the node can be renewed again')
        reported = undefined
      } catch (error) {
        const text = explain(error)
        if (!signal.aborted && text !== reported) log.warn({ cause: text }, 'The lease of the node cannot be renewed')
        reported = text
      }
    }
  }
}

async function renew(client: Client, name: string, durationSeconds: number): Promise<void> {
  const key = { namespace: leaseNamespace, name }
  // Kubernetes writes microseconds in this field.
  const renewTime = new Date().toISOString().replace('Z', '000Z')
  const spec = { holderIdentity: name, leaseDurationSeconds: durationSeconds, renewTime }
  if (await client.modify(Lease, key, (lease) => ({ ...lease, spec: { ...lease.spec, ...spec } }))) return
  // A Lease that another client has just created is renewed next time.
  await createUnlessThere(client, Lease, { apiVersion: apiVersionOf(Lease), kind: Lease.kind, metadata: key, spec })
}

async function createUnlessThere<T extends ApiObject>(client: Client, kind: Kind<T>, object: T): Promise<void> {
  try {
    await client.create(kind, object)
  } catch (error) {
    if (faultKind(error) !== 'AlreadyExists') throw error
  }
}

async function register(client: Client, facts: NodeFacts, observe: Observe): Promise<void> {
  const key = { name: facts.name }
  if (!(await client.get(Node, key)))
    await createUnlessThere(client, Node, { apiVersion: apiVersionOf(Node), kind: Node.kind, metadata: key })
  await client.modify(Node, key, (node) => ({
    ...node,
    metadata: { ...node.metadata, labels: { ...node.metadata.labels, ...facts.labels } },
  }))
  await postStatus(client, facts, await observe())
}

/**
 * How often a status that does not change is written all the same, so that `lastHeartbeatTime` says something: kubelet's
 * nodeStatusReportFrequency, milliseconds.
 */
const reportMs = 300_000

function postStatus(
  client: Client,
  facts: NodeFacts,
  { images, ...resources }: NodeObservation,
): Promise<Node | undefined> {
  const ready = { type: 'Ready', status: 'True', reason: 'AgentReady', message: 'patchbay agent is running' } as const
  return client.modify(
    Node,
    { name: facts.name },
    (node) => ({
      ...node,
      status: {
        ...node.status,
        nodeInfo: facts.info,
        addresses: facts.addresses,
        capacity: { ...facts.capacity, ...resources.capacity },
        allocatable: { ...facts.allocatable, ...resources.allocatable },
        ...(images && { images }),
        conditions: withHeartbeat(withCondition(node.status?.conditions, ready, timestamp()), node),
      },
    }),
    { subresource: 'status' },
  )
}

/** The conditions with the time of this report, if the last one was long ago or the node was taken for dead since. */
function withHeartbeat(conditions: readonly NodeCondition[], { status }: Node, now = Date.now()): NodeCondition[] {
  return conditions.map((one) => {
    if (one.type !== 'Ready') return one
    const before: NodeCondition | undefined = status?.conditions?.find(({ type }) => type === 'Ready')
    const last = before?.status === 'True' ? (before.lastHeartbeatTime ?? '') : ''
    const isLong = !(now - Date.parse(last) < reportMs)
    return { ...one, lastHeartbeatTime: isLong ? timestamp(now) : last }
  })
}
