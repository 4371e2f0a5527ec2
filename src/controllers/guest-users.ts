import { Fault } from '#base/fault.ts'
import { nextUser, type UserRange } from '#core/sandbox/users.ts'

/** Gives the processes of each new guest users that no other guest has. */
export class GuestUsers {
  readonly #range: UserRange
  readonly #taken: Parameters<typeof nextUser>[1]
  #last: number | undefined

  constructor(range: UserRange, taken: Parameters<typeof nextUser>[1]) {
    this.#range = range
    this.#taken = taken
  }

  /** @throws Fault Unavailable when all are in use */
  take(): number {
    const user = nextUser(this.#range, this.#taken, this.#last)
    if (user === undefined)
      throw new Fault(
        'Unavailable',
        `All users of --guest-uid-range ${this.#range.first}-${this.#range.last} are taken`,
      )
    this.#last = user
    return user
  }
}
