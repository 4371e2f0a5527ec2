import { type Failures, withFailure, withoutFailure } from '#core/instance/backoff.ts'
import type { GuestRequests } from '#core/instance/observation.ts'
import { DriftTracker } from './drift-tracker.ts'

/** What the agent remembers of one sandbox. None of it has to survive a restart. */
export type Memory = {
  /** What failed lately. */
  failures: Failures
  requested: GuestRequests
  /** Cards that lost their taps and have not been plugged again yet. */
  deaf: ReadonlySet<string>
}

/** What the agent remembers of sandboxes, by UID. */
export class Memories {
  readonly links = new DriftTracker()
  readonly #all = new Map<string, Memory>()

  of(uid: string): Memory {
    const known = this.#all.get(uid)
    if (known) return known
    const memory: Memory = { failures: new Map(), requested: { unplug: new Map() }, deaf: new Set() }
    this.#all.set(uid, memory)
    return memory
  }

  failed(uid: string, key: string, depends: string, cause: unknown): void {
    const memory = this.of(uid)
    memory.failures = withFailure(memory.failures, key, { depends, cause, nowMs: Date.now() })
  }

  succeeded(uid: string, key: string): void {
    const memory = this.of(uid)
    memory.failures = withoutFailure(memory.failures, key)
  }

  /** Notes that a guest was asked to shut down. */
  shutdownRequested(uid: string): void {
    const memory = this.of(uid)
    memory.requested = { ...memory.requested, shutdownMs: Date.now() }
  }

  /** Notes that a guest was asked to let go of a card. */
  unplugRequested(uid: string, nic: string): void {
    const memory = this.of(uid)
    const nowMs = Date.now()
    const firstMs = memory.requested.unplug.get(nic)?.firstMs ?? nowMs
    memory.requested = {
      ...memory.requested,
      unplug: new Map([...memory.requested.unplug, [nic, { firstMs, lastMs: nowMs }]]),
    }
  }

  /** Forgets that a guest was asked to let go of cards it does not have any more; returns their interfaces. */
  unplugged(uid: string, present: ReadonlySet<string>): readonly string[] {
    const memory = this.of(uid)
    const gone = [...memory.requested.unplug.keys()].filter((nic) => !present.has(nic))
    const left = [...memory.requested.unplug].filter(([nic]) => present.has(nic))
    if (gone.length) memory.requested = { ...memory.requested, unplug: new Map(left) }
    return gone
  }

  /** Notes that cards lost their taps. */
  lostTaps(uid: string, nics: readonly string[]): void {
    const memory = this.of(uid)
    if (nics.length) memory.deaf = new Set([...memory.deaf, ...nics])
  }

  /** Notes that a card was plugged: it has a tap of its own. */
  plugged(uid: string, nic: string): void {
    const memory = this.of(uid)
    memory.deaf = new Set([...memory.deaf].filter((one) => one !== nic))
  }

  forget(uid: string): void {
    this.#all.delete(uid)
    this.links.forget(uid)
  }
}
