import { readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { Fault } from '#base/fault.ts'
import { eventually } from '#base/wait.ts'
import { passDriver } from '#core/pci/functions.ts'

/** What a device is bound to, and what it is to be bound to whatever its driver would be. */
export type Binding = Readonly<{ driver?: string; override?: string }>

/** How long a driver may take to take a device or to let go of it, milliseconds. */
const bindMs = 10_000

/** What the kernel calls no override. */
const none = '(null)'

/**
 * The drivers of PCI devices, by sysfs. Nothing is written that is so already, so each of these can be done again after it was cut
 * short anywhere.
 */
export class PciBindings {
  readonly #bus: string
  readonly #write: (path: string, text: string) => void

  /** `bus` is the folder of the bus in sysfs, and `write` writes one of its files. */
  constructor(bus = '/sys/bus/pci', write = (path: string, text: string) => writeFileSync(path, text)) {
    this.#bus = bus
    this.#write = write
  }

  /** The binding of a device; undefined when there is no such device. */
  read(address: string): Binding | undefined {
    const override = this.#textOf(address, 'driver_override')
    if (override === undefined) return undefined
    const driver = this.#driverOf(address)
    return { ...(driver !== undefined && { driver }), ...(override && override !== none && { override }) }
  }

  /** Binds a device to the driver that hands it to guests. @throws Fault NotFound, Unavailable */
  async pass(address: string): Promise<void> {
    await this.#set(address, { driver: passDriver, override: passDriver })
  }

  /** Binds a device to what it was bound to before. One that is gone needs nothing. @throws Fault Unavailable */
  async restore(address: string, before: Binding): Promise<void> {
    if (this.read(address)) await this.#set(address, before)
  }

  async #set(address: string, wanted: Binding): Promise<void> {
    const now = this.read(address)
    if (!now) throw new Fault('NotFound', `There is no PCI device ${address}`)
    if (now.driver !== wanted.driver) await this.#move(address, now.driver, wanted.driver)
    this.#override(address, wanted.override)
  }

  async #move(address: string, from: string | undefined, to: string | undefined): Promise<void> {
    // First, so that nothing else takes the device when it is free. It is said for any driver: a card whose VFs are not to be
    // probed by themselves (sriov_drivers_autoprobe) has them bound to nothing else.
    if (to !== undefined) this.#override(address, to)
    if (from !== undefined) this.#do(`take ${address} from ${from}`, `${this.#bus}/drivers/${from}/unbind`, address)
    // One that was bound to nothing is left so, although its driver may be there.
    if (to === undefined) return
    this.#do(`give ${address} to ${to}`, `${this.#bus}/drivers_probe`, address)
    await eventually(`${to} takes ${address}`, () => this.#driverOf(address) === to, {
      deadlineMs: bindMs,
    }).catch((cause: unknown) => {
      const remedy = to === passDriver ? ': load the kernel module vfio-pci, and switch the IOMMU on' : ''
      throw new Fault('Unavailable', `The driver ${to} does not take ${address}${remedy}`, { cause })
    })
  }

  #override(address: string, driver: string | undefined): void {
    if (this.read(address)?.override === driver) return
    const file = `${this.#bus}/devices/${address}/driver_override`
    this.#do(`set driver_override of ${address}`, file, `${driver ?? ''}\n`)
  }

  #do(what: string, path: string, text: string): void {
    try {
      this.#write(path, text)
    } catch (cause) {
      throw new Fault('Unavailable', `Cannot ${what}`, { cause })
    }
  }

  #driverOf(address: string): string | undefined {
    try {
      return basename(readlinkSync(`${this.#bus}/devices/${address}/driver`))
    } catch {
      return undefined
    }
  }

  #textOf(address: string, name: string): string | undefined {
    try {
      return readFileSync(`${this.#bus}/devices/${address}/${name}`, 'utf8').trim()
    } catch {
      return undefined
    }
  }
}
