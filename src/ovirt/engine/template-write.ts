import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { Stored } from '#apis/meta/object.ts'
import { interfacesOf, withInterfaces } from '#core/vm/live.ts'
import { parkAnnotation, parkedLinksAnnotation } from '#core/vm/parking.ts'
import { EngineFault, incomplete } from '../wire/faults.ts'
import type { Call } from './call.ts'
import { engineFault } from './kube-faults.ts'
import { descriptionAnnotation, nicsAnnotation, ownGenerationAnnotation, templateLabel } from './names.ts'
import type { Machine } from './world.ts'

type VM = Stored<VirtualMachine>

/** What a copy of a VM keeps: its spec without MAC addresses, and what is known of its interfaces beside it (facts/ovirt.md §7). */
export type Copied = Readonly<{ annotations: Readonly<Record<string, string>>; template: VM['spec']['template'] }>

const copied = [nicsAnnotation, parkAnnotation, parkedLinksAnnotation]

/** What of a VM goes into a copy of it. */
export function copyOf({ metadata, spec }: VM): Copied {
  const annotations = Object.entries(metadata.annotations ?? {}).filter(([name]) => copied.includes(name))
  const { template } = spec
  const interfaces = interfacesOf(template.spec).map(({ macAddress: _, ...one }) => one)
  return {
    annotations: Object.fromEntries(annotations),
    template: { ...template, spec: withInterfaces(template.spec, interfaces, template.spec.networks ?? []) },
  }
}

/** Makes a template of a VM. Resolves to its id. @throws EngineFault */
export async function createTemplate(call: Call): Promise<string> {
  const { input, world, client, account, gateway, correlationId } = call
  const name = input.textAt('name')
  const vm = input.textAt('vm', 'id')?.toLowerCase()
  const missing = [...(name ? [] : ['name']), ...(vm ? [] : ['vm.id'])]
  if (!name || !vm) throw incomplete('Template', 'add', ...missing)
  const source = (await world.machines()).find((one) => one.vm.metadata.uid === vm)
  if (!source) throw new EngineFault(404, 'Operation Failed', `Entity not found: Vm: id=${vm}`)
  const { annotations, template } = copyOf(source.vm)
  const { namespace } = source.vm.metadata
  const description = input.textAt('description')
  try {
    const made = await client.create(VirtualMachine, {
      apiVersion: 'kubevirt.io/v1',
      kind: 'VirtualMachine',
      metadata: {
        namespace,
        name,
        labels: { [templateLabel]: '' },
        annotations: {
          ...annotations,
          ...(description && { [descriptionAnnotation]: description }),
          [ownGenerationAnnotation]: '1',
        },
      },
      spec: { runStrategy: 'Halted', template },
    })
    const text = `Creation of Template ${name} from VM ${source.vm.metadata.name} was completed by ${account.name}.`
    await gateway.note({
      ...{ code: 45, reason: 'USER_ADD_VM_TEMPLATE_SUCCESS', severity: 'normal', text, vm: made, namespace },
      ...{ user: account.name, correlationId },
    })
    return made.metadata.uid
  } catch (error) {
    throw engineFault(error)
  }
}

/** Removes a template; VMs that were made from it are copies and stay. @throws EngineFault */
export async function removeTemplate({ client }: Call, { vm }: Machine): Promise<void> {
  try {
    await client.delete(VirtualMachine, vm.metadata, { uid: vm.metadata.uid })
  } catch (error) {
    throw engineFault(error)
  }
}
