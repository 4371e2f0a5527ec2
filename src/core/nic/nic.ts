import type { Interface } from '#apis/kubevirt/interface.ts'
import type { Binding } from './bindings.ts'
import type { LinkNames } from './names.ts'

/**
 * The one shape that wanted and observed interfaces are both reduced to, so that a difference is plain inequality.
 * `network` is `pod` or `namespace/name` of a NetworkAttachmentDefinition; `mac` is lower case with colons.
 *
 * All others are this one and something more: PlannedNic (whatever is compared), DesiredNic (what a spec wants, with all its
 * sandbox needs to know), ObservedNic (what the hypervisor has). What CNI is asked for is an Attachment
 * (`core/sandbox/plan.ts`), the part of a DesiredNic that a sandbox writes down; what the guest's agent says is a
 * GuestInterface (`core/nic/status.ts`), which has nothing in common with these but a MAC.
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

/** The cheapest way to make a running guest agree with a changed field, cheapest first. */
export type Cost = 'live' | 'rewire' | 'restart'

/** Every field declares its own cost. A new property on Nic does not compile until it has a line here. */
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

/** Just the fields every interface has. */
export function plain(nic: Nic): Nic {
  return { name: nic.name, ...pick(nic, fieldNames) } as Nic
}

/** Some of the fields. */
export function pick(nic: Nic, names: readonly Field[]): Partial<Nic> {
  return Object.fromEntries(names.map((name) => [name, nic[name]]))
}

/** An interface as the planner takes it, as it is wanted or as it is there. */
export type PlannedNic = Nic &
  Readonly<{
    /** Declared to leave the guest. */
    absent?: boolean
    /** Can join and leave a guest while it runs; unknown of one that only a hypervisor tells of. */
    isPluggable?: boolean
    /** It lost its tap, and with that its network. */
    isDeaf?: boolean
  }>

/** An interface as the hypervisor has it, and the number of its queues. */
export type ObservedNic = Nic & Readonly<{ queues: number }>

/** An interface a spec wants, or wants to be gone, and all that its sandbox needs to know of it. */
export type DesiredNic = PlannedNic &
  Readonly<{
    queues: number
    links: LinkNames
    /** It is on the default network. */
    primary: boolean
    /** The network that a guest behind the pod's address sees. */
    guestCidr: string
    /**
     * Ports of the pod address that go to the guest, or ranges of them with their `end`; all when empty (masquerade only). CNI
     * gets the single ones where a plugin asks for them.
     */
    ports: readonly Readonly<{ protocol: 'tcp' | 'udp'; port: number; end?: number }>[]
  }> &
  Pick<Interface, 'dhcpOptions'>
