import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import { type NicEdit, withNic, withoutNic } from '#core/vm/edit-nics.ts'
import { isFinal } from '#core/vm/power.ts'
import type { Client } from '#machinery/client/client.ts'
import type { Action, ActionCall } from '#machinery/rest/actions.ts'
import { type ActionContext, keyOf, mustGet, putAction, type Refusal, refusal } from './action-kit.ts'

/**
 * `addinterface` and `removeinterface` of KubeVirt 1.0. They edit the VM's template in the name of the caller, so that
 * admission requires the same rights as for an edit; the instance follows as after any edit. On an instance itself they are
 * refused: it follows its VM.
 */
export function nicActions({ clientAs }: Pick<ActionContext, 'clientAs'>): readonly Action[] {
  const edit = (
    subresource: string,
    change: (vm: Stored<VirtualMachine>, call: ActionCall, isRunning: boolean) => NicEdit,
  ) => [
    putAction(VirtualMachine, subresource, (call) =>
      editVm(clientAs(call.user), call, (vm, isRunning) => change(vm, call, isRunning)),
    ),
    putAction(VirtualMachineInstance, subresource, async ({ name }) => {
      const text = `an instance has the interfaces of its VM; call virtualmachines/${name}/${subresource} instead`
      throw refusal(VirtualMachineInstance, name, { refuse: 'BadRequest', text })
    }),
  ]
  return [
    ...edit('addinterface', (vm, { input }) => {
      const network = textIn(input, 'AddInterfaceOptions', 'networkAttachmentDefinitionName')
      return withNic(vm, { name: textIn(input, 'AddInterfaceOptions', 'name'), network })
    }),
    ...edit('removeinterface', (vm, { input }, isRunning) =>
      withoutNic(vm, textIn(input, 'RemoveInterfaceOptions', 'name'), isRunning),
    ),
  ]
}

async function editVm(
  client: Client,
  call: ActionCall,
  change: (vm: Stored<VirtualMachine>, isRunning: boolean) => NicEdit,
): Promise<void> {
  const key = keyOf(call)
  await mustGet(client, VirtualMachine, key)
  const vmi = await client.get(VirtualMachineInstance, key)
  const isRunning = vmi !== undefined && !isFinal(vmi)
  let refused: Refusal | undefined
  const decide = (current: Stored<VirtualMachine>) => {
    const edit = change(current, isRunning)
    refused = 'refuse' in edit ? edit : undefined
    return 'refuse' in edit || edit.vm === current ? undefined : edit.vm
  }
  await client.modify(VirtualMachine, key, decide, { dryRun: call.dryRun })
  // Thrown inside, "interface not found" would be taken for "VM not found".
  if (refused) throw refusal(VirtualMachine, call.name, refused)
}

/** @throws Fault BadRequest in KubeVirt's words */
function textIn(input: ActionCall['input'], options: string, field: string): string {
  const text = input[field]
  if (typeof text === 'string' && text) return text
  throw new Fault('BadRequest', `${options} requires \`${field}\` to be set`)
}
