import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { Stored } from '#apis/meta/object.ts'
import { operationFailed } from '../wire/faults.ts'
import type { Call } from './call.ts'
import type { Cluster } from './clusters.ts'
import { engineFault } from './kube-faults.ts'
import { clusterLabel, descriptionAnnotation, ownGenerationAnnotation } from './names.ts'
import { interfaceName, withNic } from './nics/edit.ts'
import { type EngineNic, nicId } from './nics/nic.ts'
import { holderOfMac } from './nics/rules.ts'
import { type OvfNic, readOvf } from './ovf.ts'
import type { Profile } from './world.ts'

type VM = Stored<VirtualMachine>

/** What an import changed of the interfaces it was given, for the audit log. */
type Doubts = Readonly<{ unknown: readonly OvfNic[]; taken: readonly OvfNic[] }>

/**
 * Creates a VM from an OVF, by the rules of oVirt's import (facts/ovirt.md F43, F44): an interface on an unknown network is on none,
 * and one whose MAC address another VM has comes unplugged, with an address of the pool. @throws EngineFault
 */
export async function importVm(call: Call, text: string, cluster: Cluster, given: string | undefined): Promise<VM> {
  const { world, client } = call
  const ovf = readOvf(text)
  const name = given ?? ovf.name
  if (!name) throw operationFailed(400, 'Cannot import VM. The configuration has no name.')
  const [profiles, everyVm] = await Promise.all([world.profiles(), world.everyVm()])
  const near = profiles.filter(({ network }) => network.dataCenter.id === cluster.dataCenter.id)
  const { memory = 1024 ** 3, cpu, description } = ovf
  const { namespace } = cluster.dataCenter
  const bare: VirtualMachine = {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachine',
    metadata: {
      namespace,
      name,
      ...(!cluster.isFirst && { labels: { [clusterLabel]: cluster.name } }),
      annotations: { ...(description && { [descriptionAnnotation]: description }), [ownGenerationAnnotation]: '1' },
    },
    spec: {
      runStrategy: 'Halted',
      // An OVF names every interface that there is to be.
      template: {
        spec: {
          domain: {
            memory: { guest: String(memory) },
            ...(cpu && { cpu }),
            devices: { autoattachPodInterface: false },
          },
        },
      },
    },
  }
  const taken = ovf.nics.filter(({ mac }) => holderOfMac(mac, everyVm, { uid: '', interface: undefined }) !== undefined)
  const unknown = ovf.nics.filter((nic) => nic.network !== undefined && !profileOf(nic, near))
  try {
    const vm = await client.create(
      VirtualMachine,
      ovf.nics.reduce((at, nic) => withOvfNic(at, nic, near, taken), bare),
    )
    await noteImport(call, vm, cluster, { unknown, taken })
    return vm
  } catch (error) {
    throw engineFault(error)
  }
}

/** The profile that an interface names, else the one of its network's own name; profiles of other data centers are not meant. */
function profileOf({ network, profile }: OvfNic, profiles: readonly Profile[]): Profile | undefined {
  const at = profiles.filter((one) => one.network.name === network)
  return at.find(({ name }) => name === profile) ?? at.find(({ name }) => name === network)
}

function withOvfNic(
  vm: VirtualMachine,
  nic: OvfNic,
  profiles: readonly Profile[],
  taken: readonly OvfNic[],
): VirtualMachine {
  // It has no uid yet, and ids of interfaces matter to nothing that is written.
  const draft = { ...vm, metadata: { ...vm.metadata, uid: '', resourceVersion: '', creationTimestamp: '' } } as VM
  const interfaces = vm.spec.template.spec.domain.devices.interfaces ?? []
  const name = interfaceName(
    nic.name,
    interfaces.map((one) => one.name),
  )
  const isTaken = taken.includes(nic)
  const after: EngineNic = {
    ...{ id: nicId(draft, name), interface: name, name: nic.name, type: nic.type },
    ...{ mac: isTaken ? '' : (nic.mac ?? ''), linked: nic.linked, plugged: nic.plugged && !isTaken },
    ...{ profile: profileOf(nic, profiles), isPrimary: false },
  }
  const { spec, metadata } = withNic(draft, undefined, after)
  const { annotations = {}, labels, namespace = '' } = metadata
  return { ...vm, metadata: { namespace, name: metadata.name, ...(labels && { labels }), annotations }, spec }
}

async function noteImport(call: Call, vm: VM, cluster: Cluster, { unknown, taken }: Doubts): Promise<void> {
  const { account, correlationId, gateway } = call
  const { name, namespace } = vm.metadata
  const common = { vm, namespace, user: account.name, correlationId }
  if (unknown.length) {
    const networks = [...new Set(unknown.map(({ network }) => network))].join(',')
    const text = `While importing VM ${name}, the Network/s ${networks} were found to be Non-VM Networks or do not exist in Cluster ${cluster.name}. Network Name was not set in the Interface/s ${unknown.map((nic) => nic.name).join(',')}.`
    const reason = 'IMPORTEXPORT_IMPORT_VM_INVALID_INTERFACES'
    await gateway.note({ ...common, code: 9600, reason, severity: 'warning', text })
  }
  for (const nic of taken) {
    const text = `Network Interface ${nic.name} has MAC address ${nic.mac} which is in use, therefore it is being unplugged from VM ${name}.`
    await gateway.note({
      ...common,
      code: 838,
      reason: 'MAC_ADDRESS_IS_IN_USE_UNPLUG',
      severity: 'warning',
      text,
    })
  }
  const text = `VM ${name} was imported successfully to Data Center ${cluster.dataCenter.name}, Cluster ${cluster.name}`
  await gateway.note({ ...common, code: 1152, reason: 'IMPORTEXPORT_IMPORT_VM', severity: 'normal', text })
}
