import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { Fault } from '#base/fault.ts'

/** How long a code can be redeemed, milliseconds. */
const lifeMs = 60_000
/** Most codes that wait, of one user and of all; a user's oldest one goes. */
const maxOfUser = 8
const maxCodes = 1024

type Waiting<T> = Readonly<{ digest: Buffer; user: string; endMs: number; value: T }>

/** Codes that each stand for a value, once. They are forgotten as they are made: only their digests are kept, in memory. */
export class Codes<T> {
  #waiting: readonly Waiting<T>[] = []
  readonly #nowMs: () => number

  constructor(nowMs: () => number = Date.now) {
    this.#nowMs = nowMs
  }

  /** @throws Fault TooMany */
  issue(user: string, value: T): Readonly<{ code: string; endMs: number }> {
    const others = this.#current()
    const own = others.filter((one) => one.user === user)
    const kept = own.length < maxOfUser ? others : others.filter((one) => one !== own[0])
    if (kept.length >= maxCodes)
      throw new Fault('TooMany', 'too many codes wait to be used, please try again later', {
        data: { retryAfterSeconds: 10 },
      })
    const code = randomBytes(32).toString('base64url')
    const endMs = this.#nowMs() + lifeMs
    this.#waiting = [...kept, { digest: digestOf(code), user, endMs, value }]
    return { code, endMs }
  }

  /** What a code stands for; from then on it stands for nothing. */
  redeem(code: string): T | undefined {
    const digest = digestOf(code)
    const current = this.#current()
    const found = current.filter((one) => timingSafeEqual(one.digest, digest))
    this.#waiting = current.filter((one) => !found.includes(one))
    return found[0]?.value
  }

  #current(): readonly Waiting<T>[] {
    return this.#waiting.filter(({ endMs }) => endMs > this.#nowMs())
  }
}

function digestOf(code: string): Buffer {
  return createHash('sha256').update(code).digest()
}
