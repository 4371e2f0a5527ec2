import type { InterfaceStatus } from '#apis/kubevirt/interface.ts'
import type { DesiredNic } from './desired.ts'
import type { Nic } from './nic.ts'

/** An interface as the hypervisor has it. */
export type ObservedNic = Nic & Readonly<{ queues: number }>

/** A network device as the guest agent tells it. */
export type GuestInterface = Readonly<{ name: string; mac: string; ips: readonly string[] }>

/** Most guest-only interfaces reported (facts/kubevirt.md §2.4). */
const maxGuestOnly = 10

/**
 * `status.interfaces`: what the hypervisor has, in the order of the spec with the primary first, joined by MAC with what the
 * guest agent tells (undefined while there is no agent). Link state is always the hypervisor's word, never the spec's.
 * `podIps` are the addresses CNI gave, by network; `attached` are the networks the sandbox has, whether or not the guest does.
 */
export function interfaceStatuses(
  desired: readonly DesiredNic[],
  observed: readonly ObservedNic[],
  guest: readonly GuestInterface[] | undefined,
  podIps: ReadonlyMap<string, readonly string[]>,
  attached: ReadonlySet<string> = new Set(),
): InterfaceStatus[] {
  const present = new Map(observed.map((nic) => [nic.name, nic]))
  const byMac = new Map((guest ?? []).map((one) => [one.mac.toLowerCase(), one]))
  const ordered = [...desired.filter((nic) => nic.primary), ...desired.filter((nic) => !nic.primary)]
  const known = ordered.flatMap((nic): InterfaceStatus[] => {
    const now = present.get(nic.name)
    if (now) return [statusOf(nic, now, byMac.get(now.mac), podIps.get(nic.name) ?? [])]
    return attached.has(nic.name) && !nic.primary ? [sandboxOnly(nic)] : []
  })
  const macs = new Set(observed.map((nic) => nic.mac))
  const others = (guest ?? []).filter((one) => one.name !== 'lo' && !macs.has(one.mac.toLowerCase()))
  return [...known, ...others.slice(0, maxGuestOnly).map(guestOnly)]
}

function statusOf(
  nic: DesiredNic,
  now: ObservedNic,
  guest: GuestInterface | undefined,
  podIps: readonly string[],
): InterfaceStatus {
  // A masqueraded guest's link-local addresses mean nothing outside the guest.
  const agentIps = guest?.ips.filter((ip) => nic.binding !== 'masquerade' || !isLinkLocal(ip))
  const ips = agentIps ? mergedIps(podIps, agentIps) : podIps
  const sources = ['domain', ...(guest ? ['guest-agent'] : []), ...(nic.primary ? [] : ['multus-status'])]
  return {
    name: nic.name,
    mac: now.mac,
    linkState: now.link,
    podInterfaceName: nic.links.pod,
    queueCount: now.queues,
    infoSource: sources.join(', '),
    ...(guest && { interfaceName: guest.name }),
    ...addresses(ips),
  }
}

/**
 * The addresses of an interface that both CNI and the guest's agent know: of each family those of CNI, unless it gave none
 * or the guest has none, in which case the guest's word counts (facts/kubevirt.md §2.4).
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
