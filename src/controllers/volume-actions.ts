import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance, type VmiSpec } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { diskErrors } from '#core/admission/disks.ts'
import { nameToRemove, newVolumeOf, type VolumeEdit, withoutVolume, withVolume } from '#core/vm/edit-volumes.ts'
import type { Action, ActionCall } from '#machinery/rest/actions.ts'
import { type ActionContext, keyOf, mustGet, putAction, type Refusal, refusal } from './action-kit.ts'

type Edit = (spec: VmiSpec, input: ActionCall['input']) => VolumeEdit

/**
 * `addvolume` and `removevolume`. On a VM they edit its template, in the name of the caller as any edit, and the instance follows; on
 * an instance that no VM has they edit that.
 */
export function volumeActions(context: Pick<ActionContext, 'client' | 'clientAs'>): readonly Action[] {
  const both = (subresource: string, edit: Edit) => [
    putAction(VirtualMachine, subresource, (call) => editVm(context, call, edit)),
    putAction(VirtualMachineInstance, subresource, (call) => editInstance(context, call, edit), 202),
  ]
  return [...both('addvolume', add), ...both('removevolume', remove)]
}

function add(spec: VmiSpec, input: ActionCall['input']): VolumeEdit {
  const wanted = newVolumeOf(input)
  return 'refuse' in wanted ? wanted : withVolume(spec, wanted)
}

function remove(spec: VmiSpec, input: ActionCall['input']): VolumeEdit {
  const name = nameToRemove(input)
  return typeof name === 'string' ? withoutVolume(spec, name) : name
}

async function editVm({ clientAs }: Pick<ActionContext, 'clientAs'>, call: ActionCall, edit: Edit): Promise<void> {
  const client = clientAs(call.user)
  const key = keyOf(call)
  await mustGet(client, VirtualMachine, key)
  let refused: Refusal | undefined
  const decide = (current: Stored<VirtualMachine>) => {
    const { template } = current.spec
    const edited = edit(template.spec, call.input)
    refused = 'refuse' in edited ? edited : undefined
    if ('refuse' in edited) return undefined
    return { ...current, spec: { ...current.spec, template: { ...template, spec: edited.spec } } }
  }
  await client.modify(VirtualMachine, key, decide, { dryRun: call.dryRun })
  // Thrown inside, it would be taken for one about the write.
  if (refused) throw refusal(VirtualMachine, call.name, refused)
}

/** The server's own client writes: users change instances by such verbs only. */
async function editInstance({ client }: Pick<ActionContext, 'client'>, call: ActionCall, edit: Edit): Promise<void> {
  const key = keyOf(call)
  await mustGet(client, VirtualMachineInstance, key)
  let refused: Refusal | undefined
  const decide = (current: Stored<VirtualMachineInstance>) => {
    const edited = whyNot(current) ?? judged(edit(current.spec, call.input))
    refused = 'refuse' in edited ? edited : undefined
    return 'refuse' in edited ? undefined : { ...current, spec: edited.spec }
  }
  await client.modify(VirtualMachineInstance, key, decide, { dryRun: call.dryRun })
  if (refused) throw refusal(VirtualMachineInstance, call.name, refused)
}

function whyNot({ metadata, status }: Stored<VirtualMachineInstance>): Refusal | undefined {
  const owner = metadata.ownerReferences?.find(({ controller }) => controller)
  if (owner?.kind === VirtualMachine.kind)
    return { refuse: 'Conflict', text: `VMI ${metadata.namespace}/${metadata.name} is owned by a VM` }
  return status?.phase === 'Running' ? undefined : { refuse: 'Conflict', text: 'VMI is not running' }
}

function judged(edited: VolumeEdit): VolumeEdit {
  if ('refuse' in edited) return edited
  const [error] = diskErrors(edited.spec, 'spec')
  return error ? { refuse: 'BadRequest', text: error.message } : edited
}
