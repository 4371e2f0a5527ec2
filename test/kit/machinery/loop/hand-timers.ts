import type { Timers } from '#machinery/loop/queue.ts'

/** Time that passes only when a test says so. */
export class HandTimers implements Timers {
  #now = 0
  #due: { at: number; run: () => void }[] = []

  now(): number {
    return this.#now
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#now + ms, run }
    this.#due.push(timer)
    return () => {
      this.#due = this.#due.filter((other) => other !== timer)
    }
  }

  /** How long from now each timer is. */
  get waits(): number[] {
    return this.#due.map(({ at }) => at - this.#now).toSorted((a, b) => a - b)
  }

  pass(ms: number): void {
    this.#now += ms
    const due = this.#due.filter(({ at }) => at <= this.#now)
    this.#due = this.#due.filter(({ at }) => at > this.#now)
    for (const { run } of due) run()
  }
}
