import type { Pod } from '#apis/core/pod.ts'
import type { Affinity } from '#apis/kubevirt/affinity.ts'
import { userOf } from '#core/sandbox/users.ts'
import { hasPodTerms, type PlacedPod } from '#core/scheduling/pod-affinity.ts'
import { type Allocation, noAllocation, podDevices, podMemory } from '#core/vm/scheduling.ts'

type PodAllocation = PlacedPod & Pick<Allocation, 'bytes' | 'devices'> & Readonly<{ user: number | undefined }>

/**
 * What all pods use of their nodes and of the user range, kept up to date as pods come and go: scheduling one pod does not
 * add up ten thousand again.
 */
export class PodAllocations {
  readonly #byPod = new Map<string, PodAllocation>()
  /** Keys of pods that may keep others off their node. */
  readonly #choosy = new Set<string>()
  readonly #nodes = new Map<string, Allocation>()
  /** How many pods run as each user: both pods of a migration run as the same one. */
  readonly #users = new Map<number, number>()

  /** Records what a pod uses; undefined removes it. `key` is its queue key. */
  set(key: string, pod: Pod | undefined): void {
    const before = this.#byPod.get(key)
    if (before) this.#add(before, -1)
    if (!pod) {
      this.#byPod.delete(key)
      this.#choosy.delete(key)
      return
    }
    const { namespace = 'default', labels = {} } = pod.metadata
    const { nodeName: node = '', affinity } = pod.spec
    const bytes = podMemory(pod, 'requests')
    const allocation = { namespace, labels, node, affinity, bytes, devices: podDevices(pod), user: userOf(pod) }
    this.#byPod.set(key, allocation)
    if (hasPodTerms(affinity)) this.#choosy.add(key)
    this.#add(allocation, 1)
  }

  allocatedOn(node: string): Allocation {
    return this.#nodes.get(node) ?? noAllocation
  }

  /** The pods that matter to where a pod with this affinity may be: all, or those that may keep it off. */
  relevantTo(affinity: Affinity | undefined): readonly PlacedPod[] {
    if (hasPodTerms(affinity)) return [...this.#byPod.values()]
    return [...this.#choosy].flatMap((key) => this.#byPod.get(key) ?? [])
  }

  /** The users that pods run as. */
  get users(): Pick<ReadonlyMap<number, number>, 'has' | 'size'> {
    return this.#users
  }

  #add({ node, bytes, devices, user }: PodAllocation, sign: 1 | -1): void {
    const taken = this.allocatedOn(node)
    const pods = taken.pods + sign
    const all = devices.size ? summed(taken.devices, devices, sign) : taken.devices
    if (pods) this.#nodes.set(node, { pods, bytes: taken.bytes + sign * bytes, devices: all })
    else this.#nodes.delete(node)
    if (user === undefined) return
    const count = (this.#users.get(user) ?? 0) + sign
    if (count) this.#users.set(user, count)
    else this.#users.delete(user)
  }
}

function summed(
  before: ReadonlyMap<string, number>,
  change: ReadonlyMap<string, number>,
  sign: 1 | -1,
): ReadonlyMap<string, number> {
  const after = new Map(before)
  for (const [resource, count] of change) after.set(resource, (after.get(resource) ?? 0) + sign * count)
  return after
}
