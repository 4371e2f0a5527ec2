import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { Stored } from '#apis/meta/object.ts'
import { memoryOf } from '#core/vm/memory.ts'
import type { Doc } from '../../wire/document.ts'
import { blankId } from '../ids.ts'
import { commentAnnotation, descriptionAnnotation } from '../names.ts'
import { hrefOf } from '../routes.ts'
import type { Fields } from '../search.ts'
import { isRunning } from '../vm-status.ts'
import type { Host, Machine } from '../world.ts'
import { link } from './collection.ts'

/** The actions of a VM that clients find by their links. */
const actions = ['migrate', 'reboot', 'shutdown', 'start', 'stop', 'suspend', 'ticket'] as const

/** Collections of a VM that clients follow; all but the first two are empty here (facts/ovirt-clients.md §3). */
export const vmCollections = {
  affinitylabels: 'affinity_labels',
  applications: 'applications',
  cdroms: 'cdroms',
  diskattachments: 'disk_attachments',
  graphicsconsoles: 'graphics_consoles',
  hostdevices: 'host_devices',
  katelloerrata: 'katello_errata',
  numanodes: 'vm_numa_nodes',
  permissions: 'permissions',
  sessions: 'sessions',
  snapshots: 'snapshots',
  statistics: 'statistics',
  tags: 'tags',
  watchdogs: 'watchdogs',
} as const

/** What a VM and a template have in common. */
function commonDoc({ vm, cluster }: Machine, below: string, collections: readonly string[]): Doc {
  const { metadata, spec } = vm
  const id = metadata.uid
  const { cores = 1, sockets = 1, threads = 1 } = spec.template.spec.domain.cpu ?? {}
  const memory = memoryOf(spec.template.spec).bytes ?? 0
  return {
    href: hrefOf(below, id),
    id,
    name: metadata.name,
    description: metadata.annotations?.[descriptionAnnotation] ?? '',
    comment: metadata.annotations?.[commentAnnotation] ?? '',
    link: collections.map((name) => link(hrefOf(below, id, name), name)),
    bios: { boot_menu: { enabled: false }, type: 'q35_sea_bios' },
    cpu: { architecture: 'x86_64', topology: { cores, sockets, threads } },
    cpu_shares: 0,
    creation_time: new Date(metadata.creationTimestamp),
    delete_protected: false,
    display: { type: 'vnc' },
    high_availability: { enabled: false, priority: 0 },
    memory,
    memory_policy: { ballooning: false, guaranteed: memory, max: memory },
    migration: { auto_converge: 'inherit', compressed: 'inherit' },
    multi_queues_enabled: spec.template.spec.domain.devices.networkInterfaceMultiqueue ?? false,
    origin: 'ovirt',
    os: { boot: { devices: { device: ['hd'] } }, type: 'other' },
    start_paused: false,
    stateless: false,
    type: 'server',
    usb: { enabled: false },
    cluster: { href: hrefOf('clusters', cluster.id), id: cluster.id },
  }
}

const blank = { href: hrefOf('templates', blankId), id: blankId }

/** A VM that all clients take (facts/ovirt-clients.md §3). */
export function vmDoc(machine: Machine, hosts: readonly Host[]): Doc {
  const { vm, vmi, status } = machine
  const id = vm.metadata.uid
  const node = vmi && isRunning(vmi) ? vmi.status?.nodeName : undefined
  const host = hosts.find(({ metadata }) => metadata.name === node)
  const collections = [...Object.keys(vmCollections), 'nics', 'reporteddevices'].toSorted()
  const started = vmi?.status?.phaseTransitionTimestamps?.find(({ phase }) => phase === 'Running')
  return {
    ...{ href: hrefOf('vms', id), id },
    actions: { link: actions.map((name) => link(hrefOf('vms', id, name), name)) },
    ...commonDoc(machine, 'vms', collections),
    next_run_configuration_exists: isRestartRequired(vm),
    run_once: false,
    ...(started && { start_time: new Date(started.phaseTransitionTimestamp) }),
    status,
    ...(vmi?.status?.guestOSInfo?.name !== undefined && {
      guest_operating_system: { distribution: vmi.status.guestOSInfo.name, family: 'Linux' },
    }),
    ...(host && { host: { href: hrefOf('hosts', host.metadata.uid), id: host.metadata.uid } }),
    original_template: blank,
    template: blank,
  }
}

/** A template: a VirtualMachine that is never started. */
export function templateDoc(machine: Machine): Doc {
  return {
    ...commonDoc(machine, 'templates', [
      'cdroms',
      'diskattachments',
      'graphicsconsoles',
      'nics',
      'permissions',
      'tags',
      'watchdogs',
    ]),
    status: 'ok',
    version: { version_name: 'base version', version_number: 1 },
  }
}

/** The template that is none: what VMs without a template are made from. */
export function blankTemplateDoc(): Doc {
  const at = (name: string) => link(hrefOf('templates', blankId, name), name)
  return {
    ...blank,
    name: 'Blank',
    description: 'Blank template',
    comment: '',
    link: ['cdroms', 'diskattachments', 'graphicsconsoles', 'nics', 'permissions', 'tags', 'watchdogs'].map(at),
    bios: { boot_menu: { enabled: false }, type: 'q35_sea_bios' },
    cpu: { architecture: 'x86_64', topology: { cores: 1, sockets: 1, threads: 1 } },
    creation_time: new Date(0),
    display: { type: 'vnc' },
    memory: 1024 ** 3,
    memory_policy: { ballooning: false, guaranteed: 1024 ** 3, max: 1024 ** 3 },
    os: { type: 'other' },
    stateless: false,
    type: 'server',
    status: 'ok',
    version: { version_name: 'base version', version_number: 1 },
  }
}

function isRestartRequired({ status }: Stored<VirtualMachine>): boolean {
  return status?.conditions?.some(({ type, status: is }) => type === 'RestartRequired' && is === 'True') ?? false
}

/** What VMs are searched by (facts/ovirt-clients.md §5). `networks` are the names of those an interface is on. */
export function vmFields(hosts: readonly Host[], networks: (machine: Machine) => readonly string[]): Fields<Machine> {
  return (machine, field, of) => {
    const { vm, vmi, status, cluster } = machine
    const node = vmi?.status?.nodeName
    const host = node === undefined ? [] : [node]
    if (of === 'cluster' && field === 'name') return [cluster.name]
    if (of === 'datacenter' && field === 'name') return [cluster.dataCenter.name]
    if (of === 'host' && field === 'name') return host
    if (of === 'template' && field === 'name') return ['Blank']
    if (of === 'vnic' && field === 'network_name') return networks(machine)
    if (of === 'vnic' && field === 'mac_addr') return macsOf(machine)
    if (of !== undefined && of !== 'vm') return undefined
    const { metadata, spec } = vm
    const mib = (memoryOf(spec.template.spec).bytes ?? 0) / 1024 ** 2
    return {
      id: [metadata.uid],
      name: [metadata.name],
      description: [metadata.annotations?.[descriptionAnnotation] ?? ''],
      comment: [metadata.annotations?.[commentAnnotation] ?? ''],
      status: [status],
      cluster: [cluster.name],
      datacenter: [cluster.dataCenter.name],
      host,
      fqdn: [vmi?.spec.hostname ?? metadata.name].filter(() => vmi !== undefined),
      ip: (vmi?.status?.interfaces ?? []).flatMap(({ ipAddresses }) => ipAddresses ?? []),
      os: ['other'],
      type: ['server'],
      tag: [],
      template: ['Blank'],
      memory: [String(mib)],
      next_run_configuration_exists: [String(isRestartRequired(vm))],
      ...(hosts.length === 0 && { host: [] }),
    }[field]
  }
}

function macsOf({ vm }: Machine): string[] {
  const { interfaces = [] } = vm.spec.template.spec.domain.devices
  return interfaces.flatMap(({ macAddress }) => (macAddress ? [macAddress] : []))
}
