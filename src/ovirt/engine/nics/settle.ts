import { Pod } from '#apis/core/pod.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { networkStatusIn } from '#apis/net/attachment.ts'
import { faultKind } from '#base/fault.ts'
import { delay } from '#base/wait.ts'
import { failuresOf, isInGuest } from '#core/nic/followed.ts'
import type { Client, Key } from '#machinery/client/client.ts'
import type { EngineNic } from './nic.ts'

/** Longest time in which a guest has to follow a change, milliseconds. */
const settleMs = 60_000
/** Interval of looking at what no watch of the instance shows: the networks in the annotations of its pod, milliseconds. */
const lookMs = 50

/** How a wait ended: the guest follows, the node says that it cannot, or nobody knows in time. */
export type Settled = Readonly<{ is: 'done' } | { is: 'failed' | 'late'; why: string }>

/** What the guest is to have of an interface; undefined where it is not to have it. */
export type Goal = Readonly<{ interface: string; nic: EngineNic | undefined }>

/**
 * Waits until an instance says of an interface what a client asked for: oVirt answers a change of a running guest when the guest
 * has it. `before` is the instance as it was before the change: what was wrong with it then is no news. One that ends meanwhile has
 * nothing to follow.
 */
export async function settled(
  client: Client,
  before: Stored<VirtualMachineInstance>,
  goal: Goal,
  stop: AbortSignal,
): Promise<Settled> {
  const deadline = AbortSignal.timeout(settleMs)
  const signal = AbortSignal.any([stop, deadline])
  const key = { namespace: before.metadata.namespace, name: before.metadata.name }
  const old = ownFailure(before, goal.interface)
  let last = 'its instance has not changed'
  try {
    for await (const vmi of versions(client, key, signal)) {
      if (!vmi) return { is: 'done' }
      const state = stateOf(vmi, goal)
      // A card that is there and lacks something, such as a copy of traffic, is not as it was asked to be.
      const failure = ownFailure(vmi, goal.interface)
      const isDone = state === 'there' && !failure?.includes(`interface "${goal.interface}"`)
      if (failure !== undefined && failure !== old && !isDone) return { is: 'failed', why: failure }
      if (state === 'there' && (await isConnected(client, vmi, goal, signal))) return { is: 'done' }
      last = failure ?? `the interface is ${state}`
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
  return { is: 'late', why: last }
}

/** An instance as it is and as it becomes; undefined when it is gone. */
async function* versions(
  client: Client,
  key: Required<Key>,
  signal: AbortSignal,
): AsyncIterable<Stored<VirtualMachineInstance> | undefined> {
  const scope = { namespace: key.namespace, fieldSelector: `metadata.name=${key.name}` }
  while (!signal.aborted) {
    const { items, resourceVersion } = await client.list(VirtualMachineInstance, scope)
    yield items[0]
    try {
      for await (const events of client.watch(VirtualMachineInstance, resourceVersion, scope, signal))
        for (const event of events) {
          if (event.type === 'BOOKMARK') continue
          yield event.type === 'DELETED' ? undefined : event.object
        }
    } catch (error) {
      // History that far back is gone: list again.
      if (faultKind(error) !== 'Expired') throw error
    }
  }
}

function stateOf({ spec, status }: Stored<VirtualMachineInstance>, { interface: name, nic }: Goal): string {
  const seen = status?.interfaces?.find((one) => one.name === name)
  if (!nic)
    return !seen && !spec.domain.devices.interfaces?.some((one) => one.name === name) ? 'there' : 'still in the guest'
  if (!seen || !isInGuest(seen)) return 'not in the guest yet'
  const link = nic.linked && nic.profile ? 'up' : 'down'
  return seen.linkState === link ? 'there' : `${seen.linkState}, not ${link} yet`
}

/** Waits until the pod of an instance is on the network of an interface. Resolves to false when that does not become so. */
async function isConnected(
  client: Client,
  vmi: Stored<VirtualMachineInstance>,
  { interface: name, nic }: Goal,
  signal: AbortSignal,
): Promise<boolean> {
  const key = nic?.isPrimary ? undefined : nic?.profile?.network.key
  const link = vmi.status?.interfaces?.find((one) => one.name === name)?.podInterfaceName
  if (!nic || nic.isPrimary) return true
  const { namespace, name: of } = vmi.metadata
  for (;;) {
    const { items } = await client.list(Pod, { namespace, labelSelector: `vm.kubevirt.io/name=${of}` })
    const found = items
      .filter((pod) => pod.spec.nodeName === vmi.status?.nodeName)
      .flatMap((pod) => networkStatusIn(pod.metadata.annotations))
      .find((one) => one.interface === link)
    if (found?.name === key) return true
    await delay(lookMs, signal)
    const now = await client.get(VirtualMachineInstance, { namespace, name: of })
    if (!now || ownFailure(now, name) !== undefined) return false
  }
}

/**
 * What the node cannot do about an interface. A network that another one has left is no failure of it; what names no interface
 * counts, because a link that cannot be changed is told in the hypervisor's words alone.
 */
function ownFailure(vmi: VirtualMachineInstance, name: string): string | undefined {
  const own = failuresOf(vmi, name).filter((one) => !one.startsWith('a network that was left '))
  return own.join('; ') || undefined
}
