import type { Disk, Volume } from '#apis/kubevirt/disk.ts'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { isObject } from '#base/json.ts'
import { isHotpluggable } from '../disk/hotplug.ts'
import { claimNameOf } from '../disk/sources.ts'
import { disksOf, withDisks } from './live-volumes.ts'

type Refused = Readonly<{ refuse: 'Conflict' | 'BadRequest'; text: string }>

/** A spec with changed volumes, or why the change is refused (facts/disks.md §A6). */
export type VolumeEdit = Readonly<{ spec: VmiSpec }> | Refused

/** A volume to plug, and its disk. */
export type NewVolume = Readonly<{ volume: Volume; disk: Disk }>

const conflict = (text: string): Refused => ({ refuse: 'Conflict', text })
const bad = (text: string): Refused => ({ refuse: 'BadRequest', text })

/** What AddVolumeOptions ask for: the volume is marked as one that can be plugged. The disk's other fields are judged at admission. */
export function newVolumeOf(options: Readonly<Record<string, unknown>>): NewVolume | Refused {
  const { name, disk, volumeSource } = options
  if (typeof name !== 'string' || !name) return bad('AddVolumeOptions requires name to be set')
  if (!isObject(disk)) return bad('AddVolumeOptions requires disk to not be nil')
  if (!isObject(volumeSource)) return bad('AddVolumeOptions requires VolumeSource to not be nil')
  const { persistentVolumeClaim, dataVolume } = volumeSource
  const hotpluggable = true
  const source = isObject(dataVolume)
    ? { dataVolume: { ...dataVolume, hotpluggable } }
    : isObject(persistentVolumeClaim) && { persistentVolumeClaim: { ...persistentVolumeClaim, hotpluggable } }
  if (!source || Object.keys(volumeSource).length !== 1)
    return bad('AddVolumeOptions requires VolumeSource to be a dataVolume or a persistentVolumeClaim')
  return { volume: { name, ...source } as unknown as Volume, disk: { ...withTarget(disk as Partial<Disk>), name } }
}

/** A disk that says nothing of its target is one on bus scsi (virtctl). */
function withTarget(given: Partial<Disk>): Partial<Disk> {
  if (given.lun || given.cdrom) return given
  return isObject(given.disk ?? {}) ? { ...given, disk: { bus: 'scsi', ...given.disk } } : given
}

/** The name of the volume that RemoveVolumeOptions ask for. */
export function nameToRemove({ name }: Readonly<Record<string, unknown>>): string | Refused {
  return typeof name === 'string' && name ? name : bad('RemoveVolumeOptions requires name to be set')
}

/** Adds a volume and its disk; into the empty drive of that name if there is one. */
export function withVolume(spec: VmiSpec, { volume, disk }: NewVolume): VolumeEdit {
  const volumes = spec.volumes ?? []
  const claim = claimNameOf(volume)
  if (volumes.some(({ name }) => name === volume.name))
    return conflict(`Unable to add volume [${volume.name}] because volume with that name already exists`)
  if (claim !== undefined && volumes.some((one) => claimNameOf(one) === claim))
    return conflict(`Unable to add volume source [${claim}] because it already exists`)
  const disks = disksOf(spec)
  const hasDrive = disks.some(({ name, cdrom }) => name === volume.name && cdrom)
  return { spec: withDisks(spec, hasDrive ? disks : [...disks, disk], [...volumes, volume]) }
}

/** Removes a volume and its disk; the drive of a CD-ROM stays. */
export function withoutVolume(spec: VmiSpec, name: string): VolumeEdit {
  const volumes = spec.volumes ?? []
  const there = volumes.find((one) => one.name === name)
  if (!there) return conflict(`Unable to remove volume [${name}] because it does not exist`)
  if (!isHotpluggable(there)) return conflict(`Unable to remove volume [${name}] because it is not hotpluggable`)
  return {
    spec: withDisks(
      spec,
      disksOf(spec).filter((one) => one.cdrom || one.name !== name),
      volumes.filter((one) => one !== there),
    ),
  }
}
