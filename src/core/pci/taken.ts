import type { VfSettings } from './settings.ts'

/** A VF that an interface of a guest has, as the record of its sandbox says: written before anything is done to it. */
export type TakenFunction = Readonly<{
  /** Name of the interface. */
  name: string
  /** The resource whose pool it was taken from: `PREFIX/NAME`. */
  resource: string
  /** Its PCI address. */
  address: string
  /** The settings that it has while the guest has it. */
  settings: VfSettings
  /** What it was before: the settings of its card, its driver, and the driver that it was meant for. */
  before: Readonly<{ settings: VfSettings; driver?: string; override?: string }>
}>

/** The pool of a resource as an interface needs it: the addresses of its VFs, in the order in which they are taken. */
export type DevicePool = Readonly<{ resource: string; addresses: readonly string[] }>

/** The VF for an interface: the first of the pool that no guest has; undefined when all are taken. */
export function freeFunction({ addresses }: DevicePool, taken: ReadonlySet<string>): string | undefined {
  return addresses.find((address) => !taken.has(address))
}
