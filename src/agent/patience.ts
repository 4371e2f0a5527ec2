/** What failed when it is no card. */
export const wholeSandbox = ''

/** How long what failed rests before it is tried again, milliseconds: at first, and at most; it doubles in between. */
const firstMs = 250
const mostMs = 10_000

type Failure = Readonly<{ wish: string; times: number; untilMs: number; cause: unknown }>

/**
 * What failed is not tried again at every pass: a pass comes whenever anything of a guest changes, its own complaint included,
 * and a plugin that hangs or a guest that does not let go would hold up all of them. What its owner changes is tried at once.
 * `what` is the name of a card, or `wholeSandbox`.
 */
export class Patience {
  readonly #failures = new Map<string, Map<string, Failure>>()

  /** Why that failed which is to rest for now. `wish` is all that it depends on; a new one is tried at once. */
  resting(sandbox: string, what: string, wish: string): Readonly<{ cause: unknown; leftMs: number }> | undefined {
    const failure = this.#failures.get(sandbox)?.get(what)
    const leftMs = failure?.wish === wish ? failure.untilMs - performance.now() : 0
    return failure && leftMs > 0 ? { cause: failure.cause, leftMs } : undefined
  }

  failed(sandbox: string, what: string, wish: string, cause: unknown): void {
    const all = this.#failures.get(sandbox) ?? new Map<string, Failure>()
    const before = all.get(what)
    const times = before?.wish === wish ? before.times + 1 : 0
    all.set(what, { wish, times, untilMs: performance.now() + Math.min(firstMs * 2 ** times, mostMs), cause })
    this.#failures.set(sandbox, all)
  }

  succeeded(sandbox: string, what: string): void {
    this.#failures.get(sandbox)?.delete(what)
  }

  forget(sandbox: string): void {
    this.#failures.delete(sandbox)
  }
}
