import { timerMs } from '#base/timer.ts'

/** Time as a queue needs it; tests bring their own. */
export type Timers = Readonly<{
  now(): number
  /** Runs `run` once, `ms` milliseconds from now; returns what calls it off. */
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
 * Keys to be worked on, each by one worker at a time.
 *
 *     addAfter ─ later ─▶ add ─▶ waiting ─ take ─▶ running ─ done ─▶ (gone)
 *                                   ▲                 │ add
 *                                   └──── done ──── again
 *
 * A key that waits already is not added twice. Taking a key calls off its later turn: the one that starts now is as good.
 */
export class WorkQueue {
  readonly #timers: Timers
  /** In the order they came. */
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

  /** Adds the key after `ms` milliseconds, unless it has an earlier turn. */
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

  /** Adds a key that failed, after a wait that doubles with each failure up to `capMs`. Returns that wait. */
  retry(key: string, capMs: number): number {
    const failures = this.#failures.get(key) ?? 0
    this.#failures.set(key, failures + 1)
    const ms = Math.min(firstRetryMs * 2 ** failures, capMs)
    this.addAfter(key, ms)
    return ms
  }

  /** Forgets a key's failures, because it succeeded. */
  forget(key: string): void {
    this.#failures.delete(key)
  }

  /** The next key, which is the caller's alone until it says `done`; undefined once the queue is closed. */
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

  /** Resolves when nothing waits or runs. What is due later does not count. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#resting.push(resolve)
      this.#rest()
    })
  }

  /** Drops everything that does not run yet. */
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
