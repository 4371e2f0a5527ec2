import type { Interface } from '#apis/kubevirt/interface.ts'
import type { VirtualMachineInstance, VmiSpec } from '#apis/kubevirt/vmi.ts'
import { dnsSubdomain, nameProblems } from '#apis/meta/names.ts'
import { isIpv4 } from '../nic/cidr.ts'
import type { DesiredNic } from '../nic/nic.ts'

/** The DHCP options of one interface beside its address and routes. */
export type DhcpSettings = Readonly<{
  hostname: string
  domain?: string
  searches?: readonly string[]
  /** IPv4 addresses; they follow the host's name servers unless `isOwnDns`. */
  nameservers?: readonly string[]
  /** The host's name servers are left out. */
  isOwnDns?: true
  bootFileName?: string
  tftpServerName?: string
  ntpServers?: readonly string[]
  privateOptions?: readonly Readonly<{ option: number; value: string }>[]
}>

/** Most bytes of the value of a DHCP option: its length is one byte, and some values end in a zero byte. */
export const maxOptionBytes = 254

/** Most characters of a label of a domain name (RFC 1035); names of VMs may be longer. */
const maxLabel = 63

const clusterDomain = 'svc.cluster.local'

const utf8 = new TextEncoder()

/**
 * The DHCP options of an interface, as KubeVirt's DHCP server sends them (its `prepareDHCPOptions`). There is no cluster DNS, so
 * `ClusterFirst` means the host's name servers, as `Default` does. Values that admission of this version would refuse are left
 * out.
 */
export function dhcpSettings(
  vmi: Pick<VirtualMachineInstance, 'metadata' | 'spec'>,
  { dhcpOptions }: Pick<Interface, 'dhcpOptions'>,
): DhcpSettings {
  const { spec } = vmi
  const searches = fitting(searchesOf(spec, vmi.metadata.namespace ?? 'default'))
  const nameservers = textsOf(spec.dnsConfig?.nameservers).filter(isIpv4)
  // The longest domain is the most specific one (KubeVirt).
  const domain = searches.reduce((longest, one) => (one.length > longest.length ? one : longest), '')
  const { bootFileName, tftpServerName, ntpServers = [], privateOptions = [] } = dhcpOptions ?? {}
  const given = privateOptions.filter(
    ({ option, value }, i) =>
      option >= 224 &&
      option <= 254 &&
      value &&
      isSayable(value) &&
      privateOptions.findIndex((other) => other.option === option) === i,
  )
  const servers = ntpServers.filter(isIpv4)
  return {
    hostname: hostnameOf(vmi),
    ...(domain && { domain, searches }),
    ...(nameservers.length && { nameservers }),
    ...(spec.dnsPolicy === 'None' && { isOwnDns: true as const }),
    ...(isName(bootFileName) && { bootFileName }),
    ...(isName(tftpServerName) && { tftpServerName }),
    ...(servers.length && { ntpServers: servers }),
    ...(given.length && { privateOptions: given }),
  }
}

/** The host name of a guest: its owner's choice, or the first label of its instance's name (KubeVirt's SanitizeHostname). */
export function hostnameOf({ metadata, spec }: Pick<VirtualMachineInstance, 'metadata' | 'spec'>): string {
  const wanted = spec.hostname || metadata.name.split('.')[0]!
  return wanted
    .toLowerCase()
    .replace(/[^a-z0-9-]/g, '-')
    .slice(0, maxLabel)
    .replace(/^-+|-+$/g, '')
}

/** Size of a list of domains in the search option, uncompressed (RFC 3397), bytes: one more for each label and each end. */
export function searchBytes(searches: readonly string[]): number {
  return searches.reduce((sum, one) => sum + one.length + 2, 0)
}

/**
 * The search domains, the most specific first: with a subdomain the domain that pods would have in a cluster with DNS, unless the
 * spec has its own DNS (KubeVirt's DomainNameWithSubdomain).
 */
function searchesOf({ subdomain, dnsPolicy, dnsConfig }: VmiSpec, namespace: string): readonly string[] {
  const given = textsOf(dnsConfig?.searches).filter((one) => !nameProblems(one, dnsSubdomain).length)
  if (!subdomain) return given
  const isOfCluster = dnsPolicy === undefined || dnsPolicy === '' || dnsPolicy.startsWith('ClusterFirst')
  const services = given.filter((one) => one.includes('.svc.'))
  if (isOfCluster) services.push(`${namespace}.${clusterDomain}`)
  const longest = services.reduce((best, one) => (one.length > best.length ? one : best), '')
  if (!longest || longest.startsWith(`${subdomain}.`)) return given
  return [`${subdomain}.${longest}`, ...given]
}

/** As many of the first domains as fit into one option. */
function fitting(searches: readonly string[]): readonly string[] {
  return searches.filter((_, i) => searchBytes(searches.slice(0, i + 1)) <= maxOptionBytes)
}

/** Whether a text fits into one option. */
export function isSayable(text: string): boolean {
  return utf8.encode(text).length <= maxOptionBytes
}

/** Whether a text can be sent as a name. */
export function isPrintable(text: string): boolean {
  return !/\p{Cc}/u.test(text)
}

function isName(text: string | undefined): text is string {
  return text !== undefined && text !== '' && isSayable(text) && isPrintable(text)
}

/** The texts of a list that may have been stored by a version without validation. */
function textsOf(list: unknown): string[] {
  return Array.isArray(list) ? list.filter((one) => typeof one === 'string') : []
}

/** Descriptions of addresses that guests do not get by DHCP, since they are not IPv4. */
export function addressesWithoutDhcp(
  nics: readonly DesiredNic[],
  ips: ReadonlyMap<string, readonly string[]>,
): string[] {
  return nics.flatMap(({ name, network }) => {
    const left = (ips.get(name) ?? []).filter((ip) => ip.includes(':'))
    if (!left.length) return []
    return [
      `The network ${network} gave interface "${name}" the address ${left.join(', ')}, which the guest is not told: DHCP is for IPv4 only; set it in the guest, which may use it`,
    ]
  })
}
