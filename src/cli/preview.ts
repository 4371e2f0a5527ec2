import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { type Preview, preview } from '#core/vm/preview.ts'
import type { Client } from '#machinery/client/client.ts'
import type { VmKey } from './declare.ts'

/** The plan for a VM as it is, or would be after a change; undefined when it does not run. */
export async function previewOf(
  client: Client,
  key: VmKey,
  vm: Stored<VirtualMachine>,
): Promise<Preview<Stored<VirtualMachineInstance>> | undefined> {
  return preview(vm, await client.get(VirtualMachineInstance, key))
}
