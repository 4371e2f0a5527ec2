import type { Disk, Volume } from '#apis/kubevirt/disk.ts'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { type FieldError, invalidValue } from '#apis/meta/object.ts'
import { sameJson } from '#base/json.ts'
import { isHotpluggable, isPluggableDisk } from '../disk/hotplug.ts'
import { disksOf } from '../vm/live-volumes.ts'
import { diskErrors } from './disks.ts'

/**
 * The errors of an instance whose volumes change while it exists, in KubeVirt's words (facts/disks.md §A6): only volumes come and
 * leave that can be plugged, and the media of CD-ROMs.
 */
export function changedVolumeErrors(now: VmiSpec, old: VmiSpec): FieldError[] {
  const [volumes, before] = [now.volumes ?? [], old.volumes ?? []]
  if (sameJson(volumes, before) && sameJson(disksOf(now), disksOf(old))) return []
  const permanent = (list: readonly Volume[]) => list.filter((one) => !isHotpluggable(one))
  const at = 'spec.volumes'
  const errors: FieldError[] = []
  const bad = (message: string) => errors.push(invalidValue(at, message))
  const kept = new Map(permanent(before).map((one) => [one.name, one]))
  const known = new Map(before.map((one) => [one.name, one]))
  const isDrive = (name: string) => disksOf(now).some((one) => one.name === name && one.cdrom)
  for (const one of volumes) {
    if (isHotpluggable(one) || kept.has(one.name)) continue
    if (!one.persistentVolumeClaim && !one.dataVolume) bad(`volume ${one.name} is not a PVC or DataVolume`)
  }
  if (!errors.length && permanent(volumes).length !== kept.size) bad('Number of permanent volumes has changed')
  for (const one of volumes) {
    const was = known.get(one.name)
    if (!was || sameJson(one, was)) continue
    if (!isHotpluggable(was)) bad(`permanent volume ${one.name}, changed`)
    else if (!isDrive(one.name)) bad(`hotplug volume ${one.name}, changed`)
  }
  const names = new Set(volumes.map(({ name }) => name))
  return [...errors, ...changedDiskErrors(now, old, { names, isLate: (name) => isLate(known.get(name)) })]
}

function isLate(one: Volume | undefined): boolean {
  return one !== undefined && isHotpluggable(one)
}

function changedDiskErrors(
  now: VmiSpec,
  old: VmiSpec,
  { names, isLate }: Readonly<{ names: ReadonlySet<string>; isLate: (name: string) => boolean }>,
): FieldError[] {
  const errors: FieldError[] = []
  const at = 'spec.domain.devices.disks'
  const bad = (message: string) => errors.push(invalidValue(at, message))
  const disks = new Map(disksOf(now).map((one) => [one.name, one]))
  const before = new Map(disksOf(old).map((one) => [one.name, one]))
  const isPermanent = ({ name, cdrom }: Disk) => cdrom !== undefined || !isLate(name)
  for (const was of before.values()) {
    const one = disks.get(was.name)
    if (isPermanent(was) ? !sameJson(was, one) : one && !sameJson(was, one))
      bad(`${isPermanent(was) ? 'permanent' : 'hotplug'} disk ${was.name}, changed`)
  }
  for (const one of disks.values()) {
    if (before.has(one.name)) continue
    if (names.has(one.name) && !isPluggableDisk(one))
      bad(`hotplugged Disk ${one.name} does not use a scsi or virtio bus`)
  }
  return errors.length ? errors : diskErrors(now, 'spec')
}
