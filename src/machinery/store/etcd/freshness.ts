/**
 * Finds out what is the newest revision of all. One question is under way at a time: those who ask meanwhile share the next,
 * because the answer to one that has begun may be older than their call.
 */
export class Freshness {
  readonly #ask: () => Promise<number>
  #running: Promise<number> | undefined
  #next: Promise<number> | undefined

  constructor(ask: () => Promise<number>) {
    this.#ask = ask
  }

  /** A revision that has everything in it that was committed before this call. */
  newest(): Promise<number> {
    if (!this.#running) return this.#start()
    this.#next ??= this.#running.then(ignore, ignore).then(() => {
      this.#next = undefined
      return this.#start()
    })
    return this.#next
  }

  #start(): Promise<number> {
    const asked = this.#ask()
    this.#running = asked
    const ended = () => {
      if (this.#running === asked) this.#running = undefined
    }
    asked.then(ended, ended)
    return asked
  }
}

function ignore(): void {}
