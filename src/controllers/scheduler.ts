import type { Node } from '#apis/core/node.ts'
import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { isByPods } from '#core/scheduling/pod-affinity.ts'
import type { NewPod } from '#core/vm/launcher.ts'
import { chooseNode, type Placement, type PlacementOptions } from '#core/vm/scheduling.ts'
import { type Informer, onAnyChange } from '#machinery/client/informer.ts'
import { queueKey } from './context.ts'
import { PodAllocations } from './pod-allocations.ts'

/** What an instance needs of its node. */
type Needs = Readonly<{
  /** The node that its claims are on, if it has any. */
  volumeNodeOf?: (vmi: VirtualMachineInstance) => string | undefined
  /** How many of the host's devices of which resource; none unless given. */
  devicesOf?: (vmi: VirtualMachineInstance) => ReadonlyMap<string, number>
}>

/** Chooses nodes for instances. Assumed pods count, even before the cache has them. */
export class Scheduler {
  readonly #nodes: Pick<Informer<Node>, 'list'>
  readonly #pods: Pick<Informer<Pod>, 'get' | 'onChange'>
  readonly #needs: Needs
  readonly #awaiting = new Set<string>()
  readonly #allocations = new PodAllocations()

  constructor(nodes: Pick<Informer<Node>, 'list'>, pods: Pick<Informer<Pod>, 'get' | 'onChange'>, needs: Needs = {}) {
    this.#needs = needs
    this.#nodes = nodes
    this.#pods = pods
    onAnyChange(pods, (pod, isThere) => this.#allocations.set(queueKey(pod), isThere ? pod : undefined))
  }

  /** How many of the host's devices an instance needs, by resource. */
  devicesOf(vmi: VirtualMachineInstance): ReadonlyMap<string, number> {
    return this.#needs.devicesOf?.(vmi) ?? new Map()
  }

  find(vmi: VirtualMachineInstance, how: PlacementOptions = {}): Placement {
    const { metadata, spec } = vmi
    const { affinity } = spec
    const volumeNode = this.#needs.volumeNodeOf?.(vmi)
    const pods = this.#allocations.relevantTo(affinity)
    const allocatedOn = (node: string) => this.#allocations.allocatedOn(node)
    const options = { ...how, pods, devices: this.devicesOf(vmi), ...(volumeNode !== undefined && { volumeNode }) }
    const placement = chooseNode(vmi, this.#nodes.list(), allocatedOn, options)
    if ('why' in placement && isByPods(affinity)) {
      const { namespace = 'default', name } = metadata
      this.#awaiting.add(queueKey({ metadata: { namespace, name } }))
    }
    return placement
  }

  /** The queue keys of instances that wait for pods to be near to, each once: a pod that comes may be the one. */
  takeAwaiting(): readonly string[] {
    const keys = [...this.#awaiting]
    this.#awaiting.clear()
    return keys
  }

  /** The users that the guests of all pods run as. */
  get users(): PodAllocations['users'] {
    return this.#allocations.users
  }

  /** Creates a pod, which counts as placed from this moment on. Resolves or rejects as `create` does. */
  async put(pod: NewPod, create: () => Promise<Stored<Pod>>): Promise<Stored<Pod>> {
    const key = queueKey(pod)
    this.#allocations.set(key, pod)
    try {
      return await create()
    } catch (error) {
      this.#allocations.set(key, this.#pods.get(pod.metadata))
      throw error
    }
  }
}
