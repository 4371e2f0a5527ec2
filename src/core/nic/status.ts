import type { InterfaceStatus } from '#apis/kubevirt/interface.ts'
import { sameJson } from '#base/json.ts'
import { bindings, isDevice } from './bindings.ts'
import { type DesiredNic, isNetwork, type ObservedNic } from './nic.ts'

/** A network device as the guest's agent reports it. */
export type GuestInterface = Readonly<{ name: string; mac: string; ips: readonly string[] }>

/** Most guest-only interfaces reported (facts/kubevirt.md §2.4). */
const maxGuestOnly = 10

/**
 * `status.interfaces`: the hypervisor's interfaces, in the order of the spec with the primary first, joined by MAC with the
 * devices that the guest's agent reports (undefined while there is no agent). Link states are always the hypervisor's, never the
 * spec's. `podIps` are the addresses that CNI assigned, by network; `attached` are the networks of the sandbox, whether or not
 * the guest has a card on them. `before` is the previous status: of several devices with a card's MAC, the card's own is the one
 * that was reported first.
 */
export function interfaceStatuses(
  desired: readonly DesiredNic[],
  observed: readonly ObservedNic[],
  guest: readonly GuestInterface[] | undefined,
  podIps: ReadonlyMap<string, readonly string[]>,
  attached: ReadonlySet<string> = new Set(),
  before: readonly InterfaceStatus[] = [],
): InterfaceStatus[] {
  const present = new Map(observed.map((nic) => [nic.name, nic]))
  const known = new Set(before.flatMap(({ name, interfaceName }) => (name && interfaceName ? [interfaceName] : [])))
  const ordered = [...desired.filter((nic) => nic.primary), ...desired.filter((nic) => !nic.primary)]
  const cards = ordered.flatMap((nic): InterfaceStatus[] => {
    const now = present.get(nic.name)
    if (now) return [statusOf(nic, now, deviceOf(now.mac, guest ?? [], known), podIps.get(nic.name) ?? [])]
    return attached.has(nic.name) && !nic.primary ? [sandboxOnly(nic)] : []
  })
  const macs = new Set(observed.map((nic) => nic.mac))
  const others = (guest ?? []).filter((one) => one.name !== 'lo' && !macs.has(one.mac.toLowerCase()))
  return [...cards, ...others.slice(0, maxGuestOnly).map(guestOnly)]
}

function statusOf(
  nic: DesiredNic,
  now: ObservedNic,
  guest: GuestInterface | undefined,
  podIps: readonly string[],
): InterfaceStatus {
  const { isOnNetwork } = bindings[nic.binding]
  // Link-local addresses of a guest behind the pod's address are valid only inside the guest.
  const agentIps = guest?.ips.filter((ip) => isOnNetwork || !isLinkLocal(ip))
  const ips = agentIps ? (isOnNetwork ? agentIps : mergedIps(podIps, agentIps)) : podIps
  const isAttached = isNetwork(now.network)
  // Neither is known of a device of the host (KubeVirt).
  const isOwn = !isDevice(nic.binding)
  const sources = [
    'domain',
    ...(guest ? ['guest-agent'] : []),
    ...(nic.primary || !isAttached ? [] : ['multus-status']),
  ]
  return {
    name: nic.name,
    mac: now.mac,
    ...(isOwn && { linkState: now.link }),
    ...(isAttached && { podInterfaceName: nic.links.pod }),
    ...(isOwn && { queueCount: now.queues }),
    infoSource: sources.join(', '),
    ...(guest && { interfaceName: guest.name }),
    ...addresses(ips),
    // Behind masquerade the guest does not know the address at which it is reached (facts/kubevirt.md §1.2).
    ...(!isOnNetwork && agentIps?.length && !sameJson(agentIps, ips) && { guestAddresses: agentIps }),
  }
}

/** Names of devices on top of others: VLANs and aliases. */
const stacked = /[.:@]|^vlan/i
/** Names that Linux and Windows give to cards. */
const cardName = /^(eth|en|Ethernet)/i

/**
 * The guest's device for a card. A VLAN, a bridge or a bond on top of it has the same MAC and is not reported in its place; the
 * addresses of a bridge or a bond count as the card's.
 */
function deviceOf(
  mac: string,
  guest: readonly GuestInterface[],
  known: ReadonlySet<string>,
): GuestInterface | undefined {
  const all = guest.filter((one) => one.mac.toLowerCase() === mac)
  const rank = ({ name }: GuestInterface) =>
    known.has(name) ? 0 : stacked.test(name) ? 3 : cardName.test(name) ? 1 : 2
  const [own, ...others] = all.toSorted((a, b) => rank(a) - rank(b))
  if (!own || own.ips.length) return own
  const above = others.find(({ name, ips }) => ips.length && !stacked.test(name))
  return above ? { ...own, ips: above.ips } : own
}

/**
 * The addresses at which a guest behind the pod's address is reached: of each family CNI's addresses, unless CNI assigned none or
 * the guest has none (facts/kubevirt.md §2.4).
 */
function mergedIps(podIps: readonly string[], agentIps: readonly string[]): string[] {
  return [isIpv4, (ip: string) => !isIpv4(ip)].flatMap((isOfFamily) => {
    const [given, told] = [podIps.filter(isOfFamily), agentIps.filter(isOfFamily)]
    return given.length && told.length ? given : told
  })
}

function isIpv4(ip: string): boolean {
  return !ip.includes(':')
}

function sandboxOnly({ name, links }: DesiredNic): InterfaceStatus {
  return { name, podInterfaceName: links.pod, infoSource: 'multus-status' }
}

function guestOnly(one: GuestInterface): InterfaceStatus {
  return { mac: one.mac.toLowerCase(), interfaceName: one.name, infoSource: 'guest-agent', ...addresses(one.ips) }
}

function addresses(ips: readonly string[]): Pick<InterfaceStatus, 'ipAddress' | 'ipAddresses'> {
  return ips.length ? { ipAddress: ips[0]!, ipAddresses: ips } : {}
}

function isLinkLocal(ip: string): boolean {
  return ip.startsWith('169.254.') || ip.toLowerCase().startsWith('fe80:')
}
