import { Fault } from '#base/fault.ts'

/** The caller an exchange counts for when the server's capacity is shared out. */
export type Caller = Readonly<{
  /** The user's name; for an unauthenticated client, its address. */
  key: string
  /** A part of every capacity is kept for these callers: administrators, nodes and the server's own components. */
  isReserved: boolean
  /** False for an unauthenticated client. */
  isSignedIn: boolean
}>

/** Part of a capacity that only reserved callers get. */
const reservedPart = 0.1

/** What a caller holds of a capacity. Disposing it gives all of it back, once. */
export interface Held extends Disposable {
  /** Takes more. @throws Fault TooMany when the caller's part or the whole is used up */
  add(amount: number): void
}

/**
 * A capacity (places, bytes) shared fairly: one user gets at most `userShare` percent of it, all users together leave a
 * tenth to administrators and nodes, which only the whole limits.
 */
export class Shares {
  readonly #max: number
  readonly #userMax: number
  readonly #openMax: number
  readonly #refusal: string
  readonly #byUser = new Map<string, number>()
  #taken = 0

  constructor(max: number, userShare: number, refusal: string) {
    this.#max = max
    this.#openMax = max - Math.floor(max * reservedPart)
    this.#userMax = Math.max(1, Math.floor((max * userShare) / 100))
    this.#refusal = refusal
  }

  /** How much all callers hold. */
  get taken(): number {
    return this.#taken
  }

  /** Takes `amount` for a caller. @throws Fault TooMany */
  take(caller: Caller, amount: number): Held {
    let held = 0
    const add = (more: number) => {
      this.#requireRoom(caller, more)
      this.#change(caller.key, more)
      held += more
    }
    add(amount)
    return {
      add,
      [Symbol.dispose]: () => {
        this.#change(caller.key, -held)
        held = 0
      },
    }
  }

  #requireRoom({ key, isReserved }: Caller, amount: number): void {
    const taken = this.#taken + amount
    const own = (this.#byUser.get(key) ?? 0) + amount
    const fits = isReserved ? taken <= this.#max : taken <= this.#openMax && own <= this.#userMax
    if (!fits) throw new Fault('TooMany', this.#refusal, { data: { retryAfterSeconds: 1 } })
  }

  #change(key: string, amount: number): void {
    this.#taken += amount
    const own = (this.#byUser.get(key) ?? 0) + amount
    if (own) this.#byUser.set(key, own)
    else this.#byUser.delete(key)
  }
}
