import type { Interface } from '#apis/kubevirt/interface.ts'
import type { Binding } from './bindings.ts'
import type { LinkNames } from './names.ts'

/**
 * The common shape of wanted and observed interfaces, so that they can be compared field by field. `network` is `pod` or
 * `namespace/name` of a NetworkAttachmentDefinition; `mac` is lower case with colons.
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
export const noNetwork = 'patchbay-none'

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
  Pick<Interface, 'dhcpOptions'>
