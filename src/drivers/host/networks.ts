import { Fault, faultKind } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { bindings } from '#core/nic/bindings.ts'
import { podNetwork as podNetworkName } from '#core/nic/nic.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import type { HostLink, Link } from '#core/sandbox/wiring.ts'
import type { Cni } from '../cni/cni.ts'
import type { Conflist, PluginConf } from '../cni/conflist.ts'
import type { CniWhere } from '../cni/records.ts'
import type { CniResult } from '../cni/result.ts'
import { isDeclared } from '../cni/runtime.ts'
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
  /** Says that nobody needs a network any more, `namespace/name`. */
  isUnused: (network: string) => boolean
  /** How long a plugin is asked to undo what it did before that is let go, milliseconds. */
  letGoMs: number
  log: Log
}>

/** A sandbox's folder, UID and network namespace, and the pod it is. */
export type Place = Readonly<{ dir: string; uid: string; netns: string; namespace: string; name: string }> &
  // A guest is to come here that is on its networks somewhere else.
  Readonly<{ source?: Source }>

/** A sandbox that a guest comes from, and what it has there. */
export type Source = Readonly<{ uid: string; netns: string; attachments: readonly Attachment[] }>

/** An attachment that CNI has made, and the links of it on the host. */
export type Made = Attached & Readonly<{ hostLinks: readonly HostLink[] }>

/** What could not be deleted and is tried again, and sentences about what is not. */
type Deleted = Readonly<{ faults: readonly unknown[]; notUndone: readonly string[] }>

/** Has CNI put networks into sandboxes and take them out again. */
export class CniNetworks {
  readonly #options: NetworksOptions
  /** Since when each interface could not be deleted, by sandbox; milliseconds of the monotonic clock. */
  readonly #failing = new Map<string, Map<string, number>>()

  constructor(options: NetworksOptions) {
    this.#options = options
  }

  /** Those of the attachments that CNI has made: what is written down about others was never more than a wish. */
  async made(place: Pick<Place, 'uid' | 'netns'>, attachments: readonly Attachment[]): Promise<readonly Made[]> {
    const all = await Promise.all(
      attachments.map(async (attachment): Promise<Made[]> => {
        const added = await this.#options.cni.added(whereOf(place, attachment))
        return added ? [{ attachment, result: added.result, hostLinks: hostLinksOf(added.conflist, added.result) }] : []
      }),
    )
    return all.flat()
  }

  /** Adds the network of an attachment that its guest can be told all of; see #add. Undoes itself when it fails. */
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

  /** Says what could not be undone, if anything. */
  #reportNotUndone({ containerId, ifName }: CniWhere, notUndone: readonly string[]): void {
    const about = { uid: containerId, interface: ifName, notUndone }
    if (notUndone.length) this.#options.log.warn(about, 'Could not undo what a CNI plugin did')
  }

  /**
   * Adds the network of an attachment to a sandbox with these links, having taken back what there was of it. The guest keeps its
   * address where the network's IPAM can do that. Undoes itself when it fails.
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
    // A guest may be on a network whose definition is gone; if its link is lost, it is made as it was made before.
    const conflist =
      config === undefined
        ? before?.conflist
        : await cni.parse(config, `NetworkAttachmentDefinition ${attachment.network}`, signal)
    if (!conflist)
      throw new Fault('Invalid', attachment.problem ?? `network ${attachment.network} has no configuration`)
    requireCarrier(attachment, conflist)
    const known = await cni.interfacesOf(uid)
    // Plugins would refuse it too, but what undoes their failure would delete the link, whosever it is.
    if (links.has(attachment.links.pod) && !known.includes(attachment.links.pod))
      throw new Fault(
        'Unavailable',
        `a link called ${attachment.links.pod} is in the sandbox already, and CNI did not put it there; remove it: ip -n ${netns} link delete ${attachment.links.pod}`,
      )
    await bridges.claim(conflist, attachment.network, signal)
    if (isPod) await bridges.requireOwn(podNetwork.bridge, signal)
    const reportNotUndone = (notUndone: readonly string[]) => this.#reportNotUndone(where, notUndone)
    // What was half done is taken back first, as far as that goes: it must not stand in the way of what is wanted now.
    if (!before) reportNotUndone(await cni.letGo(where, signal))
    log.info({ network: attachment.network, interface: attachment.links.pod }, 'Attaching network')
    // Where a guest is to come, a link with its MAC would draw its frames away from where it still is.
    const { isOnNetwork } = bindings[attachment.binding]
    const isMacPassed = isOnNetwork && (!source || conflist.plugins.some(asksForMac))
    const runtime = {
      pod: { namespace, name, uid },
      ...(isMacPassed && { mac: attachment.mac }),
      // The guest may go on with what it was given before its link was lost.
      ...(before && { ips: before.result.ips.map(({ address }) => address) }),
      ports: attachment.ports,
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

  /** Gives networks of a sandbox back, the last one first. A network that was never attached is no error. */
  async remove(place: Place, attachments: readonly Attachment[], signal: AbortSignal): Promise<void> {
    const names = attachments.map((attachment) => attachment.links.pod)
    for (const fault of faultsIn(await this.#delete(place.uid, place.netns, names.toReversed(), signal))) throw fault
  }

  /**
   * Gives everything back that CNI ever put into a sandbox. What has failed for as long as it may is let go: resolves to sentences
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
   * Gives back what CNI put into a sandbox for none of its attachments: a network that was left, or that a move which came to
   * nothing had brought. It leaves the guest's bridge before anything is joined to that.
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
    this.#options.log.info({ uid, interfaces: unused }, 'Giving back networks that nobody is on')
    const links = await listSandboxLinks(place, signal)
    const joined = unused.filter((name) => links.get(name)?.master !== undefined)
    await ipBatch(
      netns,
      joined.map((name) => `link set ${name} nomaster`),
      signal,
    )
    return faultsIn(await this.#delete(uid, netns, unused, signal))
  }

  /** Deletes what CNI added. One that fails keeps no other from being deleted, and is let go when it has failed for so long. */
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

  /** Removes bridges of ours that nobody needs any more. */
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

/** Where the guest that comes has the same network now. */
function whereAt(source: Source, { name, network }: Attachment): CniWhere | undefined {
  const there = source.attachments.find((one) => one.name === name && one.network === network)
  return there && whereOf(source, there)
}

/** Plugins of which it is known that the links they name on the host are links of the host's own. */
const knownToName: ReadonlySet<string> = new Set(['bridge', 'ptp'])

function hostLinksOf(conflist: Conflist, { hostInterfaces }: CniResult): HostLink[] {
  if (!conflist.plugins.some(({ type }) => knownToName.has(type))) return []
  const bridges = bridgesOf(conflist)
  const [bridge] = bridges
  return hostInterfaces
    .filter((name) => !bridges.includes(name))
    .map((name) => ({ name, ...(bridge !== undefined && { bridge }) }))
}

/** Whether a plugin lets only the MAC pass that it was told. */
function asksForMac(plugin: PluginConf): boolean {
  return plugin.macspoofchk === true || isDeclared(plugin, 'mac')
}

/** All that is to be told, once about what is given up. */
function faultsIn({ faults, notUndone }: Deleted): readonly unknown[] {
  return [...faults, ...notUndone.map((why) => new Fault('Unavailable', `given up: ${why}`))]
}
