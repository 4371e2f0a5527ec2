import type { GuestDisk } from '../disk/disk.ts'
import { isDevice } from '../nic/bindings.ts'
import { aliasOf, deviceAliasOf } from '../nic/names.ts'
import type { DesiredNic } from '../nic/nic.ts'
import type { Hardware } from './hardware.ts'
import { maxBus } from './pci.ts'

/** One device of a guest. `serialBus` is the bus of the agent's channel; interfaces, disks and inputs are identified by alias. */
export type Device = Readonly<{
  kind:
    | 'interface'
    | 'serialBus'
    | 'console'
    | 'agentChannel'
    | 'rng'
    | 'scsiBus'
    | 'disk'
    | 'usbBus'
    | 'input'
    | 'screen'
    | 'sound'
    | 'watchdog'
    | 'tpm'
  /** Unique in its guest. */
  alias: string
  /**
   * Whether it needs a root port of its own. A port is `kept` for a device that libvirt puts on another kind of bus, so that the
   * addresses of other devices do not change when its model does. libvirt chooses the address of a device with `none`.
   */
  port: 'needed' | 'kept' | 'none'
  /** The address that its owner chose: `0000:BB:00.0`, where BB is the number of a root port. */
  pciAddress?: string
  /** The number from which the guest derives its name. */
  acpiIndex?: number
  /** Its position in the firmware's boot order, from 1. */
  bootOrder?: number
}>

/** The alias of a disk: KubeVirt's, unless an interface has that name. */
export function diskAlias(name: string, nics: readonly Pick<DesiredNic, 'name'>[]): string {
  return aliasOf(nics.some((nic) => nic.name === name) ? `disk-${name}` : name)
}

/** The devices of a guest, in their order. */
export function devicesOf(nics: readonly DesiredNic[], disks: readonly GuestDisk[], hardware: Hardware): Device[] {
  const { inputs, hasConsole, video, sound, watchdog, hasTpm, takesDisks } = hardware
  const device = (kind: Device['kind'], alias: string, port: Device['port']): Device => ({ kind, alias, port })
  const isOnUsb = ({ bus }: { bus: string }) => bus === 'usb'
  return [
    ...nics.map(nicDevice),
    device('serialBus', 'virtio-serial0', 'needed'),
    ...(hasConsole ? [device('console', 'serial0', 'none')] : []),
    device('agentChannel', 'channel0', 'none'),
    device('rng', 'rng0', 'needed'),
    // Disks can be plugged only where there is a bus for them (KubeVirt).
    ...(takesDisks || disks.some(({ bus }) => bus === 'scsi') ? [device('scsiBus', 'scsi0', 'needed')] : []),
    ...disks.map((disk) => diskDevice(disk, diskAlias(disk.name, nics))),
    ...(inputs.some(isOnUsb) || disks.some(isOnUsb) ? [device('usbBus', 'usb', 'needed')] : []),
    ...inputs.map((input) => device('input', aliasOf(`input-${input.name}`), isOnUsb(input) ? 'none' : 'needed')),
    ...(video === undefined ? [] : [device('screen', 'video0', 'none')]),
    ...(sound === undefined ? [] : [device('sound', 'sound0', 'none')]),
    ...(watchdog ? [device('watchdog', 'watchdog0', 'none')] : []),
    ...(hasTpm ? [device('tpm', 'tpm0', 'none')] : []),
  ]
}

/** The alias of an interface. */
export function nicAlias({ name, binding }: Pick<DesiredNic, 'name' | 'binding'>): string {
  return isDevice(binding) ? deviceAliasOf(name) : aliasOf(name)
}

function nicDevice({ name, binding, model, pciAddress, acpiIndex, bootOrder }: DesiredNic): Device {
  return {
    kind: 'interface',
    alias: nicAlias({ name, binding }),
    port: model === 'virtio' || isDevice(binding) ? 'needed' : 'kept',
    ...(pciAddress !== undefined && { pciAddress }),
    ...(acpiIndex !== undefined && { acpiIndex }),
    ...(bootOrder !== undefined && { bootOrder }),
  }
}

function diskDevice({ bus, pciAddress, bootOrder }: GuestDisk, alias: string): Device {
  return {
    kind: 'disk',
    alias,
    port: bus === 'virtio' ? 'needed' : 'none',
    ...(pciAddress !== undefined && { pciAddress }),
    ...(bootOrder !== undefined && { bootOrder }),
  }
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
