import { Fault } from '#base/fault.ts'
import { bindings } from '#core/nic/bindings.ts'
import { isIpv4 } from '#core/nic/cidr.ts'
import { maxOptionBytes } from '#core/sandbox/dhcp.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import type { CniResult } from '../cni/result.ts'
import type { DhcpLease } from '../dhcp/dnsmasq.ts'
import { routeBytes } from '../dhcp/options.ts'
import { dhcpAddress, guestAddresses, netmask } from './wiring.ts'

/** An attachment that CNI has added, with the result of its plugins. */
export type Attached = Readonly<{ attachment: Attachment; result: CniResult }>

/** The destination of a default route. */
const anywhere = '0.0.0.0/0'

/**
 * The DHCP lease of a guest: behind masquerade always the same address, otherwise the one that CNI assigned, if any. `hostDns`
 * are the host's name servers that a guest can reach.
 */
export function leaseOf(
  { attachment, result }: Attached,
  mtu: number,
  hostDns: readonly string[],
): DhcpLease | undefined {
  const { links, mac, binding, dhcp } = attachment
  const dns = [...new Set([...(dhcp?.isOwnDns ? [] : hostDns), ...(dhcp?.nameservers ?? [])])]
  const common = { bridge: links.bridge, mac, mtu, dns, ...(dhcp && { settings: dhcp }) }
  if (!bindings[binding].isOnNetwork) {
    const { gateway, guest, prefix } = guestAddresses(attachment.guestCidr)
    return {
      ...common,
      server: gateway,
      router: gateway,
      routes: [],
      address: guest,
      netmask: netmask(prefix),
      foreignSubnet: false,
    }
  }
  const ip = result.ips.find((one) => !one.address.includes(':'))
  if (!ip) return undefined
  const routes = result.routes
    .filter(({ dst, gw }) => isIpv4Net(dst) && (gw === undefined || isIpv4(gw)))
    .map(({ dst, gw }) => ({ dst, gateway: gw ?? ip.gateway ?? '0.0.0.0' }))
  // Only a default route of the configuration is served: a gateway alone is none.
  const out = routes.find(({ dst }) => dst === anywhere)
  const [address = '', prefix = '24'] = ip.address.split('/')
  return {
    ...common,
    server: dhcpAddress,
    address,
    netmask: netmask(Number(prefix)),
    foreignSubnet: true,
    // Clients that get routes ignore the router option (RFC 3442), so the default route is among them. It comes last, since its
    // gateway may be behind one of the others.
    routes: routes.some(({ dst }) => dst !== anywhere)
      ? routes.toSorted((a, b) => Number(a.dst === anywhere) - Number(b.dst === anywhere))
      : [],
    ...(out && out.gateway !== '0.0.0.0' && { router: out.gateway }),
  }
}

/** @throws Fault Unavailable for a network with more routes than a DHCP option can contain */
export function requireRoom(one: Attached): void {
  const { routes } = leaseOf(one, 0, []) ?? { routes: [] }
  const bytes = routes.reduce((sum, { dst }) => sum + routeBytes(dst), 0)
  if (bytes > maxOptionBytes)
    throw new Fault(
      'Unavailable',
      `network ${one.attachment.network} has ${routes.length} routes, which take ${bytes} bytes in DHCP, where there is room for ${maxOptionBytes}; have its IPAM give fewer`,
    )
}

function isIpv4Net(text: string): boolean {
  const [address = '', prefix = ''] = text.split('/')
  return isIpv4(address) && /^\d\d?$/.test(prefix)
}
