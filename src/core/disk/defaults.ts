import type { Disk, Volume } from '#apis/kubevirt/disk.ts'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { isObject } from '#base/json.ts'
import { isDiskVolume } from './disk.ts'

/**
 * The pull policy of an image without one (KubeVirt): it is asked for again unless it has a tag or a digest. A registry with a port
 * counts as a tag, in KubeVirt too.
 */
function pullPolicyOf(image: string): string {
  return image.endsWith(':latest') || !/[:@]/.test(image) ? 'Always' : 'IfNotPresent'
}

/**
 * Adds what KubeVirt stores at admission (facts/disks.md §A2): a disk for each volume without one, the bus of disks, and the pull
 * policy of images. This runs before validation: what has another shape is left for validation to refuse.
 */
export function withDiskDefaults(given: VmiSpec): VmiSpec {
  const spec = withDisksOfVolumes(given)
  const { volumes } = spec
  const { disks } = spec.domain.devices
  if (!areObjects(volumes ?? []) || !areObjects(disks ?? []) || !(volumes ?? disks)) return spec
  return {
    ...spec,
    domain: { ...spec.domain, devices: { ...spec.domain.devices, ...(disks && { disks: disks.map(withBus) }) } },
    ...(volumes && { volumes: volumes.map(withPullPolicy) }),
  }
}

/** Adds a disk for each volume without one. */
export function withDisksOfVolumes(spec: VmiSpec): VmiSpec {
  const { volumes = [] } = spec
  const { disks = [] } = spec.domain.devices
  if (!areObjects(volumes) || !areObjects(disks)) return spec
  const named = new Set([...disks, ...filesystemsOf(spec)].map(({ name }) => name))
  const added = volumes.filter((one) => !named.has(one.name) && isDiskVolume(one)).map(({ name }): Disk => ({ name }))
  if (!added.length) return spec
  const devices = { ...spec.domain.devices, disks: [...disks, ...added] }
  return { ...spec, domain: { ...spec.domain, devices } }
}

function areObjects(value: unknown): boolean {
  return Array.isArray(value) && value.every((one) => isObject(one))
}

function filesystemsOf({ domain }: VmiSpec): readonly Readonly<{ name?: unknown }>[] {
  const { filesystems } = domain.devices
  return Array.isArray(filesystems) ? filesystems.filter((one) => isObject(one)) : []
}

function withBus(one: Disk): Disk {
  const bus = 'sata'
  if (isObject(one.disk) && one.disk.bus === undefined) return { ...one, disk: { bus, ...one.disk } }
  if (isObject(one.cdrom) && one.cdrom.bus === undefined) return { ...one, cdrom: { bus, ...one.cdrom } }
  return one
}

function withPullPolicy(one: Volume): Volume {
  const { containerDisk } = one
  if (!isObject(containerDisk) || containerDisk.imagePullPolicy || typeof containerDisk.image !== 'string') return one
  return { ...one, containerDisk: { ...containerDisk, imagePullPolicy: pullPolicyOf(containerDisk.image) } }
}
