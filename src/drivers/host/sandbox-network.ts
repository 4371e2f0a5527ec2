import { explain, Fault, faultKind } from '#base/fault.ts'
import { bindings } from '#core/nic/bindings.ts'
import { isNetwork, podNetwork as podNetworkName } from '#core/nic/nic.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import { dhcpUserOf } from '#core/sandbox/users.ts'
import { deafCards, type ObservedWiring, planWiring } from '#core/sandbox/wiring.ts'
import type { CniResult } from '../cni/result.ts'
import { dnsmasqPid, ensureDnsmasq, stopDnsmasq } from '../dhcp/dnsmasq.ts'
import { cardFilter, filterScript } from './filter.ts'
import { type Attached, leaseOf, requireRoom } from './lease.ts'
import { ipBatch, type Link, listLinks, listSandboxLinks } from './links.ts'
import { findNetns } from './netns.ts'
import { CniNetworks, type Made, type NetworksOptions, type Place, type Source } from './networks.ts'
import { PacketRules } from './packet-rules.ts'
import { hostTable, nameServers, outboundNat } from './pod-network.ts'
import { withCarried } from './rewire.ts'
import { masqueradeRules, namingCommand, unwiringCommands, wiringCommands } from './wiring.ts'

/** The addresses that CNI assigned and the failures of optional attachments, by attachment; and failures of pending cleanup. */
export type AttachResult = Readonly<{
  ips: ReadonlyMap<string, readonly string[]>
  failed: ReadonlyMap<string, unknown>
  pendingCleanup: unknown[]
}>

/** Descriptions of damage, and the cards whose taps no process has open. */
export type Damage = Readonly<{ why: readonly string[]; deaf: readonly string[] }>

/** A sandbox with its first process, and the user of its guest on the host. */
export type LivePlace = Place & Readonly<{ init: number; user: number }>

/** Attaches networks to sandboxes and joins them to the guest's taps. */
export class SandboxNetwork {
  readonly #options: NetworksOptions
  readonly #networks: CniNetworks
  readonly #rules: PacketRules
  /** The wanted rules of each sandbox, by attachment. */
  readonly #wanted = new Map<string, Map<string, CardRules>>()
  /** The links of the host at the last `look`. */
  #host: ReadonlyMap<string, Link> | undefined

  constructor(options: NetworksOptions) {
    this.#options = options
    this.#networks = new CniNetworks(options)
    this.#rules = new PacketRules(hostTable(options.podNetwork), options.spawn)
  }

  /**
   * Attaches missing networks and repairs damaged ones; the links on the host are checked only when the sandbox `isSuspect`.
   * Failures of `optional` attachments are reported; any other failure fails the whole.
   */
  async attach(
    place: LivePlace,
    attachments: readonly Attachment[],
    { optional, isSuspect }: Readonly<{ optional: ReadonlySet<string>; isSuspect: boolean }>,
    signal: AbortSignal,
  ): Promise<AttachResult> {
    const { netns } = place
    const pendingCleanup = [...(await this.#networks.releaseUnused(place, attachments, signal))]
    const made = await this.#networks.made(place, attachments)
    const host = made.length && isSuspect ? await listLinks(undefined, signal) : undefined
    const observed = await this.#observe(place, attachments, host, signal)
    const plan = planWiring(made.map(cardOf), observed)
    const whole = new Map(made.map((one) => [one.attachment.name, one.result]))
    if (attachments.some(isOnPodNetwork)) await this.#letOut(signal)
    let links = observed.sandbox
    const attached: Attached[] = []
    const failed = new Map<string, unknown>()
    for (const attachment of attachments)
      try {
        const known = plan.add.has(attachment.name) ? undefined : whole.get(attachment.name)
        const result = known ?? (await this.#networks.add(place, attachment, links, signal))
        const one = { attachment, result }
        // An earlier version, without this check, may have added it.
        if (known) requireRoom(one)
        attached.push(one)
      } catch (error) {
        if (!optional.has(attachment.name) || faultKind(error) === 'Aborted') throw error
        failed.set(attachment.name, error)
      }
    const isNew = ({ attachment: { name } }: Attached) => plan.add.has(name) || !whole.has(name)
    if (attached.some(isNew)) links = await listSandboxLinks(place, signal)
    const apart = attached.filter((one) => isSuspect || isNew(one) || plan.join.has(one.attachment.name))
    this.#wanted.set(netns, new Map(attached.map((one) => [one.attachment.name, rulesOf(one)])))
    // Rules and links are set together: no guest has these cards before.
    const before = apart.flatMap(({ attachment }) => wiringCommands(attachment, links, { uid: place.user }))
    const bringUp = async (one: Attached) => {
      // A DHCP server still listens on the deleted bridge, not on the new one of the same name.
      const { bridge } = one.attachment.links
      if (!observed.sandbox.has(bridge)) await stopDnsmasq(place.dir, bridge)
      await nameLink(netns, one.attachment, links, signal)
      await serve(place, one, links, signal)
    }
    const asBefore = attached.filter((one) => !apart.includes(one))
    const joined = this.#setRules(netns, { before }, signal).then(() => Promise.all(apart.map(bringUp)))
    await Promise.all([joined, ...asBefore.map(bringUp)])
    const ips = new Map(attached.map(({ attachment, result }) => [attachment.name, addressesOf(result)]))
    return { ips, failed, pendingCleanup }
  }

  /** See CniNetworks.made. */
  async made(uid: string, netns: string, attachments: readonly Attachment[]): Promise<readonly Attachment[]> {
    return (await this.#networks.made({ uid, netns }, attachments)).map(({ attachment }) => attachment)
  }

  /** The attachments of a migration's target, with the addresses that the guest has at the source. */
  carry(attachments: readonly Attachment[], source: Source): Promise<Attachment[]> {
    return withCarried(attachments, source.attachments, async (one) => {
      const [made] = await this.#networks.made(source, [one])
      return made ? addressesOf(made.result) : []
    })
  }

  /** Adds another network to a sandbox beside those that its guest uses. A failure is undone. */
  async attachBeside(place: Place, attachment: Attachment, signal: AbortSignal): Promise<void> {
    if (!isNetwork(attachment.network)) return
    const [made, links] = await Promise.all([this.#networks.made(place, [attachment]), listSandboxLinks(place, signal)])
    if (!made.length || !links.has(attachment.links.pod)) await this.#networks.add(place, attachment, links, signal)
  }

  /** Moves the guest's tap from one attachment to another that CNI has added; it is never on both. */
  async join(place: LivePlace, from: Attachment, to: Attachment, signal: AbortSignal): Promise<void> {
    const { dir, netns, user } = place
    const [links, [made]] = await Promise.all([listSandboxLinks(place, signal), this.#networks.made(place, [to])])
    if (!made || (isNetwork(to.network) && !links.has(to.links.pod)))
      throw new Fault('Unavailable', `network ${to.network} is not in the sandbox any more`)
    // The filter allows the addresses of the new network.
    this.#wanted.get(netns)?.set(to.name, rulesOf(made))
    // The bridge never has both links: a loop in one network, or a leak between two, is worse than a gap.
    const after = [...unwiringCommands(from, links), ...wiringCommands(to, links, { uid: user })]
    await this.#setRules(netns, { after }, signal)
    // The DHCP server has the lease of the other network.
    await stopDnsmasq(dir, to.links.bridge)
    await serve(place, made, links, signal)
  }

  /** Releases networks of a sandbox that continues to run: first tap and bridge, then what CNI added. */
  async release(place: Place, attachments: readonly Attachment[], signal: AbortSignal): Promise<void> {
    const { dir, netns } = place
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
    for (const { name } of attachments) this.#wanted.get(netns)?.delete(name)
    await this.#setRules(netns, {}, signal)
    await this.#networks.remove(place, attachments, signal)
  }

  /** Observes the rules of sandboxes and of the host, and the host's links, in one go; `damageTo` uses the result. */
  async look(namespaces: readonly string[], signal: AbortSignal): Promise<void> {
    const [links] = await Promise.all([listLinks(undefined, signal), this.#rules.look(['host', ...namespaces], signal)])
    this.#host = links
  }

  /** The damage of a sandbox with these attachments; `inode` is the inode number of its namespace. */
  async damageTo(
    place: Place,
    attachments: readonly Attachment[],
    inode: number | undefined,
    signal: AbortSignal,
  ): Promise<Damage> {
    if ((await findNetns(place.netns)) !== inode)
      return { why: ['the name of its network namespace was gone'], deaf: [] }
    const [made, observed] = await Promise.all([
      this.#networks.made(place, attachments),
      this.#observe(place, attachments, this.#host, signal),
    ])
    return { why: planWiring(made.map(cardOf), observed).why, deaf: deafCards(attachments, observed) }
  }

  /**
   * Releases everything that CNI added to a sandbox. A deletion that has failed for too long is given up: resolves to sentences
   * about what could not be undone.
   */
  async detachAll(uid: string, netns: string, signal: AbortSignal): Promise<readonly string[]> {
    const notUndone = await this.#networks.removeAll(uid, netns, signal)
    this.#rules.forget(netns)
    this.#wanted.delete(netns)
    return notUndone
  }

  /** Removes Patchbay's bridges whose networks are no longer needed. */
  sweep(signal: AbortSignal): Promise<void> {
    return this.#networks.sweep(signal)
  }

  async #observe(
    place: Place,
    attachments: readonly Attachment[],
    host: ReadonlyMap<string, Link> | undefined,
    signal: AbortSignal,
  ): Promise<ObservedWiring> {
    const { dir, netns } = place
    const bridges = attachments.map(({ links }) => links.bridge)
    const [sandbox, ...served] = await Promise.all([
      listSandboxLinks(place, signal),
      ...bridges.map(async (name) => ((await dnsmasqPid(dir, name)) === undefined ? [] : [name])),
    ])
    const script = scriptOf(this.#wanted.get(netns))
    const nat = outboundNat(this.#options.podNetwork)
    const isOut = !attachments.some(isOnPodNetwork) || this.#rules.isRight('host', nat)
    return {
      sandbox,
      host,
      served: new Set(served.flat()),
      rules: { sandbox: this.#rules.isRight(netns, script), host: isOut },
    }
  }

  /** Sets the wanted rules of a sandbox; `before` and `after` are commands for its links. */
  async #setRules(
    netns: string,
    links: Readonly<{ before?: readonly string[]; after?: readonly string[] }>,
    signal: AbortSignal,
  ): Promise<void> {
    const rules = this.#wanted.get(netns)
    const isForwarding = [...(rules?.values() ?? [])].some(({ nat }) => nat !== '')
    await this.#rules.ensure(netns, scriptOf(rules), { isForwarding, ...links }, signal)
  }

  #letOut(signal: AbortSignal): Promise<void> {
    return this.#rules.ensure('host', outboundNat(this.#options.podNetwork), {}, signal)
  }
}

/** The rules of a card as nftables scripts: what it may send, and the translation between it and the pod's address. */
type CardRules = Readonly<{ filter: string; nat: string }>

function rulesOf({ attachment, result }: Attached): CardRules {
  const addresses = addressesOf(result)
  const [podIp] = addresses
  return {
    filter: filterScript(cardFilter(attachment, addresses)),
    nat: !bindings[attachment.binding].isOnNetwork && podIp !== undefined ? masqueradeRules(attachment, podIp) : '',
  }
}

/** Deterministic for the same cards in any order. */
function scriptOf(rules: ReadonlyMap<string, CardRules> = new Map()): string {
  const sorted = [...rules].toSorted(([a], [b]) => (a < b ? -1 : 1))
  return sorted.map(([, { filter, nat }]) => filter + nat).join('')
}

function cardOf({ attachment, result, hostLinks }: Made) {
  return { attachment, hostLinks, isServed: leaseOf({ attachment, result }, 0, []) !== undefined }
}

/** Runs the DHCP server of an attachment if CNI assigned an address, and stops it otherwise. */
async function serve(
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

/**
 * Alternative names can be listed only by starting a process, so the name is added, and that it exists already is no failure.
 */
async function nameLink(
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

function isOnPodNetwork({ network }: Attachment): boolean {
  return network === podNetworkName
}

function addressesOf(result: CniResult): string[] {
  return result.ips.map((one) => one.address.split('/')[0]!)
}
