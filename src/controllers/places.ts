import type { Node } from '#apis/core/node.ts'
import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { chooseNode, type Place, type PlaceOptions } from '#core/vm/place.ts'
import type { Informer } from '#machinery/client/informer.ts'
import { queueKey } from './world.ts'

/** Where instances have room. Pods that are on their way count, though no cache has heard of them. */
export class Places {
  readonly #nodes: Pick<Informer<Node>, 'list'>
  readonly #pods: Pick<Informer<Pod>, 'list' | 'get' | 'onChange'>
  readonly #coming = new Map<string, Pod>()

  constructor(nodes: Pick<Informer<Node>, 'list'>, pods: Pick<Informer<Pod>, 'list' | 'get' | 'onChange'>) {
    this.#nodes = nodes
    this.#pods = pods
    pods.onChange((now, before) => this.#coming.delete(queueKey((now ?? before)!)))
  }

  find(vmi: VirtualMachineInstance, how: PlaceOptions = {}): Place {
    return chooseNode(vmi, this.#nodes.list(), [...this.#pods.list(), ...this.#coming.values()], how)
  }

  /** Makes a pod, which takes its place from this moment on. Resolves or rejects as `create` does. */
  async put(pod: Pod, create: () => Promise<Pod>): Promise<Pod> {
    const key = queueKey(pod)
    const { name, namespace = '' } = pod.metadata
    this.#coming.set(key, pod)
    try {
      const made = await create()
      if (this.#pods.get({ namespace, name })) this.#coming.delete(key)
      return made
    } catch (error) {
      this.#coming.delete(key)
      throw error
    }
  }
}
