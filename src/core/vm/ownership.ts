import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { instanceOf } from './instance.ts'
import { isFinal, runStrategyOf } from './power.ts'

/**
 * What an instance is to the VM of its name (KubeVirt's ClaimVirtualMachineInstanceByName):
 * - `own`: made from it, or adopted.
 * - `orphan`: no controller owns it, for example after its VM was deleted with `--cascade=orphan`: the VM adopts it, unless it is
 *   to be halted: a guest is not stopped by the creation of a VM that has its name (KubeVirt stops it).
 * - `leaving`: another's, or of an earlier VM of the name, and on its way out: the VM waits for that.
 * - `foreign`: another's: the VM cannot have an instance before that is gone.
 */
export type Ownership = 'own' | 'orphan' | 'leaving' | 'foreign'

/** Decides what an instance is to the VM of its name. */
export function ownershipOf(vm: Stored<VirtualMachine>, vmi: Stored<VirtualMachineInstance>): Ownership {
  const { ownerReferences = [], deletionTimestamp } = vmi.metadata
  if (ownerReferences.some(({ uid }) => uid === vm.metadata.uid)) return 'own'
  if (deletionTimestamp) return 'leaving'
  const controller = ownerReferences.find((one) => one.controller)
  // The garbage collector deletes the instance of a VM that was deleted; one with a new VM of the same name is not mistaken for it.
  if (controller)
    return controller.kind === 'VirtualMachine' && controller.name === vm.metadata.name ? 'leaving' : 'foreign'
  return isFinal(vmi) || runStrategyOf(vm) === 'Halted' ? 'foreign' : 'orphan'
}

/** An orphan as the instance of a VM; undefined when it is none any more. */
export function adopted(
  vm: Stored<VirtualMachine>,
  vmi: Stored<VirtualMachineInstance>,
): Stored<VirtualMachineInstance> | undefined {
  if (ownershipOf(vm, vmi) !== 'orphan') return undefined
  const { ownerReferences = [], labels } = instanceOf(vm).metadata
  return {
    ...vmi,
    metadata: {
      ...vmi.metadata,
      labels: { ...vmi.metadata.labels, 'kubevirt.io/vm': labels?.['kubevirt.io/vm'] ?? vm.metadata.name },
      ownerReferences: [...(vmi.metadata.ownerReferences ?? []), ...ownerReferences],
    },
  }
}

/** Why a VM has no instance while a foreign one has its name. */
export function inTheWay({ metadata }: Stored<VirtualMachineInstance>): string {
  const controller = metadata.ownerReferences?.find((one) => one.controller)
  const whose = controller ? `belongs to ${controller.kind} "${controller.name}"` : 'has ended'
  return `the VirtualMachineInstance "${metadata.name}" is not of this VM: it ${whose}; delete it, or give the VM another name`
}
