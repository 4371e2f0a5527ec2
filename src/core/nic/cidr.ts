/** An IPv4 network: its first address and its prefix length. */
export type Net = Readonly<{ first: number; prefix: number }>

/** Private networks (RFC 1918). */
const privateNets = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'].map((text) => parseCidr(text)!)
/** Longest prefix that leaves an address for the gateway and one for the guest. */
const maxPrefix = 30

/** Why a network cannot be that of a masqueraded guest; `podNetworks` are those of the nodes' pods. */
export function guestNetworkProblem(text: string, podNetworks: readonly string[]): string | undefined {
  const net = parseCidr(text)
  if (!net) return 'must be an IPv4 network, such as 10.0.2.0/24'
  if (!privateNets.some((one) => holds(one, net)) || net.prefix > maxPrefix)
    return `must be a private IPv4 network (in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16) of at least /${maxPrefix}`
  const pods = podNetworks.find((one) => overlaps(parseCidr(one), net))
  return pods === undefined ? undefined : `must not overlap the pod network ${pods}`
}

function overlaps(one: Net | undefined, other: Net): boolean {
  return one !== undefined && (holds(one, other) || holds(other, one))
}

/** Parses an IPv4 network; undefined for any other text. Host bits must be zero. */
export function parseCidr(text: string): Net | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(text)
  if (!match) return undefined
  const [a = 0, b = 0, c = 0, d = 0, prefix = 0] = match.slice(1).map(Number)
  if (Math.max(a, b, c, d) > 255 || prefix > 32) return undefined
  const first = ((a * 256 + b) * 256 + c) * 256 + d
  return first % sizeOf(prefix) === 0 ? { first, prefix } : undefined
}

function sizeOf(prefix: number): number {
  return 2 ** (32 - prefix)
}

/** Whether a text is an IPv4 address in dotted decimal notation. */
export function isIpv4(text: string): boolean {
  return /^(25[0-5]|2[0-4]\d|1?\d?\d)(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}$/.test(text)
}

/** Whether the second network is equal to the first or a part of it. */
export function holds(outer: Net, inner: Net): boolean {
  return inner.first >= outer.first && inner.first + sizeOf(inner.prefix) <= outer.first + sizeOf(outer.prefix)
}
