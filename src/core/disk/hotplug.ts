import type { Disk, Volume } from '#apis/kubevirt/disk.ts'
import type { VmiSpec, VmiStatus } from '#apis/kubevirt/vmi.ts'
import { busOf } from './disk.ts'
import { claimNameOf } from './sources.ts'

type VolumeStatus = NonNullable<NonNullable<VmiStatus['volumeStatus']>[number]>

/** Whether a volume may come to a running guest and leave it. */
export function isHotpluggable({ persistentVolumeClaim, dataVolume }: Volume): boolean {
  return (persistentVolumeClaim?.hotpluggable ?? dataVolume?.hotpluggable) === true
}

/** Whether a disk can be plugged into a running guest. */
export function isPluggableDisk(one: Disk): boolean {
  const bus = busOf(one)
  return !one.cdrom && !one.lun && (bus === 'scsi' || bus === 'virtio')
}

/** The parts of a spec that its guest starts with whether their volumes are ready or not: without volumes that can be plugged later. */
export function withoutHotpluggable(spec: VmiSpec, isKept: (name: string) => boolean = () => false): VmiSpec {
  const { volumes = [] } = spec
  const late = new Set(volumes.filter((one) => isHotpluggable(one) && !isKept(one.name)).map(({ name }) => name))
  if (!late.size) return spec
  const { devices } = spec.domain
  // The drive of a CD-ROM stays, empty.
  const disks = devices.disks?.filter(({ name, cdrom }) => cdrom || !late.has(name))
  return {
    ...spec,
    domain: { ...spec.domain, devices: { ...devices, ...(disks && { disks }) } },
    volumes: volumes.filter(({ name }) => !late.has(name)),
  }
}

/** The volumes of hot plugged disks that a guest has according to its status. */
export function pluggedVolumes(status: VmiStatus | undefined): readonly VolumeStatus[] {
  return (status?.volumeStatus ?? []).filter((one) => one.hotplugVolume && (one.target || one.phase === 'Detaching'))
}

/** The names of the claims that an instance uses, each once: those of its spec, and those that its guest has not released yet. */
export function claimsInUse({
  spec,
  status,
}: Readonly<{ spec: Pick<VmiSpec, 'volumes'>; status?: VmiStatus }>): string[] {
  const left = pluggedVolumes(status).flatMap((one) => one.persistentVolumeClaimInfo?.claimName ?? [])
  return [...new Set([...(spec.volumes ?? []).flatMap((one) => claimNameOf(one) ?? []), ...left])]
}
