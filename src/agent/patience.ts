import type { Step } from '#core/nic/plan.ts'

/** How long a step that failed rests before it is tried again, milliseconds: at first, and at most; it doubles in between. */
const firstMs = 250
const mostMs = 10_000

type Failure = Readonly<{ wish: string; times: number; untilMs: number; cause: unknown }>

/**
 * Steps that failed are not tried again at every pass: a pass comes whenever anything of a guest changes, and a plugin that
 * hangs or a guest that does not let go would hold up all of them. What its owner changes is tried at once.
 */
export class Patience {
  readonly #failures = new Map<string, Map<string, Failure>>()

  /** Why a step failed that is to rest for now. `wish` is all that it depends on; a new one is tried at once. */
  resting(sandbox: string, { nic }: Step, wish: string): Readonly<{ cause: unknown }> | undefined {
    const failure = this.#failures.get(sandbox)?.get(nic.name)
    return failure?.wish === wish && performance.now() < failure.untilMs ? failure : undefined
  }

  failed(sandbox: string, { nic }: Step, wish: string, cause: unknown): void {
    const all = this.#failures.get(sandbox) ?? new Map<string, Failure>()
    const before = all.get(nic.name)
    const times = before?.wish === wish ? before.times + 1 : 0
    all.set(nic.name, { wish, times, untilMs: performance.now() + Math.min(firstMs * 2 ** times, mostMs), cause })
    this.#failures.set(sandbox, all)
  }

  succeeded(sandbox: string, { nic }: Step): void {
    this.#failures.get(sandbox)?.delete(nic.name)
  }

  forget(sandbox: string): void {
    this.#failures.delete(sandbox)
  }
}
