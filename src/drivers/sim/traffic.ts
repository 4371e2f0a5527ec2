import type { ObservedNic } from '#core/nic/nic.ts'
import type { NicTraffic } from '#core/ports.ts'

/** The cards of a simulated guest, and how many packets each has received. */
type Counted = Readonly<{ nics: ReadonlyMap<string, ObservedNic>; packets: Map<string, number> }>

/** Each look finds some more than the one before, unless the cable is pulled. */
export function trafficOf({ nics, packets }: Counted): readonly NicTraffic[] {
  const none = { rxErrors: 0, rxDropped: 0, txErrors: 0, txDropped: 0 }
  return [...nics.values()].map(({ name, link }) => {
    const count = (packets.get(name) ?? 0) + (link === 'up' ? 1 : 0)
    packets.set(name, count)
    return { name, ...none, rxBytes: count * 100, rxPackets: count, txBytes: count * 400, txPackets: count * 2 }
  })
}
