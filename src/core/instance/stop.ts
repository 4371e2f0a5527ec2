import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { explain } from '#base/fault.ts'
import type { DomainEnd } from '../ports.ts'
import type { Observation } from './observation.ts'
import type { InstancePlan } from './plan.ts'
import type { InstanceStep } from './steps.ts'

/** Default grace period of a guest, seconds (Kubernetes' default). */
const defaultGraceSeconds = 30
/** Interval of the shutdown requests to a guest that does not shut down, milliseconds. */
const requestAgainMs = 5000

/**
 * The start of the grace period (milliseconds since the epoch), and the reported end; how the guest really ended unless given.
 */
type Leaving = Readonly<{ sinceMs: number; end?: DomainEnd }>

/**
 * Ends a guest: requests its shutdown until the grace period is over, then destroys it. When its hypervisor does not answer, its
 * process is killed at the end of the grace period. The plan has the step `finish` if and only if the guest is gone.
 */
export function planStop(seen: Observation, vmi: VirtualMachineInstance, { sinceMs, end }: Leaving): InstancePlan {
  const { guest, requested, nowMs } = seen
  const leftMs = sinceMs + (vmi.spec.terminationGracePeriodSeconds ?? defaultGraceSeconds) * 1000 - nowMs
  const next = (...steps: readonly InstanceStep[]): InstancePlan => ({ steps, reports: 'nothing' })
  if (!guest || guest.is === 'none' || (guest.is === 'silent' && !guest.hasProcess)) {
    const found = guest?.is === 'none' ? guest.end : undefined
    return next({ do: 'finish', end: end ?? found ?? 'destroyed' })
  }
  if (guest.is === 'there') {
    if (leftMs <= 0) return next({ do: 'destroy' })
    const sinceRequestMs = nowMs - (requested.shutdownMs ?? Number.NEGATIVE_INFINITY)
    if (sinceRequestMs >= requestAgainMs) return next({ do: 'shutdown' })
    return { ...next(), againAfterMs: Math.min(leftMs, requestAgainMs - sinceRequestMs) }
  }
  if (leftMs <= 0) return next({ do: 'kill', cause: guest.cause })
  const why = explain(guest.cause)
  const message = `the guest cannot be asked to shut down, and is ended when its grace period is over: ${why}`
  return {
    steps: [],
    syncFailure: { reason: 'FailedKillPod', message, event: 'FailedKillPod' },
    reports: 'failure',
    againAfterMs: Math.min(leftMs, requestAgainMs),
  }
}
