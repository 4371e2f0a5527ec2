import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { isMigrating } from '#core/migration/pod-role.ts'
import { isTrue } from '#core/vm/conditions.ts'
import { isFinal, runStrategyOf } from '#core/vm/power.ts'

/** The states of a VM that clients know and a VM here can be in (facts/ovirt-clients.md §5, §6). */
export type VmStatus =
  | 'down'
  | 'migrating'
  | 'paused'
  | 'powering_down'
  | 'powering_up'
  | 'unknown'
  | 'up'
  | 'wait_for_launch'

/** Whether an instance has a guest, or is about to. */
export function isRunning(vmi: VirtualMachineInstance): boolean {
  return !isFinal(vmi)
}

/**
 * The status of a VM. `up` means that its guest runs and is changed while it does: clients plug cards as soon as they read it.
 * `isMoving`: a migration of it has been created and has not ended.
 */
export function vmStatus(
  vm: VirtualMachine,
  vmi: Stored<VirtualMachineInstance> | undefined,
  isMoving: boolean,
): VmStatus {
  if (!vmi) return isToStart(vm) ? 'wait_for_launch' : 'down'
  if (!isRunning(vmi)) return isToStart(vm) ? 'wait_for_launch' : 'powering_down'
  const { status, metadata } = vmi
  if (metadata.deletionTimestamp || vm.metadata.deletionTimestamp || isToStop(vm, vmi)) return 'powering_down'
  switch (status?.phase) {
    case 'Running':
      if (isMoving || isMigrating(vmi)) return 'migrating'
      return isTrue(status.conditions, 'Paused') ? 'paused' : 'up'
    case 'Scheduled':
      return 'powering_up'
    case 'Unknown':
      return 'unknown'
    default:
      return 'wait_for_launch'
  }
}

function isToStart(vm: VirtualMachine): boolean {
  const strategy = runStrategyOf(vm)
  return strategy === 'Always' || vm.status?.stateChangeRequests?.[0]?.action === 'Start'
}

function isToStop(vm: VirtualMachine, vmi: Stored<VirtualMachineInstance>): boolean {
  const request = vm.status?.stateChangeRequests?.[0]
  const isAsked = request?.action === 'Stop' && (request.uid ?? vmi.metadata.uid) === vmi.metadata.uid
  return isAsked || runStrategyOf(vm) === 'Halted'
}
