/** Has work on one key done one piece after the other, in the order of the calls, and that on other keys meanwhile. */
export class Turns {
  readonly #tails = new Map<string, Promise<unknown>>()

  /** Begins at once, within this call, when nothing of the key is under way. */
  run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const result = this.#tails.get(key)?.then(work) ?? work()
    // What one piece of work throws is its caller's matter, and not that of the next.
    const tail = result.catch(() => undefined)
    this.#tails.set(key, tail)
    void tail.then(() => {
      if (this.#tails.get(key) === tail) this.#tails.delete(key)
    })
    return result
  }

  isBusy(key: string): boolean {
    return this.#tails.has(key)
  }

  /** Resolves when all that has been accepted by now is done. */
  async done(): Promise<void> {
    await Promise.all(this.#tails.values())
  }
}
