import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { Stored } from '#apis/meta/object.ts'
import { normalMac } from '#core/nic/desired.ts'
import { interfacesOf } from '#core/vm/live.ts'
import { type EngineFault, operationFailed } from '../../wire/faults.ts'
import { canLink, versionText } from '../clusters.ts'
import type { VmStatus } from '../vm-status.ts'
import type { Machine, Profile } from '../world.ts'
import type { EngineNic } from './nic.ts'
import type { NicWish } from './wish.ts'

/** What an interface is to be, or undefined where it is to be removed or was not there before. */
export type NicChange = Readonly<{
  action: 'add' | 'edit' | 'remove'
  machine: Machine
  /** All interfaces of the VM. */
  nics: readonly EngineNic[]
  before?: EngineNic
  after?: EngineNic
  wish: NicWish
  /** Whether the profile that the client named exists. */
  isProfileKnown: boolean
  /** The VM of which another interface has the MAC that is asked for. */
  macHolder: string | undefined
}>

/** A rule of the engine: its answer, when a change breaks it. */
type Rule = Readonly<{ code: number; text: (change: NicChange) => string; isBroken: (change: NicChange) => boolean }>

const cannot = (text: string) => (change: NicChange) => `Cannot ${change.action} Interface. ${text}`
const hasStatus = ({ machine }: NicChange, ...states: readonly VmStatus[]) => states.includes(machine.status)
const isUp = (change: NicChange) => hasStatus(change, 'up')
/** Plugged before and after while the guest runs. */
const isLive = (change: NicChange) => change.before?.plugged === true && change.after?.plugged === true && isUp(change)
const isOtherType = ({ before, after }: NicChange) => before?.type !== after?.type
const isOtherMac = ({ before, after }: NicChange) => before?.mac !== after?.mac
const isOtherProfile = ({ before, after }: NicChange) => before?.profile?.id !== after?.profile?.id
const isOtherNetwork = ({ before, after }: NicChange) => before?.profile?.network.id !== after?.profile?.network.id
const isOtherLink = ({ before, after }: NicChange) => before?.linked !== after?.linked
/** A change that the guest's device has to follow. */
const needsUpdate = (change: NicChange) => isLive(change) && (isOtherProfile(change) || isOtherLink(change))

const statusRule: Rule = {
  code: 409,
  text: ({ action }) => `Cannot ${action} a Network Interface when VM is not Down, Up or Image-Locked.`,
  isBroken: (change) => !hasStatus(change, 'up', 'down'),
}

const nameRule: Rule = {
  code: 409,
  text: () => 'Network interface name is already in use',
  isBroken: ({ nics, before, after }) => nics.some((one) => one.name === after?.name && one.id !== before?.id),
}

const typeRule: Rule = {
  code: 400,
  text: cannot('The network interface type is not compatible with the selected operating system.'),
  isBroken: ({ wish }) => wish.type === 'rtl8139_virtio' || wish.type === 'spapr_vlan',
}

const profileRules: readonly Rule[] = [
  {
    code: 400,
    text: cannot("The specified VM network interface profile doesn't exist."),
    isBroken: ({ isProfileKnown }) => !isProfileKnown,
  },
  {
    code: 409,
    text: () => "The specified Logical Network doesn't exist in the current Cluster.",
    isBroken: (change) =>
      change.after?.profile !== undefined && isOtherNetwork(change) && !isIn(change.machine, change.after.profile),
  },
  {
    code: 409,
    text: cannot(
      "The network interface type doesn't match the profile. Virtual machine interface of type 'PCI Passthrough' should have 'Passthrough' profile and vice versa.",
    ),
    isBroken: ({ wish }) => wish.type === 'pci_passthrough',
  },
  {
    code: 400,
    text: cannot("Unlinking of 'passthrough' vm network interface is not supported."),
    isBroken: ({ after }) => after?.type === 'pci_passthrough' && !after.linked,
  },
]

/** The gate by the version of the cluster, from oVirt 3.2 (facts/ovirt.md §2.2, 11b to 11d; the seed). */
const versionRules: readonly Rule[] = [
  {
    code: 400,
    text: (change) =>
      `${cannot('Link state is set to ')(change)}'Down' on the virtual machine's interface, this is not supported for clusters of version ${versionText(change.machine.cluster)}.`,
    isBroken: ({ machine, after }) => !canLink(machine.cluster) && after?.linked === false,
  },
  {
    code: 400,
    text: (change) =>
      `${cannot('You must select a network for clusters of version ')(change)}${versionText(change.machine.cluster)}.`,
    isBroken: ({ machine, after }) => !canLink(machine.cluster) && after !== undefined && !after.profile,
  },
]

const macRule: Rule = {
  code: 409,
  text: ({ wish, macHolder }) => `MAC Address ${wish.mac} is already in use by VM or snapshot: ${macHolder}.`,
  isBroken: ({ macHolder }) => macHolder !== undefined,
}

/** Patchbay's own: the default network's interface comes and goes with its VM. */
const primaryRules: readonly Rule[] = [
  {
    code: 409,
    text: cannot(
      'The interface is on the default network and cannot be unplugged; set its link down instead, by linked false.',
    ),
    isBroken: ({ before, after }) => before?.isPrimary === true && before.plugged && after?.plugged === false,
  },
  {
    code: 409,
    text: cannot('The interface is on the default network and cannot be put on another; add a second one.'),
    isBroken: (change) => change.before?.isPrimary === true && change.after !== undefined && isOtherNetwork(change),
  },
  {
    code: 409,
    text: cannot(
      'The pod network has one interface of each VM, which is there already or comes with the VM; choose another network.',
    ),
    isBroken: (change) =>
      change.after?.profile?.network.key === 'pod' && !change.before?.isPrimary && isOtherNetwork(change),
  },
]

/** Most PCI devices of a VM that are interfaces (KubeVirt's limit of interfaces). */
const maxInterfaces = 256

const addRules: readonly Rule[] = [
  statusRule,
  nameRule,
  {
    code: 409,
    text: cannot('Maximum PCI devices exceeded.'),
    isBroken: ({ machine, nics, after }) =>
      nics.length >= maxInterfaces ||
      (machine.status === 'up' && after?.plugged === true && machine.vmi?.status?.pciPorts?.free === 0),
  },
  typeRule,
  ...versionRules,
  ...profileRules,
  ...primaryRules,
  macRule,
]

const editRules: readonly Rule[] = [
  statusRule,
  nameRule,
  {
    code: 409,
    text: cannot(
      'Updating some of the properties is not supported while the interface is plugged into a running virtual machine. Please un-plug the interface, update the properties, and then plug it back.',
    ),
    isBroken: (change) => isLive(change) && (isOtherType(change) || isOtherMac(change)),
  },
  typeRule,
  {
    code: 409,
    text: cannot("Update is not possible when 'Port Mirroring' is set on the interface of a running virtual machine."),
    isBroken: (change) =>
      needsUpdate(change) &&
      !change.machine.cluster.liveMirroring &&
      (change.before?.profile?.isMirroring === true || change.after?.profile?.isMirroring === true),
  },
  {
    code: 400,
    text: (change) =>
      `${cannot('Updating the virtual machine interface while the virtual machine is running is not supported for clusters of version ')(change)}${versionText(change.machine.cluster)}.`,
    isBroken: (change) => needsUpdate(change) && !canLink(change.machine.cluster),
  },
  ...versionRules,
  ...profileRules,
  ...primaryRules,
  macRule,
]

const removeRules: readonly Rule[] = [
  { ...statusRule, text: ({ action }) => `Cannot ${action} Interface. VM is not Down, Up or Image-Locked.` },
  {
    code: 409,
    text: cannot('The VM Network Interface is plugged to a running VM.'),
    isBroken: (change) => change.before?.plugged === true && isUp(change),
  },
]

const rules = { add: addRules, edit: editRules, remove: removeRules } as const

/** The engine's refusal of a change: the first rule in its order that the change breaks (facts/ovirt.md §2). */
export function refusalOf(change: NicChange): EngineFault | undefined {
  const broken = rules[change.action].find((rule) => rule.isBroken(change))
  return broken && operationFailed(broken.code, broken.text(change))
}

function isIn({ cluster }: Machine, { network }: Profile): boolean {
  const isNear = network.dataCenter.namespace === cluster.dataCenter.namespace
  return isNear && (cluster.networks === undefined || cluster.networks.has(network.name))
}

/** The name of the VM with another interface of a MAC; undefined when there is none. */
export function holderOfMac(
  mac: string | undefined,
  vms: readonly Stored<VirtualMachine>[],
  self: Readonly<{ uid: string; interface: string | undefined }>,
): string | undefined {
  if (mac === undefined) return undefined
  const holds = (vm: Stored<VirtualMachine>) =>
    interfacesOf(vm.spec.template.spec).some(
      (one) =>
        one.macAddress !== undefined &&
        normalMac(one.macAddress) === mac &&
        !(vm.metadata.uid === self.uid && one.name === self.interface),
    )
  return vms.find(holds)?.metadata.name
}
