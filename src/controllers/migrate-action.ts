import { VirtualMachineInstanceMigration } from '#apis/kubevirt/migration.ts'
import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { apiVersionOf, type ObjectMeta } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import { isObject } from '#base/json.ts'
import { migrateVerdict } from '#core/vm/actions.ts'
import type { Action, ActionCall } from '#machinery/rest/actions.ts'
import { type ActionContext, keyOf, mustGet, putAction, refusal } from './action-kit.ts'

/** `migrate`: creates a migration of a VM's instance, for users who may call it without the right to create one. */
export function migrateAction(context: ActionContext): Action {
  return putAction(VirtualMachine, 'migrate', (call) => migrate(context, call))
}

async function migrate({ client, clientAs }: ActionContext, call: ActionCall): Promise<void> {
  const key = keyOf(call)
  const { namespace, name } = key
  await mustGet(client, VirtualMachine, key)
  const verdict = migrateVerdict(await mustGet(client, VirtualMachineInstance, key))
  if ('refuse' in verdict) throw refusal(VirtualMachine, name, verdict)
  const addedNodeSelector = nodeSelectorIn(call)
  const migration = {
    apiVersion: apiVersionOf(VirtualMachineInstanceMigration),
    kind: VirtualMachineInstanceMigration.kind,
    metadata: { generateName: 'kubevirt-migrate-vm-', namespace } as unknown as ObjectMeta,
    spec: { vmiName: name, ...(addedNodeSelector && { addedNodeSelector }) },
  }
  try {
    await clientAs(call.user).create(VirtualMachineInstanceMigration, migration, { dryRun: call.dryRun })
  } catch (error) {
    // So does KubeVirt, with the reason the creation was refused for.
    if (error instanceof Fault && error.kind !== 'Bug')
      throw new Fault('Internal', `Internal error occurred: ${error.message}`, { cause: error.cause })
    throw error
  }
}

/** @throws Fault BadRequest for malformed options */
function nodeSelectorIn({ input }: ActionCall): Readonly<Record<string, string>> | undefined {
  const { addedNodeSelector: given } = input
  if (given === undefined || given === null) return undefined
  if (isObject(given) && Object.values(given).every((value) => typeof value === 'string'))
    return given as Record<string, string>
  throw new Fault('BadRequest', 'addedNodeSelector must be an object of labels, such as {"zone": "a"}')
}
