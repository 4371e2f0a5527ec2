import type { MigrationState, MigrationStepName } from '#apis/kubevirt/migration.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { nextAction } from './outcome.ts'
import { completedState, failedState, migrationLimits } from './state.ts'

/** Whose agent carries out each step. */
export const sideOf = {
  send: 'source',
  recall: 'source',
  endSource: 'source',
  resumeSource: 'source',
  endTarget: 'target',
  resumeTarget: 'target',
} as const satisfies Record<MigrationStepName, 'source' | 'target'>

/** What the controller does next about a guest that moves. */
export type Directive =
  /** The agents are carrying out the last step, or have not published its result. */
  | Readonly<{ do: 'wait' }>
  /** Have an agent carry out the next step. */
  | Readonly<{ do: 'step'; step: MigrationStepName }>
  /** The guest is where it was to go. */
  | Readonly<{ do: 'complete' }>
  /** It came to nothing. Without a reason, it is the source's. */
  | Readonly<{ do: 'fail'; reason?: string }>

/** What decides beside what the agents published: whether it is to be called off, and whether it is far over its time. */
export type Circumstances = Readonly<{ isUnwanted: boolean; isOverdue: boolean }>

/**
 * Decides from what both agents published. An observation counts only when it was made knowing the last step, and the target's
 * only when it was made knowing what the source last published: a guest may arrive and its source go between two looks. What
 * has become of either since then, the agent finds that carries out the step (see `mayCarryOut`).
 */
export function nextDirective(state: MigrationState, { isUnwanted, isOverdue }: Circumstances): Directive {
  const { step, source, target, startTimestamp } = state
  const generation = step?.generation ?? 0
  if (!source || !target) return { do: 'wait' }
  if (source.generation < generation || target.generation < generation || target.sourceSequence < source.sequence)
    return { do: 'wait' }
  const isStarted = startTimestamp !== undefined
  if (isUnwanted && !isStarted) return ended(state, 'the migration was called off before it began')
  const seen = { source: source.guest, target: target.guest, isUnderway: source.isUnderway, isStarted, isOverdue }
  switch (nextAction(seen)) {
    case 'start':
      return { do: 'step', step: 'send' }
    case 'wait': {
      const isToEnd = source.isUnderway && (isUnwanted || source.isLate === true)
      return isToEnd && step?.do !== 'recall' ? { do: 'step', step: 'recall' } : { do: 'wait' }
    }
    case 'switchOver':
      if (source.guest !== 'gone') return { do: 'step', step: 'endSource' }
      // One that was paused when it was sent stays so.
      return target.guest === 'arrived' && state.mode !== 'Paused'
        ? { do: 'step', step: 'resumeTarget' }
        : { do: 'complete' }
    case 'resumeSource':
      if (target.guest !== 'none') return { do: 'step', step: 'endTarget' }
      return state.mode === 'Paused' ? { do: 'fail' } : { do: 'step', step: 'resumeSource' }
    case 'abort':
      return ended(state)
    case 'lost':
      return ended(state, 'the guest ended before it was moved')
  }
}

/** How much longer than it may take altogether a guest may take to be seen as arrived after its source has gone, milliseconds. */
const arrivalMs = 60_000

/** Whether a migration has taken so long that what has not arrived never will. */
export function isOverdue(vmi: Pick<VirtualMachineInstance, 'spec' | 'status'>, nowMs: number): boolean {
  const { startTimestamp } = vmi.status?.migrationState ?? {}
  return (
    startTimestamp !== undefined && nowMs - Date.parse(startTimestamp) > migrationLimits(vmi).completionMs + arrivalMs
  )
}

/** What is written of a directive. */
export function changeOf(state: MigrationState, directive: Directive, now: string): Partial<MigrationState> {
  switch (directive.do) {
    case 'wait':
      return {}
    case 'complete':
      return completedState(state, now)
    case 'fail':
      return failedState(state, reasonOf(state, directive), now)
    case 'step': {
      const step = { generation: (state.step?.generation ?? 0) + 1, do: directive.step }
      if (directive.step === 'recall') return { step, abortStatus: 'Aborting' }
      if (directive.step !== 'send') return { step }
      const mode = state.source?.isPaused ? 'Paused' : 'PreCopy'
      return { step, startTimestamp: now, mode, targetNodeDomainDetected: false }
    }
  }
}

/** Why a migration came to nothing, for its owner. */
export function reasonOf(
  { abortStatus, abortRequested, source }: MigrationState,
  { reason }: { reason?: string },
): string {
  if (abortStatus === 'Aborting' && !abortRequested)
    return 'it did not come to its end in time (completionTimeoutPerGiB, progressTimeout)'
  return reason ?? source?.failure ?? 'the hypervisor gave the migration up while nobody watched'
}

/** Fails a migration once nothing of the guest is left at its target. */
function ended({ target }: MigrationState, reason?: string): Directive {
  if (target?.guest !== 'none') return { do: 'step', step: 'endTarget' }
  return { do: 'fail', ...(reason !== undefined && { reason }) }
}

/** The guest at either end, as the agent sees it that is about to carry out a step. */
type Now = Readonly<{ source: 'running' | 'stopped' | 'gone'; target: string }>

/**
 * Whether a step may still be carried out: what was decided by may have changed since it was published. A step that may not is
 * skipped, and the next directive follows from what is published then.
 */
export function mayCarryOut(step: MigrationStepName, { source, target }: Partial<Now>): boolean {
  switch (step) {
    // libvirt may have given the guest back to its source, which runs on.
    case 'endSource':
      return source !== 'running'
    case 'endTarget':
      return target !== 'running'
    default:
      return true
  }
}
