import type { Interface, InterfaceState } from '#apis/kubevirt/interface.ts'

/** The traits of a binding. Code that depends on the binding asks this table and compares no names. */
type Traits = Readonly<{
  /** Whether this version runs guests with it. Any other one is accepted at admission and refused at start. */
  isRun: boolean
  /** Why admission refuses new interfaces with it, in KubeVirt's words. */
  discontinued?: string
  /** The feature gate that it requires at admission. */
  gate?: 'PasstBinding'
  /** Its name in metrics (facts/kubevirt.md §7). */
  kind: 'core' | 'plugin' | ''
  /** What the guest's card is in its sandbox: the other end of a tap, a device of the host, or something else. */
  attach: 'tap' | 'hostdev' | 'other'
  /**
   * Whether the guest itself is on the network, with its MAC and the addresses that CNI assigned; otherwise it is behind the
   * pod's address and has one in its own network (`guestCidr`).
   */
  isOnNetwork: boolean
  /** Whether it is for the pod network alone. */
  isPodOnly: boolean
  /** Whether the cluster configuration must permit it on the pod network. */
  needsPodPermission: boolean
  /** Whether its network may be a claim (DRA). */
  takesClaims: boolean
  takesPortRanges: boolean
  /** A MAC that the guest cannot have, since it is the gateway's; lower case with colons. */
  reservedMac?: string
  /** What `state` may declare (facts/kubevirt.md §2.1). */
  states: readonly Extract<InterfaceState, 'up' | 'down' | 'absent'>[]
  /** Whether a card on a secondary network can be plugged into a running guest (facts/kubevirt.md §3.2). */
  isPluggable: boolean
  /** Whether such a card can be rewired to another secondary network while its guest runs. */
  isRewirable: boolean
  /** Whether a guest with it on the pod network can be migrated (facts/kubevirt.md §1.7). */
  migratesOnPod: 'always' | 'ifAllowed' | 'never'
  /** Whether its card is unplugged for a migration and plugged again afterwards. */
  leavesToMigrate: boolean
}>

/** The traits that most bindings share that this version does not run. */
const notRun = {
  isRun: false,
  kind: '',
  attach: 'other',
  isOnNetwork: false,
  isPodOnly: false,
  needsPodPermission: false,
  takesClaims: false,
  takesPortRanges: false,
  states: ['up', 'down'],
  isPluggable: false,
  isRewirable: false,
  migratesOnPod: 'never',
  leavesToMigrate: false,
} as const satisfies Traits

/** By the field of an interface that selects the binding. */
const table = {
  bridge: {
    ...notRun,
    isRun: true,
    kind: 'core',
    attach: 'tap',
    isOnNetwork: true,
    needsPodPermission: true,
    states: ['up', 'down', 'absent'],
    isPluggable: true,
    isRewirable: true,
    migratesOnPod: 'ifAllowed',
  },
  masquerade: {
    ...notRun,
    isRun: true,
    kind: 'core',
    attach: 'tap',
    isPodOnly: true,
    takesPortRanges: true,
    reservedMac: '02:00:00:00:00:00',
    migratesOnPod: 'always',
  },
  sriov: {
    ...notRun,
    isRun: true,
    kind: 'core',
    attach: 'hostdev',
    isOnNetwork: true,
    takesClaims: true,
    states: [],
    isPluggable: true,
    leavesToMigrate: true,
  },
  passtBinding: { ...notRun, gate: 'PasstBinding', isPodOnly: true, migratesOnPod: 'always' },
  binding: { ...notRun, kind: 'plugin', takesClaims: true },
  slirp: { ...notRun, discontinued: 'Slirp interface support has been discontinued since v1.3' },
  macvtap: { ...notRun, discontinued: 'Macvtap network binding has been discontinued since v1.3' },
  passt: { ...notRun, discontinued: 'Passt network binding has been discontinued since v1.3' },
} as const satisfies Partial<Record<keyof Interface, Traits>>

export type Binding = keyof typeof table

/** Every binding of the API. A new one is a field of the interface and a row here. */
export const bindings: Readonly<Record<Binding, Traits>> = table

const names = Object.keys(table) as readonly Binding[]

/** The bindings this version runs guests with. */
export const runBindings: readonly Binding[] = names.filter((name) => bindings[name].isRun)

/** The bindings that an interface names; admission ensures that it is one. */
export function bindingsOf(one: Interface): readonly Binding[] {
  return names.filter((name) => one[name] !== undefined)
}

/** The binding of an interface; undefined where none was named. */
export function bindingOf(one: Interface): Binding | undefined {
  return bindingsOf(one)[0]
}

/** Whether some binding that an interface names has a trait. */
export function hasTrait(one: Interface, has: (traits: Traits) => boolean): boolean {
  return bindingsOf(one).some((name) => has(bindings[name]))
}

/**
 * Whether the guest's card with a binding is a device of the host. It comes into no sandbox that runs: the guest gets it by a
 * migration to another one.
 */
export function isDevice(binding: Binding | undefined): boolean {
  return binding !== undefined && bindings[binding].attach === 'hostdev'
}
