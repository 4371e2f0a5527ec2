import { Fault, faultKind } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { podNetwork as podNetworkName } from '#core/nic/nic.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import type { Cni, CniResult } from '../cni/cni.ts'
import { type DhcpLease, dnsmasqPaths, dnsmasqPid, ensureDnsmasq, stopDnsmasq } from '../dhcp/dnsmasq.ts'
import type { HostBridges } from './bridges.ts'
import { ipBatch, type Link, listLinks } from './links.ts'
import { netnsPath } from './netns.ts'
import { ensureOutboundNat, nameServers, type PodNetwork, podNetworkConfig } from './pod-network.ts'
import { run } from './run.ts'
import {
  dhcpAddress,
  guestAddresses,
  isWired,
  masqueradeRules,
  netmask,
  type QemuUser,
  wiringCommands,
} from './wiring.ts'

export type SandboxNetworkOptions = Readonly<{
  cni: Cni
  bridges: HostBridges
  podNetwork: PodNetwork
  qemuUser: QemuUser
  /** Says that nobody needs a network any more, `namespace/name`. */
  isUnused: (network: string) => boolean
  log: Log
}>

/** What CNI made of an attachment, with what its plugins answered. */
type Attached = Readonly<{ attachment: Attachment; result: CniResult }>

/** Addresses CNI gave, and why what was optional could not be attached; by attachment. */
type AttachResult = Readonly<{ ips: Map<string, readonly string[]>; failed: Map<string, unknown> }>

/** Puts networks into sandboxes and joins them to the guest's taps. */
export class SandboxNetwork {
  readonly #options: SandboxNetworkOptions
  #nat: Promise<void> | undefined

  constructor(options: SandboxNetworkOptions) {
    this.#options = options
  }

  /** Attaches what is not attached yet and mends what is broken. What is optional and fails is told, the rest fails the whole. */
  async attach(
    { dir, uid, netns }: Readonly<{ dir: string; uid: string; netns: string }>,
    attachments: readonly Attachment[],
    optional: ReadonlySet<string>,
    signal: AbortSignal,
  ): Promise<AttachResult> {
    let links = await listLinks(netns, signal)
    const attached: Attached[] = []
    const failed = new Map<string, unknown>()
    for (const attachment of attachments)
      try {
        attached.push({ attachment, result: await this.#plug(uid, netns, attachment, links, signal) })
      } catch (error) {
        if (!optional.has(attachment.name) || faultKind(error) === 'Aborted') throw error
        failed.set(attachment.name, error)
      }
    if (attached.some(({ attachment }) => !links.has(attachment.links.pod))) links = await listLinks(netns, signal)
    await ipBatch(
      netns,
      attached.flatMap(({ attachment }) => wiringCommands(attachment, links, this.#options.qemuUser)),
      signal,
    )
    const dns = await nameServers()
    for (const one of attached) {
      await this.#masquerade(netns, one, signal)
      const lease = leaseOf(one, links.get(one.attachment.links.pod)?.mtu ?? 1500, dns)
      if (lease) await ensureDnsmasq(netns, dir, lease, signal)
    }
    return { ips: new Map(attached.map(({ attachment, result }) => [attachment.name, addressesOf(result)])), failed }
  }

  /** Takes networks out of a sandbox that goes on: what joins them to the guest, then what CNI made. */
  async release(
    { dir, uid, netns }: Readonly<{ dir: string; uid: string; netns: string }>,
    attachments: readonly Attachment[],
    signal: AbortSignal,
  ): Promise<void> {
    for (const { links } of attachments) {
      await stopDnsmasq(dir, links.bridge)
      const present = await listLinks(netns, signal)
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
    const links = await listLinks(netns, AbortSignal.timeout(5000)).catch(() => undefined)
    if (!links || !attachments.every((one) => isWired(one, links))) return false
    for (const { links: names, binding } of attachments) {
      const { pidFile, configFile } = dnsmasqPaths(dir, names.bridge)
      if (binding === 'masquerade' && (await dnsmasqPid(pidFile, configFile)) === undefined) return false
    }
    return true
  }

  /** Gives every network of a sandbox back, the last one first. A network that was never attached is no error. */
  async detach(uid: string, netns: string, attachments: readonly Attachment[], signal: AbortSignal): Promise<void> {
    for (const attachment of attachments.toReversed())
      await this.#options.cni.del({ containerId: uid, netns: netnsPath(netns), ifName: attachment.links.pod }, signal)
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
    if (config === undefined)
      throw new Fault('Invalid', attachment.problem ?? `network ${attachment.network} has no configuration`)
    if (isPod) await this.#outbound(signal)
    const conflist = await cni.parse(config, `NetworkAttachmentDefinition ${attachment.network}`)
    await bridges.claim(conflist, attachment.network, signal)
    // What an earlier attempt left half done is taken back first.
    await cni.del(where, signal)
    log.info({ network: attachment.network, interface: attachment.links.pod }, 'Attaching network')
    return cni.add({ ...where, conflist }, signal)
  }

  /** Once per process: the rule may have gone with whatever ran before us. */
  #outbound(signal: AbortSignal): Promise<void> {
    this.#nat ??= ensureOutboundNat(this.#options.podNetwork, signal).catch((error: unknown) => {
      this.#nat = undefined
      throw error
    })
    return this.#nat
  }

  async #masquerade(netns: string, { attachment, result }: Attached, signal: AbortSignal): Promise<void> {
    const [podIp] = addressesOf(result)
    if (attachment.binding !== 'masquerade' || podIp === undefined) return
    const script =
      'for key in ip_forward conf/all/route_localnet; do echo 1 > /proc/sys/net/ipv4/$key; done; exec nft -f -'
    await run('nsenter', [`--net=${netnsPath(netns)}`, 'sh', '-c', script], {
      input: masqueradeRules(attachment, podIp),
      signal,
    })
  }
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
