import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { Stored } from '#apis/meta/object.ts'
import { explain, Fault, faultKind } from '#base/fault.ts'
import { isRunning } from '#core/vm/nic-rows.ts'
import { type Preview, preview } from '#core/vm/preview.ts'
import { client, machines } from '../api/cluster.ts'
import { vms } from '../api/kinds.ts'
import { type Gesture, patchOf } from '../model/gesture.ts'
import type { Machine } from '../model/machine.ts'

/** The effect of a gesture: what the server would make of it, and the plan for the running guest. */
export type Outcome =
  | Readonly<{ is: 'planned'; after: Stored<VirtualMachine>; plan: Preview | undefined }>
  | Readonly<{ is: 'nothing' }>
  | Readonly<{ is: 'refused'; text: string }>
  | Readonly<{ is: 'changed' }>
  | Readonly<{ is: 'gone' }>

/** Asks the server what a gesture would do to a machine as it was seen, or does it. */
export async function perform(machine: Machine, gesture: Gesture, isDryRun: boolean): Promise<Outcome> {
  const { vm, vmi, namespace, name } = machine
  const patch = patchOf(gesture, vm, isRunning(vmi))
  if ('refusal' in patch) return { is: 'refused', text: patch.refusal }
  if (!patch.operations.length) return { is: 'nothing' }
  try {
    const after = await client.patch(vms, { namespace, name }, patch.operations, { dryRun: isDryRun })
    return { is: 'planned', after, plan: preview(after, vmi) }
  } catch (error) {
    return whyNot(machine, error)
  }
}

async function whyNot({ vm, namespace, name }: Machine, error: unknown): Promise<Outcome> {
  if (faultKind(error) !== 'Invalid' && faultKind(error) !== 'Conflict' && faultKind(error) !== 'NotFound')
    return { is: 'refused', text: explain(error) }
  const now = await client.get(vms, { namespace, name }).catch(() => undefined)
  if (!now || now.metadata.uid !== vm.metadata.uid) return { is: 'gone' }
  // A patch that tests what is no longer so is refused like any other that is wrong.
  return now.metadata.generation === vm.metadata.generation
    ? { is: 'refused', text: explain(error) }
    : { is: 'changed' }
}

/** What is done to a machine as a whole. */
export type PowerAct = 'start' | 'stop' | 'restart' | 'pause' | 'unpause' | 'migrate'

const onInstances: readonly PowerAct[] = ['pause', 'unpause']

/** Calls a verb of a machine. @throws Fault */
export async function power({ namespace, name }: Machine, act: PowerAct, isDryRun: boolean): Promise<void> {
  const plural = onInstances.includes(act) ? 'virtualmachineinstances' : 'virtualmachines'
  const path = `/apis/subresources.kubevirt.io/v1/namespaces/${encodeURIComponent(namespace)}/${plural}/${encodeURIComponent(name)}/${act}`
  await client.call('PUT', path, isDryRun ? { dryRun: ['All'] } : {})
}

/** The machine as it is now. @throws Fault NotFound */
export function current({ key, name }: Machine): Machine {
  const now = machines.value.get(key)
  if (now) return now
  throw new Fault('NotFound', `There is no machine ${name}`)
}
