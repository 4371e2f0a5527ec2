/** A member as it was chosen once: chosen again after a failure, it is another choice. */
export type Chosen<T> = Readonly<{ one: T; turn: number }>

/**
 * Which of several members is asked: always the same one, until it fails. Of the many calls that fail with it, some long after
 * another was chosen, only the first counts: the others say nothing about the next one, nor about a new connection to the same.
 */
export class Choice<T> {
  readonly #all: readonly T[]
  #turn = 0

  constructor(all: readonly T[]) {
    this.#all = all
  }

  get current(): Chosen<T> {
    const one = this.#all[this.#turn % this.#all.length]
    if (one === undefined) throw new RangeError('There is none to choose')
    return { one, turn: this.#turn }
  }

  get all(): readonly T[] {
    return this.#all
  }

  /** Chooses the next one, unless that was done since `chosen` was current. Returns whether it was. */
  failed({ turn }: Chosen<T>): boolean {
    if (turn !== this.#turn) return false
    this.#turn++
    return true
  }
}
