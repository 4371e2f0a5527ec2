import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { desiredNics, wantedNics } from '#core/nic/desired.ts'
import { type Plan, planNics } from '#core/nic/plan.ts'
import { planLines } from '#core/nic/plan-text.ts'
import type { Client } from '#machinery/client/client.ts'
import type { VmKey } from './declare.ts'
import { isRunning } from './nic-rows.ts'

/** What a VM's template means for its running guest: the plan, and its text. */
export type Preview = Readonly<{ running: VirtualMachineInstance; plan: Plan; lines: readonly string[] }>

/** The plan for a VM as it is, or would be after a change; undefined when it does not run. */
export async function previewOf(client: Client, key: VmKey, vm: VirtualMachine): Promise<Preview | undefined> {
  const running = await client.get(VirtualMachineInstance, key)
  if (!isRunning(running)) return undefined
  const desired = wantedNics(vm.spec.template.spec, key.namespace)
  const observed = desiredNics(running.spec, key.namespace)
  const plan = planNics(desired, observed)
  return { running, plan, lines: planLines(plan, desired, observed) }
}
