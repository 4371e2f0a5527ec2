import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { desiredNics, wantedNics } from '../nic/desired.ts'
import { type Plan, planNics } from '../nic/plan.ts'
import { planLines } from '../nic/plan-text.ts'
import { isRunning } from './nic-rows.ts'

/** What a VM's template means for its running guest: the plan, and its text. */
export type Preview<T extends VirtualMachineInstance = VirtualMachineInstance> = Readonly<{
  running: T
  plan: Plan
  lines: readonly string[]
}>

/** The plan for a VM as it is, or would be after a change; undefined when it does not run. */
export function preview<T extends VirtualMachineInstance>(
  vm: Stored<VirtualMachine>,
  running: T | undefined,
): Preview<T> | undefined {
  if (!isRunning(running)) return undefined
  const { namespace } = vm.metadata
  const desired = wantedNics(vm.spec.template.spec, namespace)
  const observed = desiredNics(running.spec, namespace)
  const plan = planNics(desired, observed)
  return { running, plan, lines: planLines(plan, desired, observed) }
}
