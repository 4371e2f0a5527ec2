import type { Pod } from '#apis/core/pod.ts'
import { userOf } from '#core/sandbox/users.ts'
import { nothingTaken, podMemory, type Taken } from '#core/vm/place.ts'

type Share = Readonly<{ node: string; bytes: number; user: number | undefined }>

/**
 * What all pods use of their nodes and of the user range, kept up to date as pods come and go: scheduling one pod does not
 * add up ten thousand again.
 */
export class PodLedger {
  readonly #shares = new Map<string, Share>()
  readonly #nodes = new Map<string, Taken>()
  /** How many pods run as each user: both pods of a migration run as the same one. */
  readonly #users = new Map<number, number>()

  /** Records what a pod uses; undefined removes it. `key` is its queue key. */
  set(key: string, pod: Pod | undefined): void {
    const before = this.#shares.get(key)
    if (before) this.#add(before, -1)
    if (!pod) {
      this.#shares.delete(key)
      return
    }
    const share = { node: pod.spec.nodeName ?? '', bytes: podMemory(pod, 'requests'), user: userOf(pod) }
    this.#shares.set(key, share)
    this.#add(share, 1)
  }

  takenOf(node: string): Taken {
    return this.#nodes.get(node) ?? nothingTaken
  }

  /** The users that pods run as. */
  get users(): Pick<ReadonlyMap<number, number>, 'has' | 'size'> {
    return this.#users
  }

  #add({ node, bytes, user }: Share, sign: 1 | -1): void {
    const taken = this.takenOf(node)
    const pods = taken.pods + sign
    if (pods) this.#nodes.set(node, { pods, bytes: taken.bytes + sign * bytes })
    else this.#nodes.delete(node)
    if (user === undefined) return
    const count = (this.#users.get(user) ?? 0) + sign
    if (count) this.#users.set(user, count)
    else this.#users.delete(user)
  }
}
