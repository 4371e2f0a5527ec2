import { Fault, faultKind } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import type { VirtualFunction } from '#core/pci/functions.ts'
import { wantedSettings } from '#core/pci/request.ts'
import { freeFunction, type TakenFunction } from '#core/pci/taken.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import { PciBindings } from './binding.ts'
import { listFunctions } from './functions.ts'
import { type DevicePlace, hostNodes, type VfioNodes } from './nodes.ts'
import { VfSettingsDriver } from './settings.ts'

/** The VFs in the records of sandboxes. */
export interface DeviceRecords {
  devicesOf(uid: string): Promise<readonly TakenFunction[]>
  /** Replaces those of a sandbox; on disk when it resolves. */
  writeDevices(uid: string, devices: readonly TakenFunction[]): Promise<void>
  /** Those of all sandboxes. */
  allDevices(): Promise<readonly TakenFunction[]>
}

type Options = Readonly<{
  records: DeviceRecords
  log: Log
  functions?: () => readonly VirtualFunction[]
  bindings?: PciBindings
  settings?: VfSettingsDriver
  nodes?: VfioNodes
}>

/** The VFs that interfaces got, by the name of the interface: PCI addresses, or why one got none. */
type Taken = Readonly<{ devices: ReadonlyMap<string, string>; failed: ReadonlyMap<string, unknown> }>

/**
 * Gives VFs of this host to sandboxes. What a VF was before is in the record of its sandbox before the first effect on it, and
 * every step looks first, so that each can be repeated after a crash anywhere.
 */
export class SandboxDevices {
  readonly #records: DeviceRecords
  readonly #log: Log
  readonly #functions: () => readonly VirtualFunction[]
  readonly #bindings: PciBindings
  readonly #settings: VfSettingsDriver
  readonly #nodes: VfioNodes
  #turn: Promise<unknown> = Promise.resolve()

  constructor({ records, log, functions = listFunctions, bindings, settings, nodes = hostNodes }: Options) {
    this.#records = records
    this.#log = log
    this.#functions = functions
    this.#bindings = bindings ?? new PciBindings()
    this.#settings = settings ?? new VfSettingsDriver()
    this.#nodes = nodes
  }

  /**
   * Takes a VF for each interface that has none yet. A failure of an `optional` one is reported, that of any other fails the whole.
   * @throws Fault Invalid, Unavailable
   */
  async take(
    place: DevicePlace,
    attachments: readonly Attachment[],
    optional: ReadonlySet<string>,
    signal: AbortSignal,
  ): Promise<Taken> {
    const devices = new Map<string, string>()
    const failed = new Map<string, unknown>()
    for (const attachment of attachments)
      try {
        const own =
          (await this.#find(place.uid, attachment.name)) ?? (await this.#takeOne(place.uid, attachment, signal))
        // One that a running guest has is left alone.
        if (!optional.has(attachment.name)) await this.#prepare(place, own)
        devices.set(attachment.name, own.address)
      } catch (error) {
        if (!optional.has(attachment.name) || faultKind(error) === 'Aborted') throw error
        failed.set(attachment.name, error)
      }
    return { devices, failed }
  }

  /** Makes the VF of an interface ready for the guest, who gets it next; resolves to its PCI address. @throws Fault Unavailable */
  async ready(place: DevicePlace, name: string, signal: AbortSignal): Promise<string> {
    const own = await this.#find(place.uid, name)
    if (!own) throw new Fault('Unavailable', `The sandbox has no device for interface ${name}`)
    await this.#prepare(place, own)
    // Last: until then another sandbox on this card may have the guest's MAC address.
    await this.#settings.apply(this.#present(own), own.settings, own.before.settings, signal)
    return own.address
  }

  /** Takes back the settings of a VF that the guest does not have for now: at a migration its MAC address goes along. */
  async idle(uid: string, name: string, signal: AbortSignal): Promise<void> {
    const own = await this.#find(uid, name)
    const vf = own && this.#functions().find(({ address }) => address === own.address)
    if (vf) await this.#settings.restore(vf, own.settings, own.before.settings, signal)
  }

  /** Gives VFs back as they were before: those of some interfaces, or all. No guest may have them any more. @throws Fault Unavailable */
  async release(place: DevicePlace, names: readonly string[] | undefined, signal: AbortSignal): Promise<void> {
    const { uid } = place
    const all = await this.#records.devicesOf(uid)
    let kept = all
    for (const one of all.filter(({ name }) => names?.includes(name) ?? true)) {
      this.#log.info({ uid, interface: one.name, device: one.address }, 'Giving a virtual function back')
      await this.idle(uid, one.name, signal)
      const { driver, override } = one.before
      await this.#bindings.restore(one.address, {
        ...(driver !== undefined && { driver }),
        ...(override !== undefined && { override }),
      })
      kept = kept.filter((other) => other !== one)
      await this.#dropNodes(place, kept)
      await this.#records.writeDevices(uid, kept)
    }
  }

  /** The VFs that sandboxes have: the resource that each was taken for, by its address. */
  async taken(): Promise<ReadonlyMap<string, string>> {
    return new Map((await this.#records.allDevices()).map(({ address, resource }) => [address, resource]))
  }

  async #find(uid: string, name: string): Promise<TakenFunction | undefined> {
    return (await this.#records.devicesOf(uid)).find((one) => one.name === name)
  }

  /** Chooses a VF and records it; one interface after the other, so that no two choose the same. */
  #takeOne(uid: string, { name, mac, pool, config, problem }: Attachment, signal: AbortSignal): Promise<TakenFunction> {
    return this.#inTurn(async () => {
      if (!pool || config === undefined)
        throw new Fault('Invalid', problem ?? `Interface "${name}" has no network that a device can be on`)
      const { settings, errors } = wantedSettings(config, mac)
      if (errors.length) throw new Fault('Invalid', `The network of interface "${name}": ${errors.join('; ')}`)
      const { resource } = pool
      const address = freeFunction(pool, new Set((await this.taken()).keys()))
      const vf = this.#functions().find((one) => one.address === address)
      if (address === undefined || !vf)
        throw new Fault('Unavailable', `This node has no free ${resource} for interface "${name}"`)
      const before = { settings: await this.#settings.read(vf, signal), ...this.#bindings.read(address) }
      const own = { name, resource, address, settings, before }
      await this.#records.writeDevices(uid, [...(await this.#records.devicesOf(uid)), own])
      this.#log.info({ uid, interface: name, device: address }, 'Taking a virtual function')
      return own
    })
  }

  #present({ address, name }: TakenFunction): VirtualFunction {
    const vf = this.#functions().find((one) => one.address === address)
    if (vf) return vf
    throw new Fault('Unavailable', `The device ${address} of interface "${name}" is gone from the host`)
  }

  /** Binds a VF to the driver for guests, and lets its guest open its group. */
  async #prepare(place: DevicePlace, own: TakenFunction): Promise<void> {
    const { group } = this.#present(own)
    if (!group) throw new Fault('Unavailable', `The device ${own.address} is in no IOMMU group any more`)
    await this.#bindings.pass(own.address)
    await this.#nodes.make(place, group.id)
  }

  async #dropNodes(place: DevicePlace, kept: readonly TakenFunction[]): Promise<void> {
    const groups = new Map(this.#functions().map(({ address, group }) => [address, group?.id]))
    await this.#nodes.keep(
      place,
      kept.flatMap(({ address }) => groups.get(address) ?? []),
    )
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work, work)
    this.#turn = mine.catch(() => undefined)
    return mine
  }
}
