import { Fault } from '#base/fault.ts'
import { holds, type Net, parseCidr } from '#core/nic/cidr.ts'
import type { PodNetwork } from './pod-network.ts'

/**
 * `table` are the IPv4 routes of this host as the kernel shows them; `isOwn` says that a bridge of that name would be ours.
 * @throws Fault Invalid for a network whose addresses this host finds somewhere else
 */
export function requireFree({ bridge, subnet }: PodNetwork, table: string, isOwn: boolean): void {
  const own = parseCidr(subnet)!
  // A wider one behind a router only loses the addresses that are ours, which is what private networks are for.
  for (const { device, net, isDirect } of routesIn(table))
    if (!(device === bridge && isOwn) && (holds(own, net) || (isDirect && holds(net, own))))
      throw new Fault(
        'Invalid',
        `The pod network ${subnet} overlaps a network that this host has behind ${device}; start with another --pod-cidr (and, beside another Patchbay, another --pod-bridge)`,
      )
}

type Route = Readonly<{ device: string; net: Net; isDirect: boolean }>

/** All routes but default ones, which lead everywhere. */
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

/** The kernel prints addresses as they are in memory: the first byte last. */
function numberOf(hex: string): number {
  return Buffer.from(hex.padStart(8, '0'), 'hex').readUInt32LE()
}
