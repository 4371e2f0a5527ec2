import { explain } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { delay } from '#base/wait.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import { boundLogs } from './bounded-log.ts'
import type { Place } from './networks.ts'
import type { Damage, SandboxNetwork } from './sandbox-network.ts'

/** A sandbox as it was made: what CNI put into it, and the number of its network namespace. */
export type Watched = Readonly<{ place: Place; attachments: readonly Attachment[]; inode: number | undefined }>

type WatchOptions = Readonly<{
  network: Pick<SandboxNetwork, 'look' | 'damageTo'>
  /** The sandboxes that are there. */
  list: () => readonly Watched[]
  /** The cards of a sandbox's guest, by name. It is asked only where a tap is found that nobody has open. */
  cardsOf: (uid: string, signal: AbortSignal) => Promise<readonly string[]>
  /** Told what is not as it was made; `deaf` are cards of the guest. */
  onDamage: (uid: string, damage: Damage) => void
  log: Log
  /** How often it is looked, milliseconds. */
  everyMs?: number
}>

/** Damage is to be mended within ten seconds: this long it may go unseen, milliseconds. */
const usualEveryMs = 5000
/** How long one look may take, milliseconds. */
const lookMs = 20_000

/**
 * Looks at all sandboxes again and again: neither the kernel nor whoever deletes a link or reloads a firewall tells us. What is
 * damaged is not mended here; what this process is changing is not looked at.
 */
export class SandboxWatch {
  readonly #options: WatchOptions
  /** What is being done to each sandbox, and how many such things there were: what is seen in between is half done. */
  readonly #underway = new Map<string, number>()
  readonly #done = new Map<string, number>()
  readonly #stop = new AbortController()
  #running: Promise<void> | undefined

  constructor(options: WatchOptions) {
    this.#options = options
  }

  /** Begins to look, if it does not already; goes on until it is closed. */
  start(): void {
    this.#running ??= this.#run()
  }

  /** Does something that changes a sandbox. */
  async during<T>(uid: string, work: () => Promise<T>): Promise<T> {
    this.#underway.set(uid, (this.#underway.get(uid) ?? 0) + 1)
    try {
      return await work()
    } finally {
      const left = this.#underway.get(uid)! - 1
      if (left) this.#underway.set(uid, left)
      else this.#underway.delete(uid)
      this.#done.set(uid, (this.#done.get(uid) ?? 0) + 1)
    }
  }

  /** Forgets a sandbox that is gone. */
  forget(uid: string): void {
    this.#done.delete(uid)
  }

  close(): void {
    this.#stop.abort()
  }

  /** Looks once. */
  async look(): Promise<void> {
    const { list, network, cardsOf, onDamage, log } = this.#options
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(lookMs)])
    const before = new Map(this.#done)
    const all = list().filter(({ place }) => !this.#underway.has(place.uid))
    if (!all.length) return
    await network.look(
      all.map(({ place }) => place.netns),
      signal,
    )
    for (const { place, attachments, inode } of all) {
      const { uid, dir } = place
      const isStill = () => !this.#underway.has(uid) && this.#done.get(uid) === before.get(uid)
      if (!isStill()) continue
      const { why, deaf: unread } = await network.damageTo(place, attachments, inode, signal)
      const cards = unread.length ? await cardsOf(uid, signal) : []
      const suspects = unread.filter((name) => cards.includes(name))
      // A guest that began to run since has them open by now.
      const again = suspects.length ? (await network.damageTo(place, attachments, inode, signal)).deaf : []
      const deaf = suspects.filter((name) => again.includes(name))
      if ((why.length || deaf.length) && isStill()) onDamage(uid, { why, deaf })
      await boundLogs(dir).catch((error: unknown) =>
        log.warn({ uid, cause: explain(error) }, 'Cannot cut the logs of a sandbox'),
      )
    }
  }

  async #run(): Promise<void> {
    const { everyMs = usualEveryMs, log } = this.#options
    const { signal } = this.#stop
    for (;;) {
      // Rejects only because of the signal, which is looked at.
      await delay(everyMs, signal).catch(() => undefined)
      if (signal.aborted) return
      await this.look().catch((error: unknown) => {
        if (!signal.aborted) log.warn({ cause: explain(error) }, 'Cannot look at the sandboxes')
      })
    }
  }
}
