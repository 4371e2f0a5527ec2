import type { Interface } from '#apis/kubevirt/interface.ts'
import type { Binding } from './bindings.ts'
import type { LinkNames } from './names.ts'

/**
 * The common shape of wanted and observed interfaces, so that they can be compared field by field. `network` is `pod`,
 * `namespace/name` of a NetworkAttachmentDefinition, or `patchbay-none`; `mac` is lower case with colons; `link` is the effective
 * state (effectiveLink), not what `state` declares.
 *
 * Other shapes extend it: PlannedNic (an input of the planner), DesiredNic (an interface of a spec, with all that its sandbox
 * needs), ObservedNic (an interface of the hypervisor). An Attachment (`core/sandbox/plan.ts`) is the part of a DesiredNic that a
 * sandbox records and CNI needs; a GuestInterface (`core/nic/status.ts`) is reported by the guest's agent and shares only a MAC
 * with these.
 */
export type Nic = Readonly<{
  name: string
  mac: string
  model: string
  binding: Binding
  network: string
  link: 'up' | 'down'
}>

export type Field = Exclude<keyof Nic, 'name'>

/** The cheapest way to apply a changed field to a running guest; cheapest first. */
export type Cost = 'live' | 'rewire' | 'restart'

/** The cost of each field. A new property of Nic does not compile until it has a line here. */
export const fields = {
  mac: 'restart',
  model: 'restart',
  binding: 'restart',
  network: 'rewire',
  link: 'live',
} as const satisfies Record<Field, Cost>

export const fieldNames = Object.keys(fields) as readonly Field[]

/** The network name of the pod network in a Nic. */
export const podNetwork = 'pod'

/**
 * The reserved `multus.networkName` of a card that is on no network, and its network name in a Nic. Such a card has its tap and
 * bridge in the sandbox and nothing else, and its link is down whatever `state` declares. No NetworkAttachmentDefinition may have
 * this name.
 */
export const noNetwork = 'patchbay-none'

/** Whether a network (of a Nic) is one that something is attached to: the pod network or one of a NetworkAttachmentDefinition. */
export function isNetwork(network: string): boolean {
  return network !== noNetwork
}

/** Whether a network (of a Nic) is that of a NetworkAttachmentDefinition. */
export function isNad(network: string): boolean {
  return network !== podNetwork && isNetwork(network)
}

/** The link that a card is to have: as its `state` declares, but always down on no network. */
export function effectiveLink(declared: 'up' | 'down', network: string): 'up' | 'down' {
  return isNetwork(network) ? declared : 'down'
}

/** Only the fields of Nic. */
export function plain(nic: Nic): Nic {
  return { name: nic.name, ...pick(nic, fieldNames) } as Nic
}

/** Only the given fields. */
export function pick(nic: Nic, names: readonly Field[]): Partial<Nic> {
  return Object.fromEntries(names.map((name) => [name, nic[name]]))
}

/** An interface as an input of the planner, wanted or observed. */
export type PlannedNic = Nic &
  Readonly<{
    /** Declared `absent`: to be unplugged. */
    absent?: boolean
    /** Whether it can be plugged and unplugged while the guest runs; undefined for an observed interface. */
    isPluggable?: boolean
    /** Its tap was lost, and so its connection to the network. */
    isDeaf?: boolean
  }>

/** An interface as the hypervisor reports it, with the number of its queues. */
export type ObservedNic = Nic & Readonly<{ queues: number }>

/** An interface of a spec, `absent` or not, with all that its sandbox needs. */
export type DesiredNic = PlannedNic &
  Readonly<{
    queues: number
    links: LinkNames
    /** Whether it is on the default network. */
    primary: boolean
    /** The network of a guest behind the pod's address. */
    guestCidr: string
    /**
     * Ports of the pod address that are forwarded to the guest, or ranges of them with their `end`; all when empty (masquerade
     * only). CNI plugins get the single ones if they declare the capability.
     */
    ports: readonly Readonly<{ protocol: 'tcp' | 'udp'; port: number; end?: number }>[]
  }> &
  Pick<Interface, 'dhcpOptions' | 'pciAddress' | 'acpiIndex' | 'bootOrder'>
