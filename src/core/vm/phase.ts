import type { VmiPhase, VmiStatus } from '#apis/kubevirt/vmi.ts'

/** A status in another phase, with the time of the first entry into it. The same phase again changes nothing. */
export function withPhase(status: VmiStatus | undefined, phase: VmiPhase, now: string): VmiStatus {
  if (status?.phase === phase) return status
  const times = status?.phaseTransitionTimestamps ?? []
  return { ...status, phase, phaseTransitionTimestamps: [...times, { phase, phaseTransitionTimestamp: now }] }
}
