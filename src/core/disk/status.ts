import type { VirtualMachineInstance, VmiStatus } from '#apis/kubevirt/vmi.ts'
import { desiredNics } from '../nic/desired.ts'
import type { ObservedDomain } from '../ports.ts'
import { diskAlias } from '../vm/devices.ts'
import { guestDisks } from './disk.ts'
import { claimNameOf } from './sources.ts'

/**
 * `status.volumeStatus` of a running instance: the volumes of the disks that its guest has, with their names there (facts/disks.md
 * §A4). Undefined when there are none.
 */
export function volumeStatuses(
  { spec, metadata, status }: VirtualMachineInstance,
  { disks = [] }: Pick<ObservedDomain, 'disks'>,
): VmiStatus['volumeStatus'] {
  const nics = desiredNics(spec, metadata.namespace ?? 'default')
  const targets = new Map(disks.map(({ alias, target }) => [alias, target]))
  const before = new Map((status?.volumeStatus ?? []).map((one) => [one.name, one.persistentVolumeClaimInfo]))
  const statuses = guestDisks(spec).flatMap(({ disk, volume }) => {
    const target = targets.get(diskAlias(disk.name, nics))
    if (!volume || target === undefined) return []
    const claimName = claimNameOf(volume)
    return [
      {
        name: disk.name,
        target,
        ...(claimName !== undefined && { persistentVolumeClaimInfo: { ...before.get(disk.name), claimName } }),
        ...(volume.containerDisk && { containerDiskVolume: {} }),
      },
    ]
  })
  return statuses.length ? statuses : undefined
}
