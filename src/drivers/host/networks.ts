import { Fault, faultKind } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { bindings } from '#core/nic/bindings.ts'
import { isNetwork, podNetwork as podNetworkName } from '#core/nic/nic.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import type { HostLink, Link } from '#core/sandbox/wiring.ts'
import type { Cni } from '../cni/cni.ts'
import type { Conflist, PluginConf } from '../cni/conflist.ts'
import type { CniWhere } from '../cni/records.ts'
import type { CniResult } from '../cni/result.ts'
import { isDeclared } from '../cni/runtime.ts'
import type { Spawn } from '../process/spare-shells.ts'
import { bridgesOf, type HostBridges } from './bridges.ts'
import { requireCarrier } from './carriers.ts'
import { type Attached, requireRoom } from './lease.ts'
import { ipBatch, listSandboxLinks } from './links.ts'
import { netnsPath } from './netns.ts'
import { type PodNetwork, podNetworkConfig } from './pod-network.ts'

export type NetworksOptions = Readonly<{
  cni: Cni
  bridges: HostBridges
  podNetwork: PodNetwork
  /** Whether no instance needs a network (`namespace/name`) any more. */
  isUnused: (network: string) => boolean
  /** How long a failing DEL is retried before it is given up, milliseconds. */
  letGoMs: number
  /** Starts what guests wait for. */
  spawn?: Spawn
  log: Log
}>

/** A sandbox: its folder, UID and network namespace, and the name of its pod. */
export type Place = Readonly<{ dir: string; uid: string; netns: string; namespace: string; name: string }> &
  // Set for the target of a migration: the sandbox of the source.
  Readonly<{ source?: Source }>

/** The sandbox that a guest comes from, and its attachments. */
export type Source = Readonly<{ uid: string; netns: string; attachments: readonly Attachment[] }>

/** An attachment that CNI has added, with its links on the host. */
export type Made = Attached & Readonly<{ hostLinks: readonly HostLink[] }>

/** The result of CNI for a card on no network. */
const nothing: CniResult = { ips: [], routes: [], hostInterfaces: [] }

/** Faults of deletions that are retried, and sentences about what is not. */
type Deleted = Readonly<{ faults: readonly unknown[]; notUndone: readonly string[] }>

/** Adds networks to sandboxes and removes them, by CNI. */
export class CniNetworks {
  readonly #options: NetworksOptions
  /** When the deletion of each interface first failed, by sandbox; milliseconds of the monotonic clock. */
  readonly #failing = new Map<string, Map<string, number>>()

  constructor(options: NetworksOptions) {
    this.#options = options
  }

  /**
   * Those of the attachments that CNI has added, and those on no network, to which it adds nothing; others may be recorded and not
   * exist.
   */
  async made(place: Pick<Place, 'uid' | 'netns'>, attachments: readonly Attachment[]): Promise<readonly Made[]> {
    const all = await Promise.all(
      attachments.map(async (attachment): Promise<Made[]> => {
        if (!isNetwork(attachment.network)) return [{ attachment, result: nothing, hostLinks: [] }]
        const added = await this.#options.cni.added(whereOf(place, attachment))
        return added ? [{ attachment, result: added.result, hostLinks: hostLinksOf(added.conflist, added.result) }] : []
      }),
    )
    return all.flat()
  }

  /** Adds the network of an attachment (see #add) and checks that its routes fit into DHCP. A failure is undone. */
  async add(
    place: Place,
    attachment: Attachment,
    links: ReadonlyMap<string, Link>,
    signal: AbortSignal,
  ): Promise<CniResult> {
    const result = await this.#add(place, attachment, links, signal)
    try {
      requireRoom({ attachment, result })
      return result
    } catch (fault) {
      const where = whereOf(place, attachment)
      this.#reportNotUndone(where, await this.#options.cni.letGo(where, signal))
      throw fault
    }
  }

  /** Logs what could not be undone, if anything. */
  #reportNotUndone({ containerId, ifName }: CniWhere, notUndone: readonly string[]): void {
    const about = { uid: containerId, interface: ifName, notUndone }
    if (notUndone.length) this.#options.log.warn(about, 'Could not undo what a CNI plugin did')
  }

  /**
   * Adds the network of an attachment to a sandbox with these links, after undoing an unfinished earlier attempt. The guest keeps
   * its address if the network's IPAM supports that. A failure is undone.
   */
  async #add(
    place: Place,
    attachment: Attachment,
    links: ReadonlyMap<string, Link>,
    signal: AbortSignal,
  ): Promise<CniResult> {
    const { cni, bridges, podNetwork, log } = this.#options
    const { uid, netns, namespace, name, source } = place
    const where = whereOf(place, attachment)
    const before = await cni.added(where)
    const isPod = attachment.network === podNetworkName
    const config = isPod ? podNetworkConfig(podNetwork) : attachment.config
    // The NAD of an attached network may have been deleted; a lost link is made again by the recorded configuration.
    const conflist =
      config === undefined
        ? before?.conflist
        : await cni.parse(config, `NetworkAttachmentDefinition ${attachment.network}`, signal)
    if (!conflist)
      throw new Fault('Invalid', attachment.problem ?? `network ${attachment.network} has no configuration`)
    requireCarrier(attachment, conflist)
    const known = await cni.interfacesOf(uid)
    // Plugins would refuse it too, but undoing their failure would delete the existing link.
    if (links.has(attachment.links.pod) && !known.includes(attachment.links.pod))
      throw new Fault(
        'Unavailable',
        `a link called ${attachment.links.pod} is in the sandbox already, and CNI did not put it there; remove it: ip -n ${netns} link delete ${attachment.links.pod}`,
      )
    await bridges.claim(conflist, attachment.network, signal)
    if (isPod) await bridges.requireOwn(podNetwork.bridge, signal)
    const reportNotUndone = (notUndone: readonly string[]) => this.#reportNotUndone(where, notUndone)
    // An unfinished earlier attempt is undone first, as far as possible, so that it does not conflict.
    if (!before) reportNotUndone(await cni.letGo(where, signal))
    log.info({ network: attachment.network, interface: attachment.links.pod }, 'Attaching network')
    // At a migration's target, a link with the guest's MAC would receive its frames while it is still at the source.
    const { isOnNetwork } = bindings[attachment.binding]
    const isMacPassed = isOnNetwork && (!source || conflist.plugins.some(asksForMac))
    // A pod whose link is made again keeps its MAC: its neighbours go on with the one they know for up to a minute.
    const mac = isMacPassed ? attachment.mac : isOnNetwork ? undefined : before?.result.mac
    const runtime = {
      pod: { namespace, name, uid },
      ...(mac !== undefined && { mac }),
      // The guest may keep the addresses that it had before its link was lost.
      ...(before && { ips: before.result.ips.map(({ address }) => address) }),
      ports: attachment.ports.filter(({ end }) => end === undefined),
      ...(attachment.bandwidth && { bandwidth: attachment.bandwidth }),
    }
    const request = { ...where, conflist, runtime }
    const from = source && isOnNetwork ? whereAt(source, attachment) : undefined
    const add = () => (from ? cni.inherit(request, from, signal) : cni.add(request, signal))
    return (before ? cni.addAgain(request, reportNotUndone, signal) : add()).catch((error: unknown) => {
      if (error instanceof Fault && error.data.notUndone) reportNotUndone(error.data.notUndone as readonly string[])
      throw error
    })
  }

  /** Releases networks of a sandbox, the last one first. A network that was never attached is no error. */
  async remove(place: Place, attachments: readonly Attachment[], signal: AbortSignal): Promise<void> {
    const names = attachments.map((attachment) => attachment.links.pod)
    for (const fault of faultsIn(await this.#delete(place.uid, place.netns, names.toReversed(), signal))) throw fault
  }

  /**
   * Releases everything that CNI added to a sandbox. A deletion that has failed for too long is given up: resolves to sentences
   * about what could not be undone.
   */
  async removeAll(uid: string, netns: string, signal: AbortSignal): Promise<readonly string[]> {
    const names = await this.#options.cni.interfacesOf(uid)
    const { faults, notUndone } = await this.#delete(uid, netns, names, signal)
    for (const fault of faults) throw fault
    await this.#options.cni.forget(uid)
    this.#failing.delete(uid)
    return notUndone
  }

  /**
   * Releases what CNI added to a sandbox and no attachment uses: the old network of a rewire, or the new one of a failed rewire.
   * It is taken off the guest's bridge first, before anything else is joined to that. Resolves to the faults of deletions, which
   * are retried.
   */
  async releaseUnused(
    place: Place,
    attachments: readonly Attachment[],
    signal: AbortSignal,
  ): Promise<readonly unknown[]> {
    const { uid, netns } = place
    const known = new Set(attachments.map(({ links }) => links.pod))
    const unused = (await this.#options.cni.interfacesOf(uid)).filter((name) => !known.has(name))
    if (!unused.length) return []
    this.#options.log.info({ uid, interfaces: unused }, 'Releasing networks that no card uses')
    const links = await listSandboxLinks(place, signal)
    const joined = unused.filter((name) => links.get(name)?.master !== undefined)
    await ipBatch(
      netns,
      joined.map((name) => `link set ${name} nomaster`),
      signal,
    )
    return faultsIn(await this.#delete(uid, netns, unused, signal))
  }

  /** Deletes interfaces by CNI. A failure does not prevent the others, and is given up after some time. */
  async #delete(uid: string, netns: string, names: readonly string[], signal: AbortSignal): Promise<Deleted> {
    const { cni, letGoMs } = this.#options
    const failing = this.#failing.get(uid) ?? new Map<string, number>()
    this.#failing.set(uid, failing)
    const deleted = { faults: [] as unknown[], notUndone: [] as string[] }
    for (const ifName of names) {
      const where = { containerId: uid, netns: netnsPath(netns), ifName }
      try {
        await cni.del(where, signal)
        failing.delete(ifName)
      } catch (fault) {
        if (faultKind(fault) === 'Aborted') return { ...deleted, faults: [...deleted.faults, fault] }
        const since = failing.get(ifName) ?? performance.now()
        failing.set(ifName, since)
        if (performance.now() - since < letGoMs) deleted.faults.push(fault)
        else deleted.notUndone.push(...(await cni.letGo(where, signal)))
      }
    }
    return deleted
  }

  /** Removes Patchbay's bridges whose networks are no longer needed. */
  sweep(signal: AbortSignal): Promise<void> {
    return this.#options.bridges.sweep(
      (network) => network !== podNetworkName && this.#options.isUnused(network),
      signal,
    )
  }
}

function whereOf({ uid, netns }: Pick<Place, 'uid' | 'netns'>, { links }: Attachment): CniWhere {
  return { containerId: uid, netns: netnsPath(netns), ifName: links.pod }
}

/** The same network's interface in the sandbox of the source. */
function whereAt(source: Source, { name, network }: Attachment): CniWhere | undefined {
  const there = source.attachments.find((one) => one.name === name && one.network === network)
  return there && whereOf(source, there)
}

/** Plugins whose results name their links in the host's own namespace. */
const knownToName: ReadonlySet<string> = new Set(['bridge', 'ptp'])

function hostLinksOf(conflist: Conflist, { hostInterfaces }: CniResult): HostLink[] {
  if (!conflist.plugins.some(({ type }) => knownToName.has(type))) return []
  const bridges = bridgesOf(conflist)
  const [bridge] = bridges
  return hostInterfaces
    .filter((name) => !bridges.includes(name))
    .map((name) => ({ name, ...(bridge !== undefined && { bridge }) }))
}

/** Whether a plugin needs the guest's MAC: it filters by it, or declares the capability. */
function asksForMac(plugin: PluginConf): boolean {
  return plugin.macspoofchk === true || isDeclared(plugin, 'mac')
}

/** Everything to be reported: faults that are retried, and once what was given up. */
function faultsIn({ faults, notUndone }: Deleted): readonly unknown[] {
  return [...faults, ...notUndone.map((why) => new Fault('Unavailable', `given up: ${why}`))]
}
