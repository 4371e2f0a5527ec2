import type { VirtualMachineInstance, VmiStatus } from '#apis/kubevirt/vmi.ts'
import { desiredNics } from '../nic/desired.ts'
import type { ObservedDomain } from '../ports.ts'
import { aliasIn } from './aliases.ts'
import type { ClaimInfo } from './claims.ts'
import { guestDisks } from './disk.ts'
import { isHotpluggable } from './hotplug.ts'
import { nameOf } from './plan.ts'
import type { VolumeState } from './plug-source.ts'
import { claimNameOf } from './sources.ts'

type Statuses = NonNullable<VmiStatus['volumeStatus']>

/** The states of volumes that were plugged, are to be, or leave, by name, and what is known of their claims. */
export type VolumeStates = ReadonlyMap<string, VolumeState & Readonly<{ info?: ClaimInfo }>>

/**
 * `status.volumeStatus` of a running instance: the volumes of the disks that its guest has, with their names there (facts/disks.md
 * §A4), and those that come or leave. Undefined when there are none.
 */
export function volumeStatuses(
  { spec, metadata, status }: VirtualMachineInstance,
  { disks = [] }: Pick<ObservedDomain, 'disks'>,
  states: VolumeStates = new Map(),
): Statuses | undefined {
  const nics = desiredNics(spec, metadata.namespace ?? 'default')
  const own = guestDisks(spec)
  const names = own.map(({ disk }) => disk.name)
  const targets = new Map(disks.map(({ alias, target }) => [alias, target]))
  const before = new Map((status?.volumeStatus ?? []).map((one) => [one.name, one.persistentVolumeClaimInfo]))
  const infoOf = (name: string, claimName: string | undefined) => {
    const info = states.get(name)?.info ?? before.get(name)
    return claimName === undefined && !info
      ? {}
      : { persistentVolumeClaimInfo: { ...info, ...(claimName && { claimName }) } }
  }
  const stateOf = (name: string) => {
    const { info: _, ...state } = states.get(name) ?? {}
    return { ...state, hotplugVolume: {} }
  }
  const statuses = own.flatMap(({ disk, volume }): Statuses[number][] => {
    const { name } = disk
    const target = targets.get(aliasIn(disks, name, names, nics))
    const isLate = volume !== undefined && isHotpluggable(volume)
    // The medium that an empty drive is still to give out is a volume, too.
    if (!volume && !states.has(name)) return []
    if (target === undefined && !isLate) return []
    return [
      {
        name,
        target: target ?? '',
        ...infoOf(name, volume && claimNameOf(volume)),
        ...(volume?.containerDisk && { containerDiskVolume: {} }),
        ...((isLate || !volume) && stateOf(name)),
      },
    ]
  })
  const known = new Set(names)
  const leaving = disks.flatMap(({ alias, target }): Statuses[number][] => {
    const name = nameOf(alias)
    if (known.has(name) || !states.has(name)) return []
    return [{ name, target, ...infoOf(name, undefined), ...stateOf(name) }]
  })
  const all = [...statuses, ...leaving]
  return all.length ? all : undefined
}
