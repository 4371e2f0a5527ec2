import { sameJson } from '#base/json.ts'
import type { GuestInterface } from '#core/nic/status.ts'
import type { GuestAgent } from '#core/ports.ts'
import type { GuestInfo } from '#core/vm/guest-info.ts'

/** Delays of the polls after a change, milliseconds after the previous poll; then every `steadyMs`. */
const afterCauseMs = [200, 300, 500, 1000, 2000, 4000, 8000]
const steadyMs = 30_000
/**
 * The host name and the system of a guest seldom change while its agent is connected: they are requested once in so many polls.
 */
const infoEvery = 10

type Watched = {
  known: readonly GuestInterface[] | undefined
  info: GuestInfo | undefined
  /** Polls until host name and system are requested again. */
  infoIn: number
  step: number
  timer: NodeJS.Timeout | undefined
  asking: boolean
}

/**
 * Polls the agents of guests for their network devices, since guest agents send no events: soon after every change (agent
 * connected, link changed), seldom otherwise.
 */
export class GuestAgentPoller {
  readonly #watched = new Map<string, Watched>()
  readonly #agentOf: (uid: string) => GuestAgent | undefined
  readonly #onNews: (uid: string) => void
  readonly #signal: AbortSignal

  /** `agentOf` is called for each poll: a sandbox gets another connection when its libvirtd is restarted. */
  constructor(agentOf: (uid: string) => GuestAgent | undefined, onNews: (uid: string) => void, signal: AbortSignal) {
    this.#agentOf = agentOf
    this.#onNews = onNews
    this.#signal = signal
    signal.addEventListener('abort', () => {
      for (const uid of [...this.#watched.keys()]) this.forget(uid)
    })
  }

  /** The network devices that a guest last reported. */
  known(uid: string): readonly GuestInterface[] | undefined {
    return this.#watched.get(uid)?.known
  }

  /** What the guest's agent last reported about itself. */
  info(uid: string): GuestInfo | undefined {
    return this.#watched.get(uid)?.info
  }

  /** Starts polling a guest, or polls it soon again because something changed. */
  ask(uid: string): void {
    if (this.#signal.aborted) return
    const fresh = { known: undefined, info: undefined, infoIn: 0, step: 0, timer: undefined, asking: false }
    const one = this.#watched.get(uid) ?? fresh
    one.step = 0
    this.#watched.set(uid, one)
    this.#schedule(uid, one)
  }

  /** Polls a guest soon again if it is being polled. */
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
    // An agent that does not answer is no failure: the guest may be booting, hung, or without an agent.
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

  /** Requests host name and system of a guest that answers, when they are due. */
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
