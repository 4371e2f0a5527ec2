import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { Fault } from '#base/fault.ts'
import { sha256Hex } from '#base/sha256.ts'
import { sourceOf, sourcesIn } from '../nic/mirror.ts'
import type { FindNads } from './plan.ts'

/** A bridge of the host whose whole traffic is copied to an interface of a sandbox. `network` is the one that it was wanted for. */
export type Mirror = Readonly<{ nic: string; network: string; bridge: string }>

/** A mirror with the tap that it leads to and the MAC of the guest's card, whose own frames are not copied to it. */
export type PlacedMirror = Mirror & Readonly<{ tap: string; mac: string }>

/** What all mirrors of a bridge share: a qdisc for filters, and that the bridge takes frames for others. */
export type Shared = Readonly<{ clsact: boolean; promisc: boolean }>

/**
 * A mirror as its sandbox's record has it, written before the first effect: `pref` is the priority of its filters on the bridge,
 * and `own` what Patchbay itself has set there and the last mirror takes away.
 */
export type RecordedMirror = PlacedMirror & Readonly<{ pref: number; own: Shared }>

/**
 * The mirrors that an instance declares by its annotation, and by interface why networks cannot be copied. Interfaces that it has
 * not are left out: they may come.
 */
export function mirrorsOf(
  { metadata, spec }: VirtualMachineInstance,
  { configOf }: Pick<FindNads, 'configOf'>,
): Readonly<{ mirrors: readonly Mirror[]; unmirrored: ReadonlyMap<string, Fault> }> {
  const nics = new Set((spec.domain.devices.interfaces ?? []).map(({ name }) => name))
  const mirrors: Mirror[] = []
  const unmirrored = new Map<string, Fault>()
  for (const [nic, networks] of sourcesIn(metadata) ?? [])
    for (const network of nics.has(nic) ? networks : []) {
      const source = sourceOf(network, configOf(network))
      if ('bridge' in source) mirrors.push({ nic, network, bridge: source.bridge })
      else unmirrored.set(nic, new Fault('Invalid', source.problem))
    }
  return { mirrors, unmirrored }
}

/** The links of a mirror: one end on the host, the other in the sandbox. */
export function mirrorLinks(
  uid: string,
  { nic, bridge }: Pick<Mirror, 'nic' | 'bridge'>,
): { host: string; inside: string } {
  // Names of links have at most 15 characters.
  const hash = sha256Hex(`${uid}/${nic}/${bridge}`).slice(0, 11)
  return { host: `mir${hash}`, inside: `mig${hash}` }
}

/** A bridge with its filters, by priority: the links that they copy to, for frames that come and for those that go. */
export type ObservedBridge = Shared &
  Readonly<{ ingress: ReadonlyMap<number, string>; egress: ReadonlyMap<number, string> }>

/** What is observed of mirrors: of the bridges that are there, of the host's links, and of those in the sandbox. */
export type ObservedMirrors = Readonly<{
  bridges: ReadonlyMap<string, ObservedBridge>
  host: ReadonlySet<string>
  /** The tap that a link with all its filters leads to. */
  inside: ReadonlyMap<string, string>
}>

/** The changes that make the mirrors of one sandbox what is wanted. */
export type MirrorPlan = Readonly<{
  kept: readonly RecordedMirror[]
  unmake: readonly RecordedMirror[]
  /** Bridges that no mirror is on any more, with what is Patchbay's there. */
  unshare: ReadonlyMap<string, Shared>
  make: readonly RecordedMirror[]
  /** What bridges lack for the mirrors to be made. */
  share: ReadonlyMap<string, Shared>
}>

/**
 * Plans the mirrors of a sandbox, from its record, those of the others, and what is there. A bridge that does not exist has no
 * traffic: a mirror of it is made when it does. Several networks of one bridge are one mirror.
 */
export function planMirrors(uid: string, { wanted, recorded, others }: MirrorWish, seen: ObservedMirrors): MirrorPlan {
  const due = [...new Map(wanted.map((one) => [keyOf(one), one])).values()].filter(({ bridge }) =>
    seen.bridges.has(bridge),
  )
  const kept = recorded.filter(
    (one) =>
      due.some((wish) => isSame(wish, one)) &&
      // Two of one name were recorded when one was to replace the other.
      recorded.filter((other) => keyOf(other) === keyOf(one)).length === 1 &&
      isWhole(uid, one, seen),
  )
  const unmake = recorded.filter((one) => !kept.includes(one))
  const fresh = due.filter((wish) => !kept.some((one) => keyOf(one) === keyOf(wish)))
  const make: RecordedMirror[] = []
  const share = new Map<string, Shared>()
  for (const one of fresh) {
    const { clsact, promisc } = seen.bridges.get(one.bridge)!
    const known = [...others, ...recorded].filter(({ bridge }) => bridge === one.bridge)
    const own = {
      clsact: !clsact || known.some((other) => other.own.clsact),
      promisc: !promisc || known.some((other) => other.own.promisc),
    }
    make.push({ ...one, pref: freePref(one.bridge, [...others, ...kept, ...make], unmake, seen), own })
    share.set(one.bridge, { clsact: !clsact, promisc: !promisc })
  }
  const busy = new Set([...others, ...kept, ...make].map(({ bridge }) => bridge))
  const left = unmake.filter(({ bridge }) => !busy.has(bridge) && seen.bridges.has(bridge))
  return { kept, unmake, make, share, unshare: new Map(left.map(({ bridge, own }) => [bridge, own])) }
}

/** The mirrors that a sandbox is to have and those that its record and the records of all others have. */
export type MirrorWish = Readonly<{
  wanted: readonly PlacedMirror[]
  recorded: readonly RecordedMirror[]
  others: readonly RecordedMirror[]
}>

function keyOf({ nic, bridge }: Mirror): string {
  return `${nic}/${bridge}`
}

function isSame(wish: PlacedMirror, one: RecordedMirror): boolean {
  return keyOf(wish) === keyOf(one) && wish.tap === one.tap && wish.mac === one.mac
}

function isWhole(uid: string, one: RecordedMirror, { bridges, host, inside }: ObservedMirrors): boolean {
  const links = mirrorLinks(uid, one)
  const bridge = bridges.get(one.bridge)
  const isFiltered = bridge?.ingress.get(one.pref) === links.host && bridge.egress.get(one.pref) === links.host
  return isFiltered && bridge.promisc && host.has(links.host) && inside.get(links.inside) === one.tap
}

/** The lowest priority on a bridge that no filter has but those that are going to be removed. */
function freePref(
  bridge: string,
  known: readonly RecordedMirror[],
  leaving: readonly RecordedMirror[],
  { bridges }: ObservedMirrors,
): number {
  const prefsOf = (all: readonly RecordedMirror[]) => all.filter((one) => one.bridge === bridge).map(({ pref }) => pref)
  const { ingress, egress } = bridges.get(bridge)!
  const own = new Set(prefsOf(leaving))
  const taken = new Set([...prefsOf(known), ...[...ingress.keys(), ...egress.keys()].filter((pref) => !own.has(pref))])
  let pref = 1
  while (taken.has(pref)) pref++
  return pref
}

/** The effects of a plan. Every one is idempotent. */
export interface MirrorSteps {
  /** Records the mirrors of the sandbox. */
  record(mirrors: readonly RecordedMirror[]): Promise<void>
  share(bridge: string, lacking: Shared): Promise<void>
  unshare(bridge: string, own: Shared): Promise<void>
  /** Makes the links first and the filters of the bridge last. */
  make(mirror: RecordedMirror): Promise<void>
  /** Removes filters and links, as far as they are there. */
  unmake(mirror: RecordedMirror): Promise<void>
}

/**
 * Carries out a plan. All that exists at any time is recorded, so that the next plan completes one that was interrupted. A mirror
 * that fails prevents no other one. Resolves to the faults by interface.
 */
export async function carryOutMirrors(
  { kept, unmake, make, share, unshare }: MirrorPlan,
  steps: MirrorSteps,
): Promise<ReadonlyMap<string, unknown>> {
  const faults = new Map<string, unknown>()
  if (!unmake.length && !make.length) return faults
  await steps.record([...kept, ...unmake, ...make])
  const left: RecordedMirror[] = []
  for (const one of unmake)
    await steps.unmake(one).catch((fault: unknown) => {
      left.push(one)
      faults.set(one.nic, fault)
    })
  for (const [bridge, own] of unshare) if (!left.some((one) => one.bridge === bridge)) await steps.unshare(bridge, own)
  for (const one of make)
    try {
      await steps.share(one.bridge, share.get(one.bridge)!)
      await steps.make(one)
    } catch (fault) {
      faults.set(one.nic, fault)
    }
  if (unmake.length) await steps.record([...kept, ...left, ...make])
  return faults
}

/** The mirrors of a plan that are made again because they are not as recorded, in sentences. */
export function damagedMirrors({ unmake, make }: MirrorPlan): readonly string[] {
  return make
    .filter((one) => unmake.some((other) => isSame(one, other)))
    .map(({ nic, bridge }) => `the copy of the traffic of ${bridge} was cut (interface "${nic}")`)
}
