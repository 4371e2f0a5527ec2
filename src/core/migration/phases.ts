import type { Pod } from '#apis/core/pod.ts'
import type { MigrationPhase, MigrationState, VirtualMachineInstanceMigration } from '#apis/kubevirt/migration.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { isTrue, withCondition } from '../vm/conditions.ts'
import { isScheduled } from '../vm/launcher.ts'
import { isFinal } from '../vm/power.ts'
import type { Placement } from '../vm/scheduling.ts'
import type { MigrationConfig } from './config.ts'
import { activePodName, isMigrating } from './pod-role.ts'

type Migration = VirtualMachineInstanceMigration

/** On a migration: seconds that its pod may wait for a node (KubeVirt). */
const unschedulableAnnotation = 'kubevirt.io/migrationUnschedulablePodTimeoutSeconds'
/** On a migration: seconds that its pod may take to become ready (KubeVirt). */
const pendingAnnotation = 'kubevirt.io/migrationPendingPodTimeoutSeconds'

const defaultUnschedulableSeconds = 300
const defaultPendingSeconds = 900

/** Reason of a target pod's Ready condition while its sandbox cannot be made. */
export const sandboxFailedReason = 'FailedSandbox'

/** Everything that the next step of a migration depends on. */
export type MigrationObservation = Readonly<{
  migration: Migration
  vmi: VirtualMachineInstance | undefined
  /** The pod of the migration's target. */
  pod: Pod | undefined
  /** The node for its pod, or why there is none. */
  placement: Placement | undefined
  /** All migrations of the cluster. */
  all: readonly Migration[]
  config: MigrationConfig
  nowMs: number
}>

/** The next step of a migration; one at a time, so that watchers see every phase. */
export type MigrationStep =
  | Readonly<{ do: 'nothing'; againAfterMs?: number }>
  | Readonly<{ do: 'phase'; phase: MigrationPhase; reason?: string }>
  /** Claim one of the slots for parallel migrations. */
  | Readonly<{ do: 'claim'; sourceNode: string }>
  /** Create the target's pod. */
  | Readonly<{ do: 'createPod'; node: string }>
  /** Write the migration into the instance, so that the agents see it. */
  | Readonly<{ do: 'bind'; state: MigrationState }>
  /** Request the agents to abort it. */
  | Readonly<{ do: 'abort' }>

/** Whether a migration has ended. */
export function isOver({ status }: Pick<Migration, 'status'>): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed'
}

/** Whether a migration holds one of the slots for parallel migrations. */
export function hasClaim(migration: Migration): boolean {
  const phase = migration.status?.phase
  if (isOver(migration) || phase === undefined) return false
  return phase !== 'Pending' || sourceNodeOf(migration) !== undefined
}

/** The migration with a slot claimed: the claim is stored before anything is done, and released at its end. */
export function withClaim(migration: Migration, sourceNode: string): Migration {
  const { status, metadata } = migration
  const state = { ...status?.migrationState, migrationUid: metadata.uid ?? '', sourceNode }
  return { ...migration, status: { ...status, migrationState: state } }
}

/** Decides by phase what a migration needs next (facts/kubevirt.md §1.6). */
export function nextStep(seen: MigrationObservation): MigrationStep {
  const { migration, vmi } = seen
  const { phase } = migration.status ?? {}
  if (isOver(migration)) return { do: 'nothing' }
  const state = ownState(seen)
  if (state?.failed) return failed(state.failureReason ?? 'the node reported that the migration failed')
  if (state?.completed) return { do: 'phase', phase: 'Succeeded' }
  if (!vmi || isFinal(vmi)) return failed(vmi ? 'the VMI has ended' : 'the VMI does not exist any more')
  if (migration.metadata.deletionTimestamp) {
    if (!state) return failed('the migration was canceled before it began')
    if (!state.abortRequested) return { do: 'abort' }
  }
  switch (phase) {
    case undefined:
      return isFirst(seen) ? { do: 'phase', phase: 'Pending' } : { do: 'nothing' }
    case 'Pending':
      return schedule(seen)
    case 'Scheduling':
      return awaitPod(seen)
    case 'Scheduled':
      return state ? { do: 'phase', phase: 'PreparingTarget' } : bind(seen)
    case 'PreparingTarget':
      if (!state) return failed('another migration has taken its place')
      return state.targetNodeAddress ? { do: 'phase', phase: 'TargetReady' } : { do: 'nothing' }
    case 'TargetReady':
      if (!state) return failed('another migration has taken its place')
      return state.startTimestamp ? { do: 'phase', phase: 'Running' } : { do: 'nothing' }
    default:
      return state ? { do: 'nothing' } : failed('another migration has taken its place')
  }
}

/** The instance's migration state, if it is about this migration. */
function ownState({ migration, vmi }: MigrationObservation): MigrationState | undefined {
  const state = vmi?.status?.migrationState
  return state?.migrationUid === migration.metadata.uid ? state : undefined
}

function failed(reason: string): MigrationStep {
  return { do: 'phase', phase: 'Failed', reason }
}

/** Of several migrations of one instance the oldest is executed; the others wait. */
function isFirst({ migration, all }: MigrationObservation): boolean {
  const rank = ({ metadata }: Migration) => `${metadata.creationTimestamp} ${metadata.uid}`
  return !all.some(
    (other) =>
      other.metadata.namespace === migration.metadata.namespace &&
      other.spec.vmiName === migration.spec.vmiName &&
      other.metadata.uid !== migration.metadata.uid &&
      !isOver(other) &&
      (other.status?.phase !== undefined || rank(other) < rank(migration)),
  )
}

function schedule({ migration, vmi, pod, placement, all, config, nowMs }: MigrationObservation): MigrationStep {
  if (pod) return { do: 'phase', phase: 'Scheduling' }
  const waited = sinceMs(migration, 'Pending', nowMs)
  const limitMs = seconds(migration, unschedulableAnnotation, defaultUnschedulableSeconds) * 1000
  const mayWait: MigrationStep = { do: 'nothing', againAfterMs: Math.max(limitMs - waited, 1000) }
  // The instance is not scheduled yet, or its last migration is being finished.
  if (!vmi || !isScheduled(vmi) || isMigrating(vmi)) return mayWait
  const isClaimed = hasClaim(migration)
  const busy = all.filter((one) => hasClaim(one) && one.metadata.uid !== migration.metadata.uid)
  const sourceNode = vmi.status?.nodeName ?? ''
  const outbound = busy.filter((one) => sourceNodeOf(one) === sourceNode)
  const isFull =
    busy.length >= config.parallelMigrationsPerCluster || outbound.length >= config.parallelOutboundMigrationsPerNode
  // Waiting for a slot has no time limit. The end of another migration causes the next pass.
  if (isFull && !isClaimed) return { do: 'nothing' }
  if (placement && 'node' in placement)
    return isClaimed ? { do: 'createPod', node: placement.node.metadata.name } : { do: 'claim', sourceNode }
  if (waited < limitMs) return mayWait
  return failed(
    `the target pod was not scheduled within ${limitMs / 1000} s: ${placement?.why ?? 'there is no instance'}`,
  )
}

/** The source node of a migration; it is stored with the claim, since the instance's node changes. */
function sourceNodeOf({ status }: Migration): string | undefined {
  return status?.migrationState?.sourceNode
}

function awaitPod({ migration, pod, nowMs }: MigrationObservation): MigrationStep {
  if (!pod || pod.metadata.deletionTimestamp) return failed('the target pod is gone')
  if (isTrue(pod.status?.conditions, 'Ready')) return { do: 'phase', phase: 'Scheduled' }
  const limitMs = seconds(migration, pendingAnnotation, defaultPendingSeconds) * 1000
  const leftMs = limitMs - sinceMs(migration, 'Scheduling', nowMs)
  if (leftMs > 0) return { do: 'nothing', againAfterMs: leftMs }
  const why = pod.status?.conditions?.find(({ reason }) => reason === sandboxFailedReason)?.message
  return failed(`the target pod was not ready within ${limitMs / 1000} s${why ? `: ${why}` : ''}`)
}

function bind({ migration, vmi, pod, config }: MigrationObservation): MigrationStep {
  if (!vmi || !pod) return failed('the target pod is gone')
  if (isMigrating(vmi)) return { do: 'nothing' }
  return {
    do: 'bind',
    state: {
      migrationUid: migration.metadata.uid ?? '',
      sourceNode: vmi.status?.nodeName ?? '',
      sourcePod: activePodName(vmi),
      targetNode: pod.spec.nodeName ?? '',
      targetPod: pod.metadata.name,
      targetAttachmentPodUID: pod.metadata.uid ?? '',
      migrationConfiguration: config,
      migrationNetworkType: 'Pod',
    },
  }
}

/** A migration in another phase, with the reason when it failed. */
export function withMigrationPhase(
  migration: Migration,
  phase: MigrationPhase,
  { vmi, reason, now }: Readonly<{ vmi: VirtualMachineInstance | undefined; reason?: string; now: string }>,
): Migration {
  const { status } = migration
  if (status?.phase === phase || isOver(migration)) return migration
  const times = status?.phaseTransitionTimestamps ?? []
  const { uid } = migration.metadata
  const own = vmi?.status?.migrationState?.migrationUid === uid ? vmi?.status?.migrationState : undefined
  const early = phase === 'Scheduling' && vmi ? { migrationUid: uid ?? '', sourceNode: vmi.status?.nodeName ?? '' } : {}
  const state: MigrationState = {
    ...status?.migrationState,
    ...early,
    ...own,
    ...(reason !== undefined && { failed: true, failureReason: reason }),
  }
  return {
    ...migration,
    status: {
      ...status,
      phase,
      phaseTransitionTimestamps: [...times, { phase, phaseTransitionTimestamp: now }],
      ...(Object.keys(state).length && { migrationState: state }),
    },
  }
}

/** A migration with the condition that its abort was requested. */
export function withAbortRequested(migration: Migration, now: string): Migration {
  const conditions = withCondition(
    migration.status?.conditions,
    { type: 'migrationAbortRequested', status: 'True' },
    now,
  )
  return { ...migration, status: { ...migration.status, conditions } }
}

function sinceMs({ status }: Migration, phase: MigrationPhase, nowMs: number): number {
  const at = status?.phaseTransitionTimestamps?.find((one) => one.phase === phase)?.phaseTransitionTimestamp
  return at === undefined ? 0 : nowMs - Date.parse(at)
}

function seconds({ metadata }: Migration, annotation: string, standard: number): number {
  const value = Number(metadata.annotations?.[annotation] ?? standard)
  return Number.isFinite(value) && value >= 0 ? value : standard
}
