/** Failed sign-ins of one user from one address that are answered in full within `windowMs`; further ones are refused unread. */
const most = 10
const windowMs = 60_000
/** Most users and addresses that are remembered. */
const maxKeys = 10_000

/** Counts sign-ins that failed, by user and address, so that no client can try passwords as fast as they are checked. */
export class Attempts {
  readonly #failures = new Map<string, { count: number; endMs: number }>()
  readonly #now: () => number

  constructor(now: () => number = Date.now) {
    this.#now = now
  }

  /** Seconds until another attempt is looked at; 0 when it is now. */
  waitSeconds(user: string, address: string): number {
    const found = this.#failures.get(keyOf(user, address))
    const leftMs = (found?.endMs ?? 0) - this.#now()
    return found && found.count >= most && leftMs > 0 ? Math.ceil(leftMs / 1000) : 0
  }

  failed(user: string, address: string): void {
    const key = keyOf(user, address)
    const nowMs = this.#now()
    const found = this.#failures.get(key)
    const isOver = !found || found.endMs <= nowMs
    this.#failures.delete(key)
    this.#failures.set(key, isOver ? { count: 1, endMs: nowMs + windowMs } : { ...found, count: found.count + 1 })
    for (const [old, { endMs }] of this.#failures) {
      if (endMs > nowMs && this.#failures.size <= maxKeys) break
      this.#failures.delete(old)
    }
  }

  succeeded(user: string, address: string): void {
    this.#failures.delete(keyOf(user, address))
  }
}

function keyOf(user: string, address: string): string {
  return `${address} ${user}`
}
