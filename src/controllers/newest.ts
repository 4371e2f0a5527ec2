/** Who is connected to each guest, in the order they came. */
export class Newest<T> {
  readonly #byGuest = new Map<string, T[]>()

  /** Adds one until the signal aborts. */
  add(guest: string, one: T, signal: AbortSignal): void {
    if (signal.aborted) return
    const all = this.#byGuest.get(guest) ?? []
    this.#byGuest.set(guest, [...all, one])
    signal.addEventListener('abort', () => this.#remove(guest, one), { once: true })
  }

  all(guest: string): readonly T[] {
    return this.#byGuest.get(guest) ?? []
  }

  /** Whether one came last of those who are still there. */
  isLast(guest: string, one: T): boolean {
    return this.all(guest).at(-1) === one
  }

  #remove(guest: string, one: T): void {
    const left = this.all(guest).filter((other) => other !== one)
    if (left.length) this.#byGuest.set(guest, left)
    else this.#byGuest.delete(guest)
  }
}
