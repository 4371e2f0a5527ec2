import { createHash, randomBytes } from 'node:crypto'
import type { Account } from '../call.ts'

/** What somebody signed in with. `isGood` tells whether it still is: a user or token that is gone ends all its sessions. */
export type Credential = Readonly<{ account: Account; isGood(): Promise<boolean> }>

/** How long a session lasts after its last request, milliseconds, unless its client wants less (`Session-TTL`). */
export const sessionMs = 4 * 3600_000
/** Most sessions at once; the ones not used for longest go first. */
const maxSessions = 10_000

type Session = { credential: Credential; lifeMs: number; endMs: number }

/**
 * Who signed in, by the secret they were given: an access token, a cookie, or what they send every time. The secrets themselves
 * are not kept. A server that starts anew knows none, and its clients sign in again as after any 401.
 */
export class Sessions {
  readonly #byDigest = new Map<string, Session>()
  readonly #now: () => number

  constructor(now: () => number = Date.now) {
    this.#now = now
  }

  /** Begins a session. Resolves to its secret and to when it ends unless it is used, milliseconds since 1970. */
  begin(credential: Credential, lifeMs = sessionMs): Readonly<{ secret: string; endMs: number }> {
    const secret = randomBytes(32).toString('base64url')
    return { secret, endMs: this.remember(secret, credential, lifeMs) }
  }

  /** Begins a session under a secret that the client has already. */
  remember(secret: string, credential: Credential, lifeMs = sessionMs): number {
    const endMs = this.#now() + lifeMs
    this.#byDigest.set(digest(secret), { credential, lifeMs, endMs })
    this.#sweep()
    return endMs
  }

  /** Who a secret was given to; undefined when it is none, has ended, or its user may no longer sign in. */
  async accountOf(secret: string): Promise<Account | undefined> {
    const key = digest(secret)
    const session = this.#byDigest.get(key)
    if (!session) return undefined
    const nowMs = this.#now()
    if (session.endMs <= nowMs || !(await session.credential.isGood())) {
      this.#byDigest.delete(key)
      return undefined
    }
    session.endMs = nowMs + session.lifeMs
    // The ones used last are at the end.
    if (this.#byDigest.delete(key)) this.#byDigest.set(key, session)
    return session.credential.account
  }

  end(secret: string): void {
    this.#byDigest.delete(digest(secret))
  }

  #sweep(): void {
    const nowMs = this.#now()
    for (const [key, { endMs }] of this.#byDigest) {
      if (endMs > nowMs && this.#byDigest.size <= maxSessions) break
      this.#byDigest.delete(key)
    }
  }
}

function digest(secret: string): string {
  return createHash('sha256').update(secret).digest('base64')
}
