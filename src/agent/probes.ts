import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { explain } from '#base/fault.ts'
import { sameJson } from '#base/json.ts'
import { timerMs } from '#base/timer.ts'
import type { Prober, ProbeTarget } from '#core/ports.ts'
import { firstState, nextState, type Probe, type ProbeState, probeOf } from '#core/vm/probe.ts'

/** The results of a guest's probes. */
export type Health = Readonly<{
  /** Undefined without a readiness probe. */
  readiness: ProbeState | undefined
  /** Why the liveness probe failed and since when (milliseconds since the epoch); undefined while it has not. */
  failed: Readonly<{ message: string; sinceMs: number }> | undefined
}>

/** What an Event says about a probe whose result has changed; undefined when the guest is healthy by it. */
export function unhealthy({ readiness, failed }: Health, probe: 'readiness' | 'liveness'): string | undefined {
  if (probe === 'liveness') return failed && `Liveness probe failed: ${failed.message}; the guest is ended`
  return readiness && !readiness.isWell ? `Readiness probe failed: ${readiness.message}` : undefined
}

type Running = { probe: Probe; state: ProbeState; timer: NodeJS.Timeout | undefined; changedMs: number }
type Watched = {
  target: ProbeTarget
  readiness: Running | undefined
  liveness: Running | undefined
  stop: AbortController
}

/** Called when the result of a guest's probe changes. */
type News = (uid: string, probe: 'readiness' | 'liveness') => void

/** Runs the probes of guests, each with its own period, and calls back when a result changes. */
export class Probes {
  readonly #watched = new Map<string, Watched>()
  readonly #prober: Prober
  readonly #onNews: News
  readonly #signal: AbortSignal

  constructor(prober: Prober, onNews: News, signal: AbortSignal) {
    this.#prober = prober
    this.#onNews = onNews
    this.#signal = signal
    signal.addEventListener('abort', () => {
      for (const uid of [...this.#watched.keys()]) this.forget(uid)
    })
  }

  /** Probes a guest from now on; probes that run already continue unless they have changed. */
  watch(uid: string, spec: VmiSpec, target: ProbeTarget): void {
    if (this.#signal.aborted) return
    const readiness = probeOf(spec.readinessProbe, spec)
    const liveness = probeOf(spec.livenessProbe, spec)
    const old = this.#watched.get(uid)
    if (old) {
      old.target = target
      if (sameJson([old.readiness?.probe, old.liveness?.probe], [readiness, liveness])) return
      this.forget(uid)
    }
    if (!readiness && !liveness) return
    const running = (probe: Probe | undefined, isWell: boolean) =>
      probe && { probe, state: firstState(isWell), timer: undefined, changedMs: 0 }
    const one: Watched = {
      target,
      readiness: running(readiness, false),
      liveness: running(liveness, true),
      stop: new AbortController(),
    }
    this.#watched.set(uid, one)
    for (const probe of [one.readiness, one.liveness])
      if (probe) this.#schedule(uid, one, probe, probe.probe.initialDelayMs)
  }

  health(uid: string): Health {
    const one = this.#watched.get(uid)
    const liveness = one?.liveness
    const hasFailed = liveness && !liveness.state.isWell
    return {
      readiness: one?.readiness?.state,
      failed: hasFailed ? { message: liveness.state.message, sinceMs: liveness.changedMs } : undefined,
    }
  }

  forget(uid: string): void {
    const one = this.#watched.get(uid)
    clearTimeout(one?.readiness?.timer)
    clearTimeout(one?.liveness?.timer)
    one?.stop.abort()
    this.#watched.delete(uid)
  }

  #schedule(uid: string, one: Watched, running: Running, ms: number): void {
    running.timer = setTimeout(() => void this.#try(uid, one, running), timerMs(ms))
    running.timer.unref()
  }

  async #try(uid: string, one: Watched, running: Running): Promise<void> {
    const { check, timeoutMs, periodMs } = running.probe
    let failure: string | undefined
    try {
      failure = await this.#prober.check(check, one.target, timeoutMs, one.stop.signal)
    } catch (error) {
      // The guest was forgotten during the probe.
      if (one.stop.signal.aborted) return
      failure = explain(error)
    }
    if (this.#watched.get(uid) !== one) return
    const before = running.state
    running.state = nextState(before, failure, running.probe)
    if (running.state.isWell !== before.isWell) {
      running.changedMs = Date.now()
      this.#onNews(uid, running === one.liveness ? 'liveness' : 'readiness')
    }
    // A guest that is going to be ended is not probed again.
    if (running === one.liveness && !running.state.isWell) return
    this.#schedule(uid, one, running, periodMs)
  }
}
