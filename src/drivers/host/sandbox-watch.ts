import { explain } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { delay } from '#base/wait.ts'
import type { PlacedMirror } from '#core/sandbox/mirrors.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import { boundLogs } from './bounded-log.ts'
import type { HostMirrors } from './mirrors.ts'
import type { Place } from './networks.ts'
import type { Damage, SandboxNetwork } from './sandbox-network.ts'

/** A sandbox as it was made: its attachments, the inode number of its network namespace, and the mirrors it is to have. */
export type Watched = Readonly<{
  place: Place
  attachments: readonly Attachment[]
  inode: number | undefined
  mirrors: readonly PlacedMirror[]
}>

type WatchOptions = Readonly<{
  network: Pick<SandboxNetwork, 'look' | 'damageTo'>
  mirrors: Pick<HostMirrors, 'look'>
  /** All sandboxes. */
  list: () => readonly Watched[]
  /** The cards of a sandbox's guest, by name. Called only when a tap is found that no process has open. */
  cardsOf: (uid: string, signal: AbortSignal) => Promise<readonly string[]>
  /** Called with the damage of a sandbox; `deaf` are cards of the guest. */
  onDamage: (uid: string, damage: Damage) => void
  /** Called when a mirror of a sandbox can be made that could not be before. */
  onDue: (uid: string) => void
  log: Log
  /** Interval of the checks, milliseconds. */
  everyMs?: number
}>

/** Mirrors that are whole, or that cannot be looked at: then the next change of them reports why. */
const none = { isDue: false, why: [] }

/** Default interval, milliseconds: damage must be repaired within ten seconds. */
const usualEveryMs = 5000
/** Timeout of one check, milliseconds. */
const lookMs = 20_000

/**
 * Checks all sandboxes periodically, since deleted links and reloaded firewalls cause no events. Damage is only reported here. A
 * sandbox that this process is changing is not checked.
 */
export class SandboxWatch {
  readonly #options: WatchOptions
  /** Number of running and of finished changes of each sandbox: an observation during a change is of no use. */
  readonly #underway = new Map<string, number>()
  readonly #done = new Map<string, number>()
  readonly #stop = new AbortController()
  #running: Promise<void> | undefined

  constructor(options: WatchOptions) {
    this.#options = options
  }

  /** Starts the checks if they are not running; they run until `close`. */
  start(): void {
    this.#running ??= this.#run()
  }

  /** Runs a change of a sandbox. */
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

  /** Forgets a sandbox that was removed. */
  forget(uid: string): void {
    this.#done.delete(uid)
  }

  close(): void {
    this.#stop.abort()
  }

  /** Checks all sandboxes once. */
  async look(): Promise<void> {
    const { list, network, mirrors, cardsOf, onDamage, onDue, log } = this.#options
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(lookMs)])
    const before = new Map(this.#done)
    const all = list().filter(({ place }) => !this.#underway.has(place.uid))
    if (!all.length) return
    await network.look(
      all.map(({ place }) => place.netns),
      signal,
    )
    for (const { place, attachments, inode, mirrors: wanted } of all) {
      const { uid, dir } = place
      const isStill = () => !this.#underway.has(uid) && this.#done.get(uid) === before.get(uid)
      if (!isStill()) continue
      const { why: ofNetwork, deaf: unread } = await network.damageTo(place, attachments, inode, signal)
      const cards = unread.length ? await cardsOf(uid, signal) : []
      const suspects = unread.filter((name) => cards.includes(name))
      // A guest that has just started has them open by now.
      const again = suspects.length ? (await network.damageTo(place, attachments, inode, signal)).deaf : []
      const deaf = suspects.filter((name) => again.includes(name))
      // What is wrong with the sandbox itself is wrong with its mirrors too, and is reported alone.
      const copies = ofNetwork.length ? none : await mirrors.look(place, wanted, signal).catch(() => none)
      const why = [...ofNetwork, ...copies.why]
      if ((why.length || deaf.length) && isStill()) onDamage(uid, { why, deaf })
      else if (copies.isDue && isStill()) onDue(uid)
      await boundLogs(dir).catch((error: unknown) =>
        log.warn({ uid, cause: explain(error) }, 'Cannot cut the logs of a sandbox'),
      )
    }
  }

  async #run(): Promise<void> {
    const { everyMs = usualEveryMs, log } = this.#options
    const { signal } = this.#stop
    for (;;) {
      // Rejects only because of the signal, which is checked next.
      await delay(everyMs, signal).catch(() => undefined)
      if (signal.aborted) return
      await this.look().catch((error: unknown) => {
        if (!signal.aborted) log.warn({ cause: explain(error) }, 'Cannot check the sandboxes')
      })
    }
  }
}
