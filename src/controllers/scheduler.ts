import type { Node } from '#apis/core/node.ts'
import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import type { NewPod } from '#core/vm/launcher.ts'
import { chooseNode, type Place, type PlaceOptions } from '#core/vm/place.ts'
import { type Informer, onAnyChange } from '#machinery/client/informer.ts'
import { queueKey } from './context.ts'
import { PodLedger } from './pod-ledger.ts'

/** Chooses nodes for instances. Assumed pods count, even before the cache has them. */
export class Scheduler {
  readonly #nodes: Pick<Informer<Node>, 'list'>
  readonly #pods: Pick<Informer<Pod>, 'get' | 'onChange'>
  readonly #ledger = new PodLedger()

  constructor(nodes: Pick<Informer<Node>, 'list'>, pods: Pick<Informer<Pod>, 'get' | 'onChange'>) {
    this.#nodes = nodes
    this.#pods = pods
    onAnyChange(pods, (pod, isThere) => this.#ledger.set(queueKey(pod), isThere ? pod : undefined))
  }

  find(vmi: VirtualMachineInstance, how: PlaceOptions = {}): Place {
    return chooseNode(vmi, this.#nodes.list(), (node) => this.#ledger.takenOf(node), how)
  }

  /** The users that the guests of all pods run as. */
  get users(): PodLedger['users'] {
    return this.#ledger.users
  }

  /** Creates a pod, which counts as placed from this moment on. Resolves or rejects as `create` does. */
  async put(pod: NewPod, create: () => Promise<Stored<Pod>>): Promise<Stored<Pod>> {
    const key = queueKey(pod)
    this.#ledger.set(key, pod)
    try {
      return await create()
    } catch (error) {
      this.#ledger.set(key, this.#pods.get(pod.metadata))
      throw error
    }
  }
}
