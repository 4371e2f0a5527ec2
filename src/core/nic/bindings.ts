import type { Interface, InterfaceState } from '#apis/kubevirt/interface.ts'

/** What is known of a way to connect a guest's card to its network. Everybody who has to tell bindings apart asks this. */
type Traits = Readonly<{
  /** Whether this version runs guests with it. One that it does not is taken at admission and refused at start. */
  isRun: boolean
  /** Why admission takes no new interface with it, in KubeVirt's words. */
  discontinued?: string
  /** The feature gate that admission asks for. */
  gate?: 'PasstBinding'
  /** What metrics call it (facts/kubevirt.md §7). */
  kind: 'core' | 'plugin' | ''
  /** What the guest's card is in its sandbox: the other end of a tap, a device of the host, or something else. */
  attach: 'tap' | 'hostdev' | 'other'
  /**
   * Whether the guest itself is on the network, with its MAC and the addresses CNI gave; otherwise it is behind the pod's
   * address and has one of its own (`guestCidr`).
   */
  isOnNetwork: boolean
  /** Whether it is for the pod network alone. */
  isPodOnly: boolean
  /** Whether the cluster has to permit it on the pod network. */
  needsPodPermission: boolean
  /** Whether its network may be a claim (DRA). */
  takesClaims: boolean
  takesPortRanges: boolean
  /** A MAC that its guest cannot have: that of its gateway. Lower case with colons. */
  reservedMac?: string
  /** What `state` may declare (facts/kubevirt.md §2.1). */
  states: readonly Extract<InterfaceState, 'up' | 'down' | 'absent'>[]
  /** Whether a card on a secondary network can join and leave a guest that runs (facts/kubevirt.md §3.2). */
  isPluggable: boolean
  /** Whether such a card can move to another secondary network while its guest runs. */
  isRewirable: boolean
  /** Whether a guest with it on the pod network can be moved to another host (facts/kubevirt.md §1.7). */
  migratesOnPod: 'always' | 'ifAllowed' | 'never'
  /** Whether its card has to leave the guest for a migration and joins it again afterwards. No binding that is run does. */
  leavesToMigrate: boolean
}>

/** What most bindings have in common that this version does not run. */
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

/** By the field of an interface that means it. */
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
    kind: 'core',
    attach: 'hostdev',
    isOnNetwork: true,
    takesClaims: true,
    states: [],
    leavesToMigrate: true,
  },
  passtBinding: { ...notRun, gate: 'PasstBinding', isPodOnly: true, migratesOnPod: 'always' },
  binding: { ...notRun, kind: 'plugin', takesClaims: true },
  slirp: { ...notRun, discontinued: 'Slirp interface support has been discontinued since v1.3' },
  macvtap: { ...notRun, discontinued: 'Macvtap network binding has been discontinued since v1.3' },
  passt: { ...notRun, discontinued: 'Passt network binding has been discontinued since v1.3' },
} as const satisfies Partial<Record<keyof Interface, Traits>>

export type Binding = keyof typeof table

/** Every binding there is in the API. A new one is a field of the interface and a row here. */
export const bindings: Readonly<Record<Binding, Traits>> = table

const names = Object.keys(table) as readonly Binding[]

/** The bindings this version runs guests with. */
export const runBindings: readonly Binding[] = names.filter((name) => bindings[name].isRun)

/** The bindings that an interface names; admission sees to it that it is one. */
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
