import type { ObservedDisk } from '../ports.ts'
import { claimOfFile, type DiskFile, type DomainDisk, type GuestDisk } from './disk.ts'
import { lettersOf } from './letters.ts'

/** A disk that a running guest is to have. `claim` and `file` are those of its volume as far as they are known and may be used. */
export type WantedDisk = Readonly<{
  disk: GuestDisk
  alias: string
  hasVolume: boolean
  /** Its volume may come and leave while the guest runs. */
  isHotpluggable: boolean
  claim?: string | undefined
  file?: DiskFile | undefined
}>

/**
 * One effect on the disks of a running guest. `detach` only asks the guest; `insert` and `eject` change the medium of a CD-ROM.
 */
export type DiskStep = Readonly<
  | { do: 'attach' | 'insert' | 'eject'; name: string; alias: string; disk: DomainDisk }
  | { do: 'detach'; name: string; alias: string }
>

/**
 * Plans the changes of a running guest's disks; it has no effects. A disk is identified by its alias, and what is in it by the file
 * of its claim: a volume that names another claim leaves before it comes again. Only what is made of claims is ever taken away.
 */
export function planDisks(wanted: readonly WantedDisk[], observed: readonly ObservedDisk[]): readonly DiskStep[] {
  const there = new Map(observed.map((one) => [one.alias, one]))
  const aliases = new Set(wanted.map(({ alias }) => alias))
  const targets = new Set(observed.map(({ target }) => target))
  const leaving = observed.flatMap((one): DiskStep[] =>
    aliases.has(one.alias) || claimOfFile(one.file) === undefined
      ? []
      : [{ do: 'detach', name: nameOf(one.alias), alias: one.alias }],
  )
  // A claim that another disk of the guest is still made of comes when that has left.
  const used = new Set(observed.flatMap(({ file }) => claimOfFile(file) ?? []))
  const steps = wanted.flatMap((given): DiskStep[] => {
    const { disk, alias } = given
    const one = given.claim !== undefined && used.has(given.claim) ? { ...given, file: undefined } : given
    const now = there.get(alias)
    if (now) return changesOf(one, now)
    if (disk.device === 'cdrom' || !one.isHotpluggable || !one.file) return []
    const target = freeTarget(disk.target, targets)
    targets.add(target)
    return [{ do: 'attach', name: disk.name, alias, disk: { ...disk, target, file: one.file } }]
  })
  return [...leaving, ...steps].toSorted((a, b) => order.indexOf(a.do) - order.indexOf(b.do))
}

/** What leaves goes first: it frees ports, and claims for others. */
const order: readonly DiskStep['do'][] = ['detach', 'eject', 'insert', 'attach']

/** The changes of a disk that the guest has. */
function changesOf({ disk, alias, hasVolume, isHotpluggable, claim, file }: WantedDisk, now: ObservedDisk): DiskStep[] {
  const { name } = disk
  const has = claimOfFile(now.file)
  const isOther = isHotpluggable && claim !== undefined && has !== undefined && has !== claim
  if (disk.device !== 'cdrom') return isOther ? [{ do: 'detach', name, alias }] : []
  const drive = { ...disk, target: now.target }
  if (has !== undefined && (!hasVolume || isOther))
    return [{ do: 'eject', name, alias, disk: { ...drive, file: undefined } }]
  if (now.file !== undefined || !isHotpluggable || !file) return []
  return [{ do: 'insert', name, alias, disk: { ...drive, file } }]
}

/** The name of a disk that a spec has no more. */
export function nameOf(alias: string): string {
  return alias.replace(/^ua-/, '')
}

/** The first name of a disk that the guest does not use, of those with the same prefix; the given one if that is free. */
function freeTarget(target: string, taken: ReadonlySet<string>): string {
  if (!taken.has(target)) return target
  const prefix = target.slice(0, 2)
  for (let index = 0; ; index++) {
    const one = `${prefix}${lettersOf(index)}`
    if (!taken.has(one)) return one
  }
}
