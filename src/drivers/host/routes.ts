import { Fault } from '#base/fault.ts'
import { holds, type Net, parseCidr } from '#core/nic/cidr.ts'
import type { PodNetwork } from './pod-network.ts'

/**
 * Checks that the pod network is free. `table` is /proc/net/route; `isOwn` is whether an existing bridge of that name is
 * Patchbay's.
 * @throws Fault Invalid for a network that overlaps another network of this host
 */
export function requireFree({ bridge, subnet }: PodNetwork, table: string, isOwn: boolean): void {
  const own = parseCidr(subnet)!
  // A wider network behind a router is allowed: this host only loses access to the addresses of the pod network.
  for (const { device, net, isDirect } of routesIn(table))
    if (!(device === bridge && isOwn) && (holds(own, net) || (isDirect && holds(net, own))))
      throw new Fault(
        'Invalid',
        `The pod network ${subnet} overlaps a network that this host has behind ${device}; start with another --pod-cidr (and, beside another Patchbay, another --pod-bridge)`,
      )
}

type Route = Readonly<{ device: string; net: Net; isDirect: boolean }>

/** All routes but default ones. */
function routesIn(table: string): readonly Route[] {
  const lines = table.trim().split('\n').slice(1)
  return lines.flatMap((line) => {
    const [device = '', destination = '', gateway = '', , , , , mask = ''] = line.split(/\s+/)
    const prefix = 32 - Math.log2(2 ** 32 - numberOf(mask))
    return prefix === 0
      ? []
      : [{ device, net: { first: numberOf(destination), prefix }, isDirect: numberOf(gateway) === 0 }]
  })
}

/** The kernel prints addresses in the byte order of memory: the first byte last. */
function numberOf(hex: string): number {
  return Buffer.from(hex.padStart(8, '0'), 'hex').readUInt32LE()
}
