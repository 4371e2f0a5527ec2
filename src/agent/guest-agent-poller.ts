import { sameJson } from '#base/json.ts'
import type { GuestInterface } from '#core/nic/status.ts'
import type { GuestAgent } from '#core/ports.ts'
import type { GuestInfo } from '#core/vm/guest-info.ts'

/** When to ask a guest agent after something happened, milliseconds each after the one before; then every `steadyMs`. */
const afterCauseMs = [200, 300, 500, 1000, 2000, 4000, 8000]
const steadyMs = 30_000
/** A guest seldom gets another name or system while its agent is connected: after this many answers it is asked again. */
const infoEvery = 10

type Watched = {
  known: readonly GuestInterface[] | undefined
  info: GuestInfo | undefined
  /** Answers until the guest is asked about itself again. */
  infoIn: number
  step: number
  timer: NodeJS.Timeout | undefined
  asking: boolean
}

/**
 * What guests say about their own network devices. GuestAgentPoller send no news of it, so they are asked: soon after every cause
 * (agent connected, link changed), seldom otherwise.
 */
export class GuestAgentPoller {
  readonly #watched = new Map<string, Watched>()
  readonly #agentOf: (uid: string) => GuestAgent | undefined
  readonly #onNews: (uid: string) => void
  readonly #signal: AbortSignal

  /** `agentOf` is asked each time: a sandbox gets another one when its libvirtd was started again. */
  constructor(agentOf: (uid: string) => GuestAgent | undefined, onNews: (uid: string) => void, signal: AbortSignal) {
    this.#agentOf = agentOf
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

  /** What the guest's agent last reported about itself. */
  info(uid: string): GuestInfo | undefined {
    return this.#watched.get(uid)?.info
  }

  /** Starts asking a guest, or asks soon again because of a new cause. */
  ask(uid: string): void {
    if (this.#signal.aborted) return
    const fresh = { known: undefined, info: undefined, infoIn: 0, step: 0, timer: undefined, asking: false }
    const one = this.#watched.get(uid) ?? fresh
    one.step = 0
    this.#watched.set(uid, one)
    this.#schedule(uid, one)
  }

  /** Asks a guest soon again that is asked already. */
  askAgain(uid: string): void {
    if (this.isAsked(uid)) this.ask(uid)
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
    const answer = await this.#agentOf(uid)
      ?.interfaces(this.#signal)
      .catch(() => undefined)
    if (answer && this.#watched.get(uid) === one) {
      if (!sameJson(answer, one.known)) {
        one.known = answer
        this.#onNews(uid)
      }
      await this.#askInfo(uid, one)
    }
    one.asking = false
    if (this.#watched.get(uid) === one) this.#schedule(uid, one)
  }

  /** Asks a guest that answers about itself, when it is time to. */
  async #askInfo(uid: string, one: Watched): Promise<void> {
    if (one.infoIn-- > 0) return
    const info = await this.#agentOf(uid)
      ?.info(this.#signal)
      .catch(() => undefined)
    one.infoIn = info ? infoEvery : 0
    if (!info || this.#watched.get(uid) !== one || sameJson(info, one.info)) return
    one.info = info
    this.#onNews(uid)
  }
}
