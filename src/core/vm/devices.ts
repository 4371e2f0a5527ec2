import { aliasOf } from '../nic/names.ts'
import type { DesiredNic } from '../nic/nic.ts'
import { maxBus } from './pci.ts'

/** One device of a guest. `serialBus` is the bus of the agent's channel; an interface is identified by its alias. */
export type Device = Readonly<{
  kind: 'interface' | 'serialBus' | 'console' | 'agentChannel' | 'rng'
  /** Unique in its guest. */
  alias: string
  /**
   * Whether it needs a root port of its own. A port is `kept` for a device that libvirt puts on another kind of bus, so that the
   * addresses of other devices do not change when its model does.
   */
  port: 'needed' | 'kept' | 'none'
  /** The address that its owner chose: `0000:BB:00.0`, where BB is the number of a root port. */
  pciAddress?: string
  /** The number from which the guest derives its name. */
  acpiIndex?: number
  /** Its position in the firmware's boot order, from 1. */
  bootOrder?: number
}>

/** The devices of a guest with these interfaces, in their order. */
export function devicesOf(nics: readonly DesiredNic[]): Device[] {
  return [
    ...nics.map(
      (nic): Device => ({
        kind: 'interface',
        alias: aliasOf(nic.name),
        port: nic.model === 'virtio' ? 'needed' : 'kept',
      }),
    ),
    { kind: 'serialBus', alias: 'virtio-serial0', port: 'needed' },
    { kind: 'console', alias: 'serial0', port: 'none' },
    { kind: 'agentChannel', alias: 'channel0', port: 'none' },
    { kind: 'rng', alias: 'rng0', port: 'needed' },
  ]
}

/** Number of ports that devices use. */
export function portsTaken(devices: readonly Device[]): number {
  return devices.filter(({ port, pciAddress }) => port !== 'none' || pciAddress !== undefined).length
}

/** The addresses of a guest's devices: `buses` has the number of the root port, from 1, of each device with one, by alias. */
export type Slots = Readonly<{
  /** Number of root ports; their indexes are 1 to this number. None can be added to a running guest. */
  ports: number
  buses: ReadonlyMap<string, number>
}>

/**
 * Assigns addresses to devices, deterministically: interfaces come first, followed by `hotplugPorts`, so that a plugged card gets
 * the address that it will have after the next start; the other devices follow, and `extra` free ports come last. Hotplug ports
 * and extra ones are limited by the number of buses. @returns a sentence when the addresses that owners chose are impossible
 */
export function assignSlots(
  devices: readonly Device[],
  { hotplugPorts, extra }: Readonly<{ hotplugPorts: number; extra: number }>,
): Slots | { problem: string } {
  const twin = twins(devices)
  if (twin) return { problem: twin }
  const buses = new Map<string, number>()
  for (const { alias, pciAddress } of devices) {
    if (pciAddress === undefined) continue
    const bus = busOf(pciAddress)
    if (bus === undefined)
      return {
        problem: `device ${alias} cannot have the PCI address ${pciAddress}: choose one from 0000:01:00.0 to 0000:1f:00.0`,
      }
    if ([...buses.values()].includes(bus)) return { problem: `two devices are to have the PCI address ${pciAddress}` }
    buses.set(alias, bus)
  }
  const fixed = new Set(buses.values())
  let last = 0
  const next = () => {
    do last++
    while (fixed.has(last))
    return last
  }
  const place = (list: readonly Device[]) => {
    for (const { alias, port } of list) {
      if (port === 'none' || buses.has(alias)) continue
      const bus = next()
      if (port === 'needed') buses.set(alias, bus)
    }
  }
  place(devices.filter(({ kind }) => kind === 'interface'))
  // A port that is chosen by address is one of those that are counted already.
  const room = Math.max(0, maxBus - portsTaken(devices))
  for (let hotplug = Math.min(hotplugPorts, room); hotplug > 0; hotplug--) next()
  place(devices.filter(({ kind }) => kind !== 'interface'))
  const needed = Math.max(last, ...fixed)
  return { ports: Math.max(needed, Math.min(last + extra, maxBus)), buses }
}

/** Why two devices conflict: they have the same value of a unique field. */
function twins(devices: readonly Device[]): string | undefined {
  for (const field of ['alias', 'acpiIndex', 'bootOrder'] as const) {
    const seen = new Set<string | number>()
    for (const { [field]: value } of devices) {
      if (value === undefined) continue
      if (seen.has(value)) return `two devices are to have the ${field} ${value}`
      seen.add(value)
    }
  }
  return undefined
}

/** The number of the root port of an address; undefined for any other address. */
function busOf(pciAddress: string): number | undefined {
  const [, digits] = /^0000:([\da-f]{2}):00\.0$/i.exec(pciAddress) ?? []
  const bus = Number.parseInt(digits ?? '', 16)
  return bus >= 1 && bus <= maxBus ? bus : undefined
}
