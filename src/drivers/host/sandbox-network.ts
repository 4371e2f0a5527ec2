import { explain, Fault, faultKind } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { podNetwork as podNetworkName } from '#core/nic/nic.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import { dhcpUserOf } from '#core/sandbox/users.ts'
import type { Cni, CniResult } from '../cni/cni.ts'
import { type DhcpLease, dnsmasqPid, ensureDnsmasq, stopDnsmasq } from '../dhcp/dnsmasq.ts'
import type { HostBridges } from './bridges.ts'
import { ipBatch, type Link, listSandboxLinks } from './links.ts'
import { netnsPath } from './netns.ts'
import { ensureOutboundNat, nameServers, type PodNetwork, podNetworkConfig } from './pod-network.ts'
import { run } from './run.ts'
import {
  dhcpAddress,
  guestAddresses,
  isWired,
  masqueradeRules,
  namingCommand,
  netmask,
  unwiringCommands,
  wiringCommands,
} from './wiring.ts'

export type SandboxNetworkOptions = Readonly<{
  cni: Cni
  bridges: HostBridges
  podNetwork: PodNetwork
  /** Says that nobody needs a network any more, `namespace/name`. */
  isUnused: (network: string) => boolean
  /** How long a plugin is asked to undo what it did before that is let go, milliseconds. */
  letGoMs: number
  log: Log
}>

/** What could not be deleted and is tried again, and sentences about what is not. */
type Deleted = Readonly<{ faults: readonly unknown[]; notUndone: readonly string[] }>

/** What CNI made of an attachment, with what its plugins answered. */
type Attached = Readonly<{ attachment: Attachment; result: CniResult }>

/** Addresses CNI gave, why what was optional could not be attached, and what could not be given back; by attachment. */
type AttachResult = Readonly<{
  ips: Map<string, readonly string[]>
  failed: Map<string, unknown>
  leftovers: unknown[]
}>

/** A sandbox's folder, UID and network namespace. */
export type Place = Readonly<{ dir: string; uid: string; netns: string }>

/** A sandbox that has processes: its first one, and what its guest runs as on the host. */
export type LivePlace = Place & Readonly<{ init: number; user: number }>

/** Puts networks into sandboxes and joins them to the guest's taps. */
export class SandboxNetwork {
  readonly #options: SandboxNetworkOptions
  #nat: Promise<void> | undefined
  /** The rules this process has given each namespace. */
  readonly #rules = new Map<string, string>()
  /** Since when each interface could not be deleted, by sandbox; milliseconds of the monotonic clock. */
  readonly #failing = new Map<string, Map<string, number>>()

  constructor(options: SandboxNetworkOptions) {
    this.#options = options
  }

  /** Attaches what is not attached yet and mends what is broken. What is optional and fails is told, the rest fails the whole. */
  async attach(
    place: LivePlace,
    attachments: readonly Attachment[],
    optional: ReadonlySet<string>,
    signal: AbortSignal,
  ): Promise<AttachResult> {
    const { uid, netns } = place
    const leftovers = [...(await this.#giveBackStrays(place, attachments, signal))]
    const before = await listSandboxLinks(place, signal)
    let links = before
    const attached: Attached[] = []
    const failed = new Map<string, unknown>()
    for (const attachment of attachments)
      try {
        attached.push({ attachment, result: await this.#plug(uid, netns, attachment, links, signal) })
      } catch (error) {
        if (!optional.has(attachment.name) || faultKind(error) === 'Aborted') throw error
        failed.set(attachment.name, error)
      }
    if (attached.some(({ attachment }) => !links.has(attachment.links.pod)))
      links = await listSandboxLinks(place, signal)
    await ipBatch(
      netns,
      attached.flatMap(({ attachment }) => wiringCommands(attachment, links, { uid: place.user })),
      signal,
    )
    for (const one of attached) {
      await this.#nameLink(netns, one.attachment, links, signal)
      await this.#masquerade(netns, one, before, signal)
      await this.#serve(place, one, links, signal)
    }
    const ips = new Map(attached.map(({ attachment, result }) => [attachment.name, addressesOf(result)]))
    return { ips, failed, leftovers }
  }

  /** Those of the attachments that CNI has made: what is written down about others was never more than a wish. */
  async made(uid: string, netns: string, attachments: readonly Attachment[]): Promise<readonly Attachment[]> {
    const results = await Promise.all(
      attachments.map(({ links }) =>
        this.#options.cni.cached({ containerId: uid, netns: netnsPath(netns), ifName: links.pod }),
      ),
    )
    return attachments.filter((_, i) => results[i] !== undefined)
  }

  /** Has CNI put one more network into a sandbox, beside those its guest is on. Undoes itself when it fails. */
  async attachBeside(place: Place, attachment: Attachment, signal: AbortSignal): Promise<void> {
    await this.#plug(place.uid, place.netns, attachment, await listSandboxLinks(place, signal), signal)
  }

  /** Takes the guest's tap from one attachment to another that CNI has made; it is never on both. */
  async join(place: LivePlace, from: Attachment, to: Attachment, signal: AbortSignal): Promise<void> {
    const { dir, uid, netns, user } = place
    const links = await listSandboxLinks(place, signal)
    const result = await this.#options.cni.cached({ containerId: uid, netns: netnsPath(netns), ifName: to.links.pod })
    if (!result || !links.has(to.links.pod))
      throw new Fault('Unavailable', `network ${to.network} is not in the sandbox any more`)
    // Not a moment with two of them: what is a loop in one network, or a leak between two, is worse than a gap.
    await ipBatch(netns, [...unwiringCommands(from, links), ...wiringCommands(to, links, { uid: user })], signal)
    // The guest's lease was the other network's.
    await stopDnsmasq(dir, to.links.bridge)
    await this.#serve(place, { attachment: to, result }, links, signal)
  }

  /** Serves the guest the address CNI gave, if it gave any. */
  async #serve(
    { dir, init, user }: LivePlace,
    one: Attached,
    links: ReadonlyMap<string, Link>,
    signal: AbortSignal,
  ): Promise<void> {
    const { pod, bridge } = one.attachment.links
    const lease = leaseOf(one, links.get(pod)?.mtu ?? 1500, await nameServers())
    if (lease) await ensureDnsmasq({ dir, init, user: dhcpUserOf(user) }, lease, signal)
    else await stopDnsmasq(dir, bridge)
  }

  /** Takes networks out of a sandbox that goes on: what joins them to the guest, then what CNI made. */
  async release(place: Place, attachments: readonly Attachment[], signal: AbortSignal): Promise<void> {
    const { dir, uid, netns } = place
    for (const { links } of attachments) {
      await stopDnsmasq(dir, links.bridge)
      const present = await listSandboxLinks(place, signal)
      const made = [links.tap, links.bridge].filter((name) => present.has(name))
      await ipBatch(
        netns,
        made.map((name) => `link delete ${name}`),
        signal,
      )
    }
    await this.detach(uid, netns, attachments, signal)
  }

  /** Whether links and DHCP servers are still as they were made. */
  async isWhole(dir: string, netns: string, attachments: readonly Attachment[]): Promise<boolean> {
    const links = await listSandboxLinks({ dir, netns }, AbortSignal.timeout(5000)).catch(() => undefined)
    if (!links || !attachments.every((one) => isWired(one, links))) return false
    for (const { links: names, binding } of attachments) {
      if (binding === 'masquerade' && (await dnsmasqPid(dir, names.bridge)) === undefined) return false
    }
    return true
  }

  /** Gives networks of a sandbox back, the last one first. A network that was never attached is no error. */
  async detach(uid: string, netns: string, attachments: readonly Attachment[], signal: AbortSignal): Promise<void> {
    const names = attachments.map((attachment) => attachment.links.pod)
    for (const fault of troubles(await this.#delete(uid, netns, names.toReversed(), signal))) throw fault
  }

  /**
   * Gives everything back that CNI ever put into a sandbox. What has failed for as long as it may is let go: resolves to sentences
   * about what could not be undone.
   */
  async detachAll(uid: string, netns: string, signal: AbortSignal): Promise<readonly string[]> {
    const names = await this.#options.cni.interfacesOf(uid)
    const { faults, notUndone } = await this.#delete(uid, netns, names, signal)
    for (const fault of faults) throw fault
    await this.#options.cni.forget(uid)
    this.#rules.delete(netns)
    this.#failing.delete(uid)
    return notUndone
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

  /**
   * Gives back what CNI put into a sandbox for none of its attachments: a network that was left, or that a move which came to
   * nothing had brought. It leaves the guest's bridge before anything is joined to that.
   */
  async #giveBackStrays(
    place: Place,
    attachments: readonly Attachment[],
    signal: AbortSignal,
  ): Promise<readonly unknown[]> {
    const { uid, netns } = place
    const known = new Set(attachments.map(({ links }) => links.pod))
    const strays = (await this.#options.cni.interfacesOf(uid)).filter((name) => !known.has(name))
    if (!strays.length) return []
    this.#options.log.info({ uid, interfaces: strays }, 'Giving back networks that nobody is on')
    const links = await listSandboxLinks(place, signal)
    const joined = strays.filter((name) => links.get(name)?.master !== undefined)
    await ipBatch(
      netns,
      joined.map((name) => `link set ${name} nomaster`),
      signal,
    )
    return troubles(await this.#delete(uid, netns, strays, signal))
  }

  /** Removes bridges of ours that nobody needs any more. */
  sweep(signal: AbortSignal): Promise<void> {
    return this.#options.bridges.sweep(
      (network) => network !== podNetworkName && this.#options.isUnused(network),
      signal,
    )
  }

  async #plug(
    uid: string,
    netns: string,
    attachment: Attachment,
    links: ReadonlyMap<string, Link>,
    signal: AbortSignal,
  ): Promise<CniResult> {
    const { cni, bridges, podNetwork, log } = this.#options
    const where = { containerId: uid, netns: netnsPath(netns), ifName: attachment.links.pod }
    const cached = await cni.cached(where)
    if (cached && links.has(attachment.links.pod)) return cached
    const isPod = attachment.network === podNetworkName
    const config = isPod ? podNetworkConfig(podNetwork) : attachment.config
    if (isPod) await this.#outbound(signal)
    // A guest may be on a network whose definition is gone; if its link is lost, it is made as it was made before.
    const conflist =
      config === undefined
        ? await cni.addedBy(where)
        : await cni.parse(config, `NetworkAttachmentDefinition ${attachment.network}`)
    if (!conflist)
      throw new Fault('Invalid', attachment.problem ?? `network ${attachment.network} has no configuration`)
    const known = await cni.interfacesOf(uid)
    // Plugins would refuse it too, but what undoes their failure would delete the link, whosever it is.
    if (links.has(attachment.links.pod) && !known.includes(attachment.links.pod))
      throw new Fault(
        'Unavailable',
        `a link called ${attachment.links.pod} is in the sandbox already, and CNI did not put it there; remove it: ip -n ${netns} link delete ${attachment.links.pod}`,
      )
    await bridges.claim(conflist, attachment.network, signal)
    // What was there before is taken back first, as far as that goes: it must not stand in the way of what is wanted now.
    const tell = (notUndone: unknown) =>
      log.warn({ uid, interface: where.ifName, notUndone }, 'Could not undo what a CNI plugin did')
    const before = await cni.letGo(where, signal)
    if (before.length) tell(before)
    log.info({ network: attachment.network, interface: attachment.links.pod }, 'Attaching network')
    return cni.add({ ...where, conflist }, signal).catch((error: unknown) => {
      if (error instanceof Fault && error.data.notUndone) tell(error.data.notUndone)
      throw error
    })
  }

  /** Once per process: the rule may have gone with whatever ran before us. */
  #outbound(signal: AbortSignal): Promise<void> {
    this.#nat ??= ensureOutboundNat(this.#options.podNetwork, signal).catch((error: unknown) => {
      this.#nat = undefined
      throw error
    })
    return this.#nat
  }

  /** The kernel tells of such a name by a process only, so whether it is there is found out by giving it. */
  async #nameLink(
    netns: string,
    attachment: Attachment,
    links: ReadonlyMap<string, Link>,
    signal: AbortSignal,
  ): Promise<void> {
    const command = namingCommand(attachment, links)
    if (command === undefined) return
    await ipBatch(netns, [command], signal).catch((fault: unknown) => {
      if (!/File exists/.test(explain(fault))) throw fault
    })
  }

  /** Rules that are there already are left alone: another card is not to wait for them. */
  async #masquerade(
    netns: string,
    { attachment, result }: Attached,
    before: ReadonlyMap<string, Link>,
    signal: AbortSignal,
  ): Promise<void> {
    const [podIp] = addressesOf(result)
    if (attachment.binding !== 'masquerade' || podIp === undefined) return
    const rules = masqueradeRules(attachment, podIp)
    if (this.#rules.get(netns) === rules && isWired(attachment, before)) return
    const script =
      'for key in ip_forward conf/all/route_localnet; do echo 1 > /proc/sys/net/ipv4/$key; done; exec nft -f -'
    await run('nsenter', [`--net=${netnsPath(netns)}`, 'sh', '-c', script], {
      input: rules,
      signal,
    })
    this.#rules.set(netns, rules)
  }
}

/** All that is to be told, once about what is given up. */
function troubles({ faults, notUndone }: Deleted): readonly unknown[] {
  return [...faults, ...notUndone.map((why) => new Fault('Unavailable', `given up: ${why}`))]
}

/** The lease to serve a guest: always behind masquerade, else the address CNI gave, if it gave any. */
function leaseOf({ attachment, result }: Attached, mtu: number, dns: readonly string[]): DhcpLease | undefined {
  const { links, mac, binding, name } = attachment
  const common = { bridge: links.bridge, mac, mtu, dns, hostname: hostLabel(name) }
  if (binding === 'masquerade') {
    const { gateway, guest, prefix } = guestAddresses(attachment.guestCidr)
    return {
      ...common,
      server: gateway,
      router: gateway,
      address: guest,
      netmask: netmask(prefix),
      foreignSubnet: false,
    }
  }
  const ip = result.ips.find((one) => !one.address.includes(':'))
  if (!ip) return undefined
  // A network is a way out only when its configuration says so: a gateway alone is no default route.
  const out = result.routes.find((route) => route.dst === '0.0.0.0/0')
  const router = out && (out.gw ?? ip.gateway)
  const [address = '', prefix = '24'] = ip.address.split('/')
  return {
    ...common,
    server: dhcpAddress,
    address,
    netmask: netmask(Number(prefix)),
    foreignSubnet: true,
    ...(router !== undefined && { router }),
  }
}

function hostLabel(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9-]/g, '-')
}

function addressesOf(result: CniResult): string[] {
  return result.ips.map((one) => one.address.split('/')[0]!)
}
