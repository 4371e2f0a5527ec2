import { sameJson } from '#base/json.ts'
import type { GuestInterface } from '#core/nic/status.ts'
import type { Hypervisor } from '#core/ports.ts'

/** When to ask a guest agent after something happened, milliseconds each after the one before; then every `steadyMs`. */
const afterCauseMs = [200, 300, 500, 1000, 2000, 4000, 8000]
const steadyMs = 30_000

type Watched = {
  hypervisor: Hypervisor
  known: readonly GuestInterface[] | undefined
  step: number
  timer: NodeJS.Timeout | undefined
  asking: boolean
}

/**
 * What guests say about their own network devices. Guests send no news of it, so they are asked: soon after every cause
 * (agent connected, link changed), seldom otherwise.
 */
export class Guests {
  readonly #watched = new Map<string, Watched>()
  readonly #onNews: (uid: string) => void
  readonly #signal: AbortSignal

  constructor(onNews: (uid: string) => void, signal: AbortSignal) {
    this.#onNews = onNews
    this.#signal = signal
    signal.addEventListener('abort', () => {
      for (const uid of [...this.#watched.keys()]) this.forget(uid)
    })
  }

  /** The last answer of a sandbox's guest. */
  known(uid: string): readonly GuestInterface[] | undefined {
    return this.#watched.get(uid)?.known
  }

  /** Starts asking a guest, or asks soon again because of a new cause. */
  ask(uid: string, hypervisor: Hypervisor): void {
    if (this.#signal.aborted) return
    const one = this.#watched.get(uid) ?? { hypervisor, known: undefined, step: 0, timer: undefined, asking: false }
    one.hypervisor = hypervisor
    one.step = 0
    this.#watched.set(uid, one)
    this.#schedule(uid, one)
  }

  /** Asks a guest soon again that is asked already. */
  askAgain(uid: string): void {
    const one = this.#watched.get(uid)
    if (one) this.ask(uid, one.hypervisor)
  }

  isAsked(uid: string): boolean {
    return this.#watched.has(uid)
  }

  forget(uid: string): void {
    clearTimeout(this.#watched.get(uid)?.timer)
    this.#watched.delete(uid)
  }

  #schedule(uid: string, one: Watched): void {
    clearTimeout(one.timer)
    one.timer = setTimeout(() => void this.#poll(uid, one), afterCauseMs[one.step] ?? steadyMs)
    one.timer.unref()
  }

  async #poll(uid: string, one: Watched): Promise<void> {
    if (one.asking) return
    one.asking = true
    one.step++
    // An agent that does not answer is no fault: the guest may be booting, hung, or without one.
    const answer = await one.hypervisor.guestInterfaces(this.#signal).catch(() => undefined)
    one.asking = false
    if (this.#watched.get(uid) !== one) return
    if (answer && !sameJson(answer, one.known)) {
      one.known = answer
      this.#onNews(uid)
    }
    this.#schedule(uid, one)
  }
}
