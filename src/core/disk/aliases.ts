import { aliasOf } from '../nic/names.ts'
import type { DesiredNic } from '../nic/nic.ts'
import type { ObservedDisk } from '../ports.ts'
import { diskAlias } from '../vm/devices.ts'

type Nics = readonly Pick<DesiredNic, 'name'>[]

/**
 * The alias of a disk in a guest. One that it has keeps its alias when an interface of that name comes later or leaves. `names` are
 * those of all disks of the guest.
 */
export function aliasIn(observed: readonly ObservedDisk[], name: string, names: readonly string[], nics: Nics): string {
  const usual = diskAlias(name, nics)
  const others = new Set(names.filter((one) => one !== name).map((one) => diskAlias(one, nics)))
  const possible = [usual, aliasOf(name), aliasOf(`disk-${name}`)].filter((alias) => !others.has(alias))
  return possible.find((alias) => observed.some((one) => one.alias === alias)) ?? usual
}
