import type { VmiPhase, VmiStatus } from '#apis/kubevirt/vmi.ts'

/** A status moved to a phase, with the time of the first entry into it. Moving to the phase it is in changes nothing. */
export function withPhase(status: VmiStatus | undefined, phase: VmiPhase, now: string): VmiStatus {
  if (status?.phase === phase) return status
  const times = status?.phaseTransitionTimestamps ?? []
  return { ...status, phase, phaseTransitionTimestamps: [...times, { phase, phaseTransitionTimestamp: now }] }
}
