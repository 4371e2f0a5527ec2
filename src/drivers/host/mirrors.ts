import { explain, faultKind } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import {
  carryOutMirrors,
  damagedMirrors,
  type Mirror,
  type MirrorSteps,
  type MirrorWish,
  mirrorLinks,
  type ObservedBridge,
  type ObservedMirrors,
  type PlacedMirror,
  planMirrors,
  type RecordedMirror,
  type Shared,
} from '#core/sandbox/mirrors.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import { ipBatch } from './links.ts'
import { run } from './run.ts'

/** Where mirrors are recorded: with their sandboxes. */
export interface MirrorRecords {
  mirrorsOf(uid: string): Promise<readonly RecordedMirror[]>
  writeMirrors(uid: string, mirrors: readonly RecordedMirror[]): Promise<void>
  /** The mirrors of all other sandboxes of this directory. */
  mirrorsBeside(uid: string): Promise<readonly RecordedMirror[]>
}

/** A sandbox with its network namespace, and the namespace of the host's bridges; undefined for this process's own. */
type Place = Readonly<{ uid: string; netns: string; host?: string | undefined }>

/** The mirrors that lead to taps that are there. */
export function placedMirrors(mirrors: readonly Mirror[], attachments: readonly Attachment[]): PlacedMirror[] {
  const byName = new Map(attachments.map((one) => [one.name, one]))
  return mirrors.flatMap((one) => {
    const card = byName.get(one.nic)
    return card ? [{ ...one, tap: card.links.tap, mac: card.mac }] : []
  })
}

/** The priority of the filter that leads to the tap; those before it leave out the guest's own frames. */
const lastPref = 9

/**
 * Copies all traffic of bridges of the host to taps in sandboxes: filters on the bridge copy each frame to a link of its own, whose
 * other end in the sandbox leads to the tap. To the guest's link on the bridge of its sandbox they could not be copied: that bridge
 * would learn from them that every MAC is there.
 */
export class HostMirrors {
  readonly #records: MirrorRecords
  readonly #log: Log
  readonly #host: string | undefined
  #turn: Promise<unknown> = Promise.resolve()

  /** `host` is the network namespace with the host's bridges; undefined for this process's own. */
  constructor(records: MirrorRecords, log: Log, host?: string) {
    this.#records = records
    this.#log = log
    this.#host = host
  }

  /**
   * Makes the mirrors of a sandbox what is wanted. Resolves to what failed, by interface: a guest does not depend on its mirrors.
   * @throws Fault Aborted
   */
  ensure(sandbox: Place, wanted: readonly PlacedMirror[], signal: AbortSignal): Promise<ReadonlyMap<string, unknown>> {
    return this.#inTurn(async () => {
      const recorded = await this.#records.mirrorsOf(sandbox.uid)
      const place = { ...sandbox, host: this.#host }
      return this.#make(place, { wanted, recorded }, signal).catch((fault: unknown) => {
        if (faultKind(fault) === 'Aborted') throw fault
        return new Map([...wanted, ...recorded].map(({ nic }) => [nic, fault]))
      })
    })
  }

  async #make(
    place: Place,
    { wanted, recorded }: Pick<MirrorWish, 'wanted' | 'recorded'>,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, unknown>> {
    const { uid } = place
    if (!wanted.length && !recorded.length) return new Map()
    const others = await this.#records.mirrorsBeside(uid)
    const seen = await observe(place, [...wanted, ...recorded], signal)
    const plan = planMirrors(uid, { wanted, recorded, others }, seen)
    const about = (all: readonly RecordedMirror[]) => all.map(({ nic, bridge }) => `${bridge} to ${nic}`)
    if (plan.unmake.length + plan.make.length)
      this.#log.info({ uid, end: about(plan.unmake), begin: about(plan.make) }, 'Changing mirrors')
    return carryOutMirrors(plan, this.#steps(place, signal))
  }

  /** Removes the mirrors of a sandbox whose networks are about to go. What cannot be removed is logged: its links go with them. */
  async remove(place: Place, signal: AbortSignal): Promise<void> {
    const faults = await this.ensure(place, [], signal).catch((fault: unknown) => new Map([['', fault]]))
    for (const [nic, fault] of faults)
      this.#log.warn({ uid: place.uid, nic, cause: explain(fault) }, 'Cannot remove a mirror')
  }

  /** Whether the mirrors of a sandbox have to be made or removed, and which of them were damaged, in sentences. */
  async look(
    place: Place,
    wanted: readonly PlacedMirror[],
    signal: AbortSignal,
  ): Promise<Readonly<{ isDue: boolean; why: readonly string[] }>> {
    if (!wanted.length) return { isDue: false, why: [] }
    const recorded = await this.#records.mirrorsOf(place.uid)
    const seen = await observe({ ...place, host: this.#host }, [...wanted, ...recorded], signal)
    const plan = planMirrors(place.uid, { wanted, recorded, others: [] }, seen)
    return { isDue: plan.make.length + plan.unmake.length > 0, why: damagedMirrors(plan) }
  }

  #steps(place: Place, signal: AbortSignal): MirrorSteps {
    const { uid, host } = place
    return {
      record: (mirrors) => this.#records.writeMirrors(uid, mirrors),
      share: (bridge, lacking) => share(host, bridge, lacking, signal),
      unshare: (bridge, own) => unshare(host, bridge, own, signal),
      make: (mirror) => make(place, mirror, signal),
      unmake: (mirror) => unmake(place, mirror, signal),
    }
  }

  /** Two sandboxes at once must not take the same priority of a bridge, nor both be the last one on it. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work, work)
    this.#turn = mine.catch(() => undefined)
    return mine
  }
}

async function make({ uid, netns, host }: Place, mirror: RecordedMirror, signal: AbortSignal): Promise<void> {
  const { bridge, tap, mac, pref } = mirror
  const { host: outside, inside } = mirrorLinks(uid, mirror)
  const mtu = (await listHost(host, signal)).get(bridge)?.mtu ?? 1500
  await ipBatch(
    host,
    [
      `link add ${outside} mtu ${mtu} type veth peer name ${inside} mtu ${mtu} netns ${netns}`,
      `link set dev ${outside} arp off addrgenmode none up`,
    ],
    signal,
  )
  await ipBatch(netns, [`link set dev ${inside} arp off addrgenmode none up`], signal)
  const digits = mac.replaceAll(':', '')
  const filter = `filter add dev ${inside} ingress protocol all`
  await tcBatch(
    netns,
    [
      `qdisc add dev ${inside} clsact`,
      // The guest has what it sends, and what is sent to it, already: offsets are from the header after Ethernet's.
      `${filter} pref 1 u32 match u16 0x${digits.slice(0, 4)} 0xffff at -14 match u32 0x${digits.slice(4)} 0xffffffff at -12 flowid 1:1`,
      `${filter} pref 2 u32 match u32 0x${digits.slice(0, 8)} 0xffffffff at -8 match u16 0x${digits.slice(8)} 0xffff at -4 flowid 1:1`,
      `${filter} pref ${lastPref} u32 match u32 0 0 action mirred egress redirect dev ${tap}`,
    ],
    signal,
  )
  // Without "continue", the first of several filters would take every frame.
  const copy = (way: string) =>
    `filter add dev ${bridge} ${way} protocol all pref ${pref} u32 match u32 0 0 action mirred egress mirror dev ${outside} continue`
  await tcBatch(host, [copy('ingress'), copy('egress')], signal)
}

/** Filters of other programs, even of the same priority, stay. */
async function unmake({ uid, host }: Place, mirror: RecordedMirror, signal: AbortSignal): Promise<void> {
  const { bridge, pref } = mirror
  const { host: outside } = mirrorLinks(uid, mirror)
  const links = await listHost(host, signal)
  if (links.has(bridge)) {
    const { ingress, egress } = (await filtersOf(host, [bridge], signal)).get(bridge)!
    // A link that went with its sandbox has become "*".
    const isOurs = (filters: ReadonlyMap<number, string>) => [outside, gone].includes(filters.get(pref) ?? '')
    const ways = [...(isOurs(ingress) ? ['ingress'] : []), ...(isOurs(egress) ? ['egress'] : [])]
    await tcBatch(
      host,
      ways.map((way) => `filter del dev ${bridge} ${way} protocol all pref ${pref}`),
      signal,
    )
  }
  if (!links.has(outside)) return
  await ipBatch(host, [`link delete dev ${outside}`], signal).catch(async (fault: unknown) => {
    // The kernel removes it, with a delay, when the sandbox's namespace goes.
    if ((await listHost(host, signal)).has(outside)) throw fault
  })
}

async function share(host: Place['host'], bridge: string, lacking: Shared, signal: AbortSignal): Promise<void> {
  if (lacking.promisc) await ipBatch(host, [`link set dev ${bridge} promisc on`], signal)
  if (lacking.clsact && !(await filtersOf(host, [bridge], signal)).get(bridge)?.clsact)
    await tcBatch(host, [`qdisc add dev ${bridge} clsact`], signal)
}

async function unshare(host: Place['host'], bridge: string, own: Shared, signal: AbortSignal): Promise<void> {
  if (!(await listHost(host, signal)).has(bridge)) return
  const { clsact = false, ingress, egress } = (await filtersOf(host, [bridge], signal)).get(bridge) ?? {}
  // A filter that another program has put there meanwhile keeps the qdisc.
  if (own.clsact && clsact && !ingress?.size && !egress?.size)
    await tcBatch(host, [`qdisc del dev ${bridge} clsact`], signal)
  if (own.promisc) await ipBatch(host, [`link set dev ${bridge} promisc off`], signal)
}

/** What is there of mirrors, of those that are wanted and those that are recorded. */
async function observe(
  { uid, netns, host }: Place,
  mirrors: readonly PlacedMirror[],
  signal: AbortSignal,
): Promise<ObservedMirrors> {
  const links = await listHost(host, signal)
  const there = [...new Set(mirrors.map(({ bridge }) => bridge))].filter((bridge) => links.has(bridge))
  const filters = await filtersOf(host, there, signal)
  const ends = [...new Set(mirrors.map((one) => mirrorLinks(uid, one).inside))]
  const taps = await Promise.all(ends.map(async (name) => [name, await tapOf(netns, name, signal)] as const))
  return {
    bridges: new Map(
      there.map((bridge) => [bridge, { ...filters.get(bridge)!, promisc: links.get(bridge)!.isPromiscuous }]),
    ),
    host: new Set(links.keys()),
    inside: new Map(taps.flatMap(([name, tap]) => (tap === undefined ? [] : [[name, tap] as const]))),
  }
}

type HostLink = Readonly<{ mtu: number; isPromiscuous: boolean }>
type IpLink = Readonly<{ ifname: string; mtu: number; flags: readonly string[] }>

async function listHost(netns: string | undefined, signal: AbortSignal): Promise<ReadonlyMap<string, HostLink>> {
  const links: readonly IpLink[] = JSON.parse(await run('ip', [...inside(netns), '-j', 'link'], { signal }))
  return new Map(links.map(({ ifname, mtu, flags }) => [ifname, { mtu, isPromiscuous: flags.includes('PROMISC') }]))
}

/** A qdisc or a filter as tc shows it; a filter without `options` is the line of its priority. */
type TcLine = Readonly<{
  kind?: string
  pref?: number
  options?: Readonly<{ actions?: readonly Readonly<{ to_dev?: string }>[] }>
}>

/** What tc calls a link that is not there any more. */
const gone = '*'

/** The filters of bridges, and whether they have a qdisc for any. */
async function filtersOf(
  netns: string | undefined,
  bridges: readonly string[],
  signal: AbortSignal,
): Promise<Map<string, Omit<ObservedBridge, 'promisc'>>> {
  const commands = bridges.flatMap((bridge) => [
    `qdisc show dev ${bridge}`,
    `filter show dev ${bridge} ingress`,
    `filter show dev ${bridge} egress`,
  ])
  const answers = await tcBatch(netns, commands, signal)
  return new Map(
    bridges.map((bridge, i) => [
      bridge,
      {
        clsact: answers[3 * i]?.some(({ kind }) => kind === 'clsact') ?? false,
        ingress: targetsIn(answers[3 * i + 1]),
        egress: targetsIn(answers[3 * i + 2]),
      },
    ]),
  )
}

/** The links that filters lead to, by priority. The kernel lists the tables of both ways beside the priorities of either. */
function targetsIn(filters: readonly TcLine[] = []): Map<number, string> {
  const targets = new Map<number, string>()
  for (const { pref, options } of filters) {
    if (pref === undefined) continue
    const target = options?.actions?.find(({ to_dev: to }) => to !== undefined)?.to_dev
    if (target !== undefined || !targets.has(pref)) targets.set(pref, target ?? '')
  }
  return targets
}

/** The tap that a mirror's end in a sandbox leads to; undefined unless all of its filters are there. */
async function tapOf(netns: string, name: string, signal: AbortSignal): Promise<string | undefined> {
  // There may be no such link, or no such namespace.
  const [filters] = await tcBatch(netns, [`filter show dev ${name} ingress`], signal).catch(() => [])
  const targets = targetsIn(filters)
  return targets.has(1) && targets.has(2) ? targets.get(lastPref) : undefined
}

/** Runs tc commands as one batch, until the first failure. Resolves to what each that shows something has shown. */
async function tcBatch(
  netns: string | undefined,
  commands: readonly string[],
  signal: AbortSignal,
): Promise<readonly (readonly TcLine[])[]> {
  if (!commands.length) return []
  const text = await run('tc', [...inside(netns), '-j', '-batch', '-'], { input: `${commands.join('\n')}\n`, signal })
  return text
    .split('\n')
    .filter(Boolean)
    .map((line): readonly TcLine[] => JSON.parse(line))
}

function inside(netns: string | undefined): readonly string[] {
  return netns === undefined ? [] : ['-n', netns]
}
