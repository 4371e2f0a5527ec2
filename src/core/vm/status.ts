import type { PrintableStatus, VirtualMachine, VmStatus } from '#apis/kubevirt/vm.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Condition, Stored } from '#apis/meta/object.ts'
import { claimReasons } from '../disk/readiness.ts'
import { isMigrating } from '../migration/pod-role.ts'
import { findCondition, isTrue, withCondition, withoutCondition } from './conditions.ts'
import { failedCreate } from './launcher.ts'
import { backoffMs, isFinal, isRequestDone, runStrategyOf } from './power.ts'
import { notCarriedOutCondition, withUncarriedOfVm } from './uncarried.ts'

/** Conditions of an instance that a VM has its own version of; all others are copied. */
const notMirrored = new Set(['Ready', 'Failure', 'RestartRequired', notCarriedOutCondition])

/** KubeVirt's words for the RestartRequired condition (facts/kubevirt.md §1.4). */
const restartMessage = 'a non-live-updatable field was changed in the template spec'

/** Reason of the Synchronized condition while an image is missing on the node. */
export const imageMissingReason = 'ErrImagePull'
/** Its reason while an image that could not be pulled is not tried again yet. */
export const imageBackOffReason = 'ImagePullBackOff'

/** Reasons of the Synchronized condition that are the printable status of the VM, or mean it. */
const statusOfReason: ReadonlyMap<string | undefined, PrintableStatus> = new Map([
  [imageMissingReason, 'ErrImagePull'],
  ['ErrImageNeverPull', 'ErrImagePull'],
  [imageBackOffReason, 'ImagePullBackOff'],
  [claimReasons.missing, 'ErrorPvcNotFound'],
  [claimReasons.unbound, 'WaitingForVolumeBinding'],
  [claimReasons.provisioning, 'Provisioning'],
  [claimReasons.failed, 'DataVolumeError'],
  [claimReasons.used, 'ErrorUnschedulable'],
])

export type VmObservation = Readonly<{
  vmi: Stored<VirtualMachineInstance> | undefined
  restartRequired: boolean
  /** The VM with what its instance type and preference say. */
  whole?: VirtualMachine
  /** Why the creation of its instance was refused. */
  failure?: string | undefined
  /** What its volumes wait for while it has no instance (a reason of core/disk/readiness.ts). */
  waits?: string | undefined
  /** The generation of the VM that was reconciled; the stored one may be newer. */
  generation?: number | undefined
  nowMs: number
  /** `nowMs` as the API writes times. */
  now: string
}>

/** The whole status of a VM, computed from its instance. Equal input gives equal output. */
export function vmStatus(vm: VirtualMachine, seen: VmObservation): VmStatus {
  const { vmi, nowMs } = seen
  const { stateChangeRequests, startFailure: _, ...old } = vm.status ?? {}
  const failure = startFailure(vm, vmi, nowMs)
  const pending = (stateChangeRequests ?? []).slice(isRequestDone(vm, vmi) ? 1 : 0)
  return {
    ...old,
    ...(vmi || old.created !== undefined ? { created: vmi !== undefined } : {}),
    ready: vmi !== undefined && isTrue(vmi.status?.conditions, 'Ready'),
    printableStatus: printableStatus(vm, seen, failure),
    runStrategy: runStrategyOf(vm),
    conditions: conditions(vm, seen),
    ...(pending.length && { stateChangeRequests: pending }),
    ...(failure && { startFailure: failure }),
    observedGeneration: seen.generation ?? vm.metadata.generation ?? 0,
    desiredGeneration: vm.metadata.generation ?? 0,
  }
}

function conditions(
  vm: VirtualMachine,
  { vmi, whole, restartRequired, failure, now }: VmObservation,
): readonly Condition[] {
  const theirs = vmi?.status?.conditions ?? []
  const ready = vmi ? findCondition(theirs, 'Ready') : undefined
  let list = withCondition(
    vm.status?.conditions,
    ready ? plain(ready) : { type: 'Ready', status: 'False', reason: 'VMINotExists', message: 'VMI does not exist' },
    now,
  )
  const mirrored = theirs.filter((condition) => !notMirrored.has(condition.type))
  for (const condition of mirrored) list = withCondition(list, plain(condition), now)
  const kept = new Set([...mirrored.map((condition) => condition.type), ...notMirrored])
  list = list.filter((condition) => kept.has(condition.type))
  list = [...withUncarriedOfVm(list, whole ?? vm, now)]
  list = failure
    ? withCondition(list, { type: 'Failure', status: 'True', reason: failedCreate, message: failure }, now)
    : withoutCondition(list, 'Failure')
  return restartRequired
    ? withCondition(list, { type: 'RestartRequired', status: 'True', message: restartMessage }, now)
    : withoutCondition(list, 'RestartRequired')
}

function plain(condition: Condition): Omit<Condition, 'lastTransitionTime'> {
  const { lastTransitionTime: _, lastProbeTime: _p, ...rest } = condition
  return rest
}

/** First match wins, in KubeVirt's order (facts/kubevirt.md §1.4). */
function printableStatus(
  vm: VirtualMachine,
  { vmi, waits, nowMs }: VmObservation,
  failure: VmStatus['startFailure'],
): PrintableStatus {
  if (vm.metadata.deletionTimestamp) return 'Terminating'
  if (vmi?.metadata.deletionTimestamp) return 'Stopping'
  const phase = vmi?.status?.phase
  if (vmi && isMigrating(vmi)) return 'Migrating'
  if (vmi && isTrue(vmi.status?.conditions, 'Paused')) return 'Paused'
  if (phase === 'Running') return 'Running'
  if (vmi && !isFinal(vmi)) {
    const known = statusOfReason.get(findCondition(vmi.status?.conditions, 'Synchronized')?.reason)
    if (known) return known
    if (findCondition(vmi.status?.conditions, 'PodScheduled')?.status === 'False') return 'ErrorUnschedulable'
    return 'Starting'
  }
  const known = statusOfReason.get(waits)
  if (known && waits !== claimReasons.missing) return known
  const retryMs = failure?.retryAfterTimestamp === undefined ? 0 : Date.parse(failure.retryAfterTimestamp)
  if (!vmi && retryMs > nowMs && runStrategyOf(vm) !== 'Halted') return 'CrashLoopBackOff'
  return 'Stopped'
}

/**
 * Counts instances that failed before they ran, for the backoff of a VM that cannot start. An instance that reaches Running
 * clears the count.
 */
function startFailure(
  vm: VirtualMachine,
  vmi: Stored<VirtualMachineInstance> | undefined,
  nowMs: number,
): VmStatus['startFailure'] {
  const old = vm.status?.startFailure
  if (!vmi) return old
  if (vmi.status?.phase === 'Running') return undefined
  const uid = vmi.metadata.uid
  const everRan = vmi.status?.phaseTransitionTimestamps?.some((one) => one.phase === 'Running')
  if (vmi.status?.phase !== 'Failed' || everRan || old?.lastFailedVMIUID === uid) return old
  const consecutiveFailCount = (old?.consecutiveFailCount ?? 0) + 1
  const retryAfterTimestamp = new Date(nowMs + backoffMs(consecutiveFailCount)).toISOString()
  return { consecutiveFailCount, lastFailedVMIUID: uid, retryAfterTimestamp }
}
