import { aliasOf } from '../nic/names.ts'
import type { DesiredNic } from '../nic/nic.ts'
import { maxBus } from './pci.ts'

/** One device of a guest: `serialBus` is what the agent's channel is on, an interface is found by its alias. */
export type Device = Readonly<{
  kind: 'interface' | 'serialBus' | 'console' | 'agentChannel' | 'rng'
  /** Unique in its guest. */
  alias: string
  /**
   * Whether it needs a root port of its own. One is `kept` for a device that is put on a bus of another kind by libvirt, so
   * that no other moves when it becomes one that needs it.
   */
  port: 'needed' | 'kept' | 'none'
  /** Where its owner wants it: `0000:BB:00.0`, with the number of a root port for bus. */
  pciAddress?: string
  /** The number its guest makes a name of. */
  acpiIndex?: number
  /** When firmware tries it, from 1. */
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

/** How many ports devices take. */
export function portsTaken(devices: readonly Device[]): number {
  return devices.filter(({ port, pciAddress }) => port !== 'none' || pciAddress !== undefined).length
}

/** Where the devices of a guest are: `buses` has, by alias, the number of its root port for each that is given one; from 1. */
export type Slots = Readonly<{
  /** Root ports, each with its number for index. A guest never gets more. */
  ports: number
  buses: ReadonlyMap<string, number>
}>

/**
 * Gives devices their addresses, the same for the same devices: interfaces come first and have `hotplugPorts` behind them, so
 * that a card that is plugged gets the address it will have after the next start, and the others come last; `extra` ports are
 * free behind them. Hotplug ports and extra ones are as many as there is room for. @returns a sentence when owners want what
 * cannot be
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
  // A port that is wanted by address is one of those that are there anyway.
  const room = Math.max(0, maxBus - portsTaken(devices))
  for (let hotplug = Math.min(hotplugPorts, room); hotplug > 0; hotplug--) next()
  place(devices.filter(({ kind }) => kind !== 'interface'))
  const needed = Math.max(last, ...fixed)
  return { ports: Math.max(needed, Math.min(last + extra, maxBus)), buses }
}

/** Why two devices cannot be as their owner wants: what is for one alone. */
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

/** The number of the root port that an address is behind; undefined for any other. */
function busOf(pciAddress: string): number | undefined {
  const [, digits] = /^0000:([\da-f]{2}):00\.0$/i.exec(pciAddress) ?? []
  const bus = Number.parseInt(digits ?? '', 16)
  return bus >= 1 && bus <= maxBus ? bus : undefined
}
