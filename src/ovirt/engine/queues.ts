/** Runs work in turn by key: of two changes of one VM the second sees what the first made. */
export class Queues {
  readonly #last = new Map<string, Promise<unknown>>()

  /** Runs `work` after everything else of the same key. */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve()
    const turn = before.then(work, work)
    this.#last.set(key, turn)
    try {
      return await turn
    } finally {
      if (this.#last.get(key) === turn) this.#last.delete(key)
    }
  }
}
