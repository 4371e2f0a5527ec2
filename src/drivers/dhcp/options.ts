import type { DhcpTold } from '#core/sandbox/dhcp.ts'

/** What a guest is told of the network it is on, and of the names in it. */
export type DhcpOptions = Readonly<{
  told?: DhcpTold
  mtu: number
  dns: readonly string[]
  /** Without one nobody is named. */
  router?: string
  /** Networks that are reached by others than the router, and those that are by it if there are such; `0.0.0.0` is the link itself. */
  routes: readonly Readonly<{ dst: string; gateway: string }>[]
}>

/** Bytes that a route takes in its option (RFC 3442): the length of its prefix, what of it counts, and the gateway. */
export function routeBytes(dst: string): number {
  return 5 + Math.ceil(Number(dst.split('/')[1]) / 8)
}

/**
 * The lines of dnsmasq's configuration that say what a guest is told. What its owner asked for is told whether or not the guest
 * asks, as KubeVirt does; the rest to those who ask, which all do.
 */
export function optionLines({ told, mtu, dns, router, routes }: DhcpOptions): string[] {
  const {
    hostname,
    domain,
    searches = [],
    bootFileName,
    tftpServerName,
    ntpServers = [],
    privateOptions = [],
  } = told ?? {}
  const ways = routes.flatMap(({ dst, gateway }) => [dst, gateway]).join(',')
  return [
    // Without a router dnsmasq would name itself, which routes nowhere.
    router === undefined ? 'dhcp-option=option:router' : `dhcp-option=option:router,${router}`,
    // 249 is what Windows asked for before there was 121.
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

/** A text as it is, whatever is in it: else dnsmasq takes it for numbers, addresses, lists, or the end of the line. */
function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`
}

/** Bytes that mean nothing to dnsmasq. */
function bytesOf(text: string): string {
  const bytes = Buffer.from(text)
  // A single byte in hexadecimal would be a number of several.
  return bytes.length === 1 ? `${bytes[0]}b` : bytes.toString('hex').replace(/..(?=.)/g, '$&:')
}
