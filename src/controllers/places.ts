import type { Node } from '#apis/core/node.ts'
import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { chooseNode, type Place, type PlaceOptions } from '#core/vm/place.ts'
import type { Informer } from '#machinery/client/informer.ts'
import { PodLedger } from './pod-ledger.ts'
import { queueKey } from './world.ts'

/** Where instances have room. Pods that are on their way count, though no cache has heard of them. */
export class Places {
  readonly #nodes: Pick<Informer<Node>, 'list'>
  readonly #pods: Pick<Informer<Pod>, 'get' | 'onChange'>
  readonly #ledger = new PodLedger()

  constructor(nodes: Pick<Informer<Node>, 'list'>, pods: Pick<Informer<Pod>, 'get' | 'onChange'>) {
    this.#nodes = nodes
    this.#pods = pods
    pods.onChange((now, before) => this.#ledger.set(queueKey((now ?? before)!), now))
  }

  find(vmi: VirtualMachineInstance, how: PlaceOptions = {}): Place {
    return chooseNode(vmi, this.#nodes.list(), (node) => this.#ledger.takenOf(node), how)
  }

  /** The users that the guests of all pods run as. */
  get users(): PodLedger['users'] {
    return this.#ledger.users
  }

  /** Makes a pod, which takes its place from this moment on. Resolves or rejects as `create` does. */
  async put(pod: Pod, create: () => Promise<Pod>): Promise<Pod> {
    const key = queueKey(pod)
    this.#ledger.set(key, pod)
    try {
      return await create()
    } catch (error) {
      const { name, namespace = '' } = pod.metadata
      this.#ledger.set(key, this.#pods.get({ namespace, name }))
      throw error
    }
  }
}
