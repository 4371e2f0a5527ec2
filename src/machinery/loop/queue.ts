import { timerMs } from '#base/timer.ts'

/** The clock of a queue; tests bring their own. */
export type Timers = Readonly<{
  now(): number
  /** Runs `run` once, `ms` milliseconds from now; returns what cancels it. */
  after(ms: number, run: () => void): () => void
}>

/** The first wait after a failure, milliseconds; doubles with each further one. */
const firstRetryMs = 5

/** Real time. A wait never keeps a process alive. */
export const realTimers: Timers = {
  now: () => performance.now(),
  after: (ms, run) => {
    // Longer ones would fire at once: Node keeps delays in 32 bits.
    const timer = setTimeout(run, timerMs(ms)).unref()
    return () => clearTimeout(timer)
  },
}

/**
 * A work queue: each key is worked on by one worker at a time.
 *
 *     addAfter ─ later ─▶ add ─▶ waiting ─ take ─▶ running ─ done ─▶ (gone)
 *                                   ▲                 │ add
 *                                   └──── done ──── again
 *
 * A waiting key is not added twice. Taking a key cancels its delayed add: the pass that starts now is as good.
 */
export class WorkQueue {
  readonly #timers: Timers
  /** In FIFO order. */
  readonly #waiting = new Set<string>()
  readonly #running = new Set<string>()
  readonly #again = new Set<string>()
  readonly #later = new Map<string, Readonly<{ at: number; cancel: () => void }>>()
  readonly #failures = new Map<string, number>()
  #takers: ((key: string | undefined) => void)[] = []
  #resting: (() => void)[] = []
  #closed = false

  constructor(timers: Timers = realTimers) {
    this.#timers = timers
  }

  add(key: string): void {
    if (this.#closed) return
    if (this.#running.has(key)) {
      this.#again.add(key)
      return
    }
    const taker = this.#takers.shift()
    if (taker) taker(this.#start(key))
    else this.#waiting.add(key)
  }

  /** Adds the key after `ms` milliseconds, unless it is due earlier. */
  addAfter(key: string, ms: number): void {
    if (this.#closed) return
    if (ms <= 0) {
      this.add(key)
      return
    }
    const at = this.#timers.now() + ms
    const planned = this.#later.get(key)
    if (planned && planned.at <= at) return
    planned?.cancel()
    const cancel = this.#timers.after(ms, () => {
      this.#later.delete(key)
      this.add(key)
    })
    this.#later.set(key, { at, cancel })
  }

  /** Adds a failed key after a backoff that doubles with each failure up to `capMs`. Returns the backoff. */
  retry(key: string, capMs: number): number {
    const failures = this.#failures.get(key) ?? 0
    this.#failures.set(key, failures + 1)
    const ms = Math.min(firstRetryMs * 2 ** failures, capMs)
    this.addAfter(key, ms)
    return ms
  }

  /** Resets a key's backoff after a success. */
  forget(key: string): void {
    this.#failures.delete(key)
  }

  /** The next key, which is the caller's alone until `done`; undefined once the queue is closed. */
  async take(): Promise<string | undefined> {
    if (this.#closed) return undefined
    for (const key of this.#waiting) {
      this.#waiting.delete(key)
      return this.#start(key)
    }
    return new Promise((resolve) => this.#takers.push(resolve))
  }

  done(key: string): void {
    this.#running.delete(key)
    if (this.#again.delete(key)) this.add(key)
    this.#rest()
  }

  /** Resolves when no key waits or runs. Delayed keys do not count. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#resting.push(resolve)
      this.#rest()
    })
  }

  /** Drops all waiting and delayed keys. */
  close(): void {
    this.#closed = true
    this.#waiting.clear()
    this.#again.clear()
    for (const { cancel } of this.#later.values()) cancel()
    this.#later.clear()
    for (const taker of this.#takers.splice(0)) taker(undefined)
    this.#rest()
  }

  #start(key: string): string {
    this.#running.add(key)
    this.#later.get(key)?.cancel()
    this.#later.delete(key)
    return key
  }

  #rest(): void {
    if (this.#waiting.size + this.#running.size > 0) return
    for (const resolve of this.#resting.splice(0)) resolve()
  }
}
