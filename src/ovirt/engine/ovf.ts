import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { Stored } from '#apis/meta/object.ts'
import { memoryOf } from '#core/vm/memory.ts'
import type { Doc } from '../wire/document.ts'
import { type Input, readInput } from '../wire/read.ts'
import { xmlText } from '../wire/write.ts'
import { cardSpeed, type EngineNic, isNicType, type NicType } from './nics/nic.ts'

/** Codes of the types of cards in OVF and in the engine's database (facts/ovirt.md §1.2). */
export const typeCodes = {
  rtl8139_virtio: 0,
  rtl8139: 1,
  e1000: 2,
  virtio: 3,
  spapr_vlan: 4,
  pci_passthrough: 5,
  e1000e: 6,
} as const satisfies Record<NicType, number>

/** Kinds of resources of OVF: processor, memory, Ethernet adapter. */
const resource = { cpu: 3, memory: 4, ethernet: 10 } as const
const mebibyte = 1024 ** 2

/** An interface in an OVF. Without a connection it is on no network. */
export type OvfNic = Readonly<{
  name: string
  type: NicType
  network: string | undefined
  profile: string | undefined
  mac: string | undefined
  linked: boolean
  plugged: boolean
}>

/** What of an OVF is carried out: the rest of it is about disks and other devices. */
export type OvfVm = Readonly<{
  name: string | undefined
  description: string | undefined
  memory: number | undefined
  cpu: Readonly<{ sockets: number; cores: number; threads: number }> | undefined
  nics: readonly OvfNic[]
}>

/** A VM as OVF: what it is, and its interfaces as oVirt's exporter writes them (facts/ovirt.md §7). */
export function ovfText({ metadata, spec }: Stored<VirtualMachine>, nics: readonly EngineNic[]): string {
  const { cores = 1, sockets = 1, threads = 1 } = spec.template.spec.domain.cpu ?? {}
  const megabytes = Math.round((memoryOf(spec.template.spec).bytes ?? 0) / mebibyte)
  const networks = [...new Set(nics.flatMap(({ profile }) => profile?.network.name ?? []))]
  const items: Doc[] = [
    {
      'rasd:Caption': `${cores * sockets * threads} virtual cpu`,
      'rasd:Description': 'Number of virtual CPU',
      'rasd:InstanceId': 1,
      'rasd:ResourceType': resource.cpu,
      'rasd:num_of_sockets': sockets,
      'rasd:cpu_per_socket': cores,
      'rasd:threads_per_cpu': threads,
    },
    {
      'rasd:Caption': `${megabytes} MB of memory`,
      'rasd:Description': 'Memory Size',
      'rasd:InstanceId': 2,
      'rasd:ResourceType': resource.memory,
      'rasd:AllocationUnits': 'MegaBytes',
      'rasd:VirtualQuantity': megabytes,
    },
    ...nics.map(nicItem),
  ]
  const doc: Doc = {
    '@xmlns:ovf': 'http://schemas.dmtf.org/ovf/envelope/1/',
    '@xmlns:rasd': 'http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData',
    '@xmlns:xsi': 'http://www.w3.org/2001/XMLSchema-instance',
    '@ovf:version': '4.4.0.0',
    References: {},
    NetworkSection: { Info: 'List of networks', Network: networks.map((name) => ({ '@ovf:name': name })) },
    Section: [{ '@xsi:type': 'ovf:DiskSection_Type', Info: 'List of Virtual Disks' }],
    Content: {
      '@ovf:id': 'out',
      '@xsi:type': 'ovf:VirtualSystem_Type',
      Name: metadata.name,
      Section: [
        { '@ovf:id': metadata.uid, '@xsi:type': 'ovf:OperatingSystemSection_Type', Info: 'Guest Operating System' },
        { '@xsi:type': 'ovf:VirtualHardwareSection_Type', Info: 'CPU and memory, and devices', Item: items },
      ],
    },
  }
  return xmlText({ root: 'ovf:Envelope', doc })
}

function nicItem(nic: EngineNic): Doc {
  const network = nic.profile?.network.name
  return {
    'rasd:Caption': `Ethernet adapter on ${network ?? '[No Network]'}`,
    'rasd:InstanceId': nic.id,
    'rasd:ResourceType': resource.ethernet,
    'rasd:OtherResourceType': nic.profile?.name ?? '',
    'rasd:ResourceSubType': typeCodes[nic.type ?? 'virtio'],
    'rasd:Connection': network ?? '',
    'rasd:Linked': nic.linked,
    'rasd:Name': nic.name,
    'rasd:ElementName': nic.name,
    'rasd:MACAddress': nic.mac,
    'rasd:speed': cardSpeed,
    Type: 'interface',
    Device: 'bridge',
    'rasd:Address': '',
    BootOrder: 0,
    IsPlugged: nic.plugged,
    IsReadOnly: false,
    Alias: `ua-${nic.interface}`,
  }
}

/** Reads an OVF as oVirt's importer does: what is missing of an interface is as the exporter's default. @throws EngineFault 400 */
export function readOvf(text: string): OvfVm {
  const content = readInput(text, false).at('Content')
  const items = (content?.all('Section') ?? []).flatMap((section) => section.all('Item'))
  const ofKind = (kind: number) => items.filter((item) => item.textAt('rasd:ResourceType') === String(kind))
  const [memory] = ofKind(resource.memory)
  const [cpu] = ofKind(resource.cpu)
  const megabytes = countIn(memory, 'rasd:VirtualQuantity')
  return {
    name: content?.textAt('Name') || undefined,
    description: content?.textAt('Description') || undefined,
    memory: megabytes === undefined ? undefined : megabytes * mebibyte,
    cpu: cpu && {
      sockets: countIn(cpu, 'rasd:num_of_sockets') ?? 1,
      cores: countIn(cpu, 'rasd:cpu_per_socket') ?? 1,
      threads: countIn(cpu, 'rasd:threads_per_cpu') ?? 1,
    },
    nics: ofKind(resource.ethernet).map(nicIn),
  }
}

function nicIn(item: Input, index: number): OvfNic {
  const isTrue = (field: string) => (item.textAt(field) || 'true').toLowerCase() === 'true'
  return {
    name: item.textAt('rasd:Name') || `nic${index + 1}`,
    type: typeOf(item.textAt('rasd:ResourceSubType')),
    network: item.textAt('rasd:Connection') || undefined,
    profile: item.textAt('rasd:OtherResourceType') || undefined,
    mac: item.textAt('rasd:MACAddress')?.toLowerCase() || undefined,
    linked: isTrue('rasd:Linked'),
    plugged: isTrue('IsPlugged'),
  }
}

function typeOf(code: string | undefined): NicType {
  const found = Object.entries(typeCodes).find(([, one]) => String(one) === code)?.[0]
  return found !== undefined && isNicType(found) ? found : 'virtio'
}

function countIn(item: Input | undefined, field: string): number | undefined {
  const text = item?.textAt(field)
  return text !== undefined && /^[1-9]\d{0,8}$/.test(text) ? Number(text) : undefined
}
