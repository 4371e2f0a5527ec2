import type { DhcpSettings } from '#core/sandbox/dhcp.ts'

/** The DHCP options of one guest: its network, and names. */
export type DhcpOptions = Readonly<{
  settings?: DhcpSettings
  mtu: number
  dns: readonly string[]
  /** Omitted without a router. */
  router?: string
  /**
   * Networks behind other gateways than the router, and, if there are any, those behind the router; `0.0.0.0` is the link
   * itself.
   */
  routes: readonly Readonly<{ dst: string; gateway: string }>[]
}>

/** Bytes of a route in its option (RFC 3442): prefix length, significant bytes of the network, and gateway. */
export function routeBytes(dst: string): number {
  return 5 + Math.ceil(Number(dst.split('/')[1]) / 8)
}

/**
 * The option lines of dnsmasq's configuration. Options from the VM's spec are sent whether or not the guest requests them,
 * as KubeVirt does; the rest on request, which all guests make.
 */
export function optionLines({ settings, mtu, dns, router, routes }: DhcpOptions): string[] {
  const {
    hostname,
    domain,
    searches = [],
    bootFileName,
    tftpServerName,
    ntpServers = [],
    privateOptions = [],
  } = settings ?? {}
  const ways = routes.flatMap(({ dst, gateway }) => [dst, gateway]).join(',')
  return [
    // Without this line dnsmasq would send its own address as the router, which routes nowhere.
    router === undefined ? 'dhcp-option=option:router' : `dhcp-option=option:router,${router}`,
    // 249 is Windows' number from before 121 existed.
    ...(ways ? [`dhcp-option=121,${ways}`, `dhcp-option=249,${ways}`] : []),
    ...(dns.length ? [`dhcp-option=option:dns-server,${dns.join(',')}`] : []),
    `dhcp-option=option:mtu,${mtu}`,
    ...(hostname ? [`dhcp-option=12,${quoted(hostname)}`] : []),
    ...(domain ? [`dhcp-option=15,${quoted(domain)}`] : []),
    ...(searches.length ? [`dhcp-option=119,${searches.join(',')}`] : []),
    ...(ntpServers.length ? [`dhcp-option-force=42,${ntpServers.join(',')}`] : []),
    ...(tftpServerName ? [`dhcp-option-force=66,${quoted(tftpServerName)}`] : []),
    ...(bootFileName ? [`dhcp-option-force=67,${quoted(bootFileName)}`] : []),
    ...privateOptions.map(({ option, value }) => `dhcp-option-force=${option},${bytesOf(value)}`),
  ]
}

/** A quoted text: otherwise dnsmasq parses numbers, addresses, lists, or the end of the line in it. */
function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`
}

/** Bytes that dnsmasq does not parse. */
function bytesOf(text: string): string {
  const bytes = Buffer.from(text)
  // A single byte in hexadecimal would be parsed as a larger number.
  return bytes.length === 1 ? `${bytes[0]}b` : bytes.toString('hex').replace(/..(?=.)/g, '$&:')
}
