import { type Failures, withFailure, withoutFailure } from '#core/instance/backoff.ts'
import type { GuestRequests } from '#core/instance/observation.ts'
import { DriftTracker } from './drift-tracker.ts'

/** What the agent remembers about one sandbox. Nothing of it has to survive a restart. */
export type Memory = {
  /** Recent failures, by key. */
  failures: Failures
  requested: GuestRequests
  /** Cards whose taps were lost and that have not been plugged again. */
  deaf: ReadonlySet<string>
}

/** What the agent remembers about sandboxes, by UID. */
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

  /** Records a shutdown request. */
  shutdownRequested(uid: string): void {
    const memory = this.of(uid)
    memory.requested = { ...memory.requested, shutdownMs: Date.now() }
  }

  /** Records a request to the guest to release a card. */
  unplugRequested(uid: string, nic: string): void {
    const memory = this.of(uid)
    const nowMs = Date.now()
    const firstMs = memory.requested.unplug.get(nic)?.firstMs ?? nowMs
    memory.requested = {
      ...memory.requested,
      unplug: new Map([...memory.requested.unplug, [nic, { firstMs, lastMs: nowMs }]]),
    }
  }

  /** Drops the unplug requests for cards that the guest no longer has; returns their interfaces. */
  unplugged(uid: string, present: ReadonlySet<string>): readonly string[] {
    const memory = this.of(uid)
    const gone = [...memory.requested.unplug.keys()].filter((nic) => !present.has(nic))
    const left = [...memory.requested.unplug].filter(([nic]) => present.has(nic))
    if (gone.length) memory.requested = { ...memory.requested, unplug: new Map(left) }
    return gone
  }

  /** Records cards whose taps were lost. */
  lostTaps(uid: string, nics: readonly string[]): void {
    const memory = this.of(uid)
    if (nics.length) memory.deaf = new Set([...memory.deaf, ...nics])
  }

  /** Records that a card was plugged, and so has a tap again. */
  plugged(uid: string, nic: string): void {
    const memory = this.of(uid)
    memory.deaf = new Set([...memory.deaf].filter((one) => one !== nic))
  }

  forget(uid: string): void {
    this.#all.delete(uid)
    this.links.forget(uid)
  }
}
