import type { MigrationState, MigrationStepName } from '#apis/kubevirt/migration.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { nextAction } from './outcome.ts'
import { completedState, failedState, migrationLimits } from './state.ts'

/** The side whose agent executes each step. */
export const sideOf = {
  send: 'source',
  recall: 'source',
  endSource: 'source',
  resumeSource: 'source',
  endTarget: 'target',
  resumeTarget: 'target',
} as const satisfies Record<MigrationStepName, 'source' | 'target'>

/** The controller's next action on a migration. */
export type Directive =
  /** The agents are executing the last step, or have not published its result. */
  | Readonly<{ do: 'wait' }>
  /** Have an agent execute the next step. */
  | Readonly<{ do: 'step'; step: MigrationStepName }>
  /** The guest runs at the target. */
  | Readonly<{ do: 'complete' }>
  /** The migration failed. Without a reason, the source's failure is the reason. */
  | Readonly<{ do: 'fail'; reason?: string }>

/**
 * What a directive depends on beside the published observations: whether the migration is to be aborted, and whether its time
 * limit has long passed.
 */
export type Circumstances = Readonly<{ isUnwanted: boolean; isOverdue: boolean }>

/**
 * Decides from the observations that both agents published. An observation counts only if it was made after the last step was
 * known, and the target's only if it was made after the source's last observation was known: a guest may arrive and its source
 * end between two observations. The agent that executes the step checks for newer changes (see `mayCarryOut`).
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
      // A guest that was paused when it was sent stays paused.
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

/**
 * Time beyond the completion timeout within which a guest must be observed as arrived after its source has ended, milliseconds.
 */
const arrivalMs = 60_000

/** Whether a migration has taken so long that a guest that has not arrived never will. */
export function isOverdue(vmi: Pick<VirtualMachineInstance, 'spec' | 'status'>, nowMs: number): boolean {
  const { startTimestamp } = vmi.status?.migrationState ?? {}
  return (
    startTimestamp !== undefined && nowMs - Date.parse(startTimestamp) > migrationLimits(vmi).completionMs + arrivalMs
  )
}

/** The change of the migration state for a directive. */
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

/** Why a migration failed, for its owner. */
export function reasonOf(
  { abortStatus, abortRequested, source }: MigrationState,
  { reason }: { reason?: string },
): string {
  if (abortStatus === 'Aborting' && !abortRequested)
    return 'it did not come to its end in time (completionTimeoutPerGiB, progressTimeout)'
  return reason ?? source?.failure ?? 'the hypervisor gave the migration up while no agent observed it'
}

/** Fails a migration once nothing of the guest is left at the target. */
function ended({ target }: MigrationState, reason?: string): Directive {
  if (target?.guest !== 'none') return { do: 'step', step: 'endTarget' }
  return { do: 'fail', ...(reason !== undefined && { reason }) }
}

/** The state of both copies, as observed by the agent that is about to execute a step. */
type Now = Readonly<{ source: 'running' | 'stopped' | 'gone'; target: string }>

/**
 * Whether a step may still be executed: the state may have changed since the observations were published. Otherwise the step is
 * skipped, and the next directive follows from the new observation.
 */
export function mayCarryOut(step: MigrationStepName, { source, target }: Partial<Now>): boolean {
  switch (step) {
    // libvirt may have resumed the guest at the source.
    case 'endSource':
      return source !== 'running'
    case 'endTarget':
      return target !== 'running'
    default:
      return true
  }
}
