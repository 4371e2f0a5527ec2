/**
 * Which of several members is asked: always the same one, until it fails. A call may fail long after it was made, when another
 * member has been chosen since; that says nothing about the new one.
 */
export class Choice<T> {
  readonly #all: readonly T[]
  #at = 0

  constructor(all: readonly T[]) {
    this.#all = all
  }

  get current(): T {
    const one = this.#all[this.#at]
    if (one === undefined) throw new RangeError('There is none to choose')
    return one
  }

  get count(): number {
    return this.#all.length
  }

  /** Chooses the next one, if `one` is still the current. Returns whether it was. */
  failed(one: T): boolean {
    if (one !== this.#all[this.#at]) return false
    this.#at = (this.#at + 1) % this.#all.length
    return true
  }
}
