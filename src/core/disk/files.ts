import type { Volume } from '#apis/kubevirt/disk.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { DiskImage } from '../ports.ts'
import { bytesOf } from '../vm/memory.ts'
import { type DiskFile, guestDisks } from './disk.ts'
import { claimReasons } from './readiness.ts'
import { seedOf } from './seed.ts'
import { claimNameOf, type SourceObjects } from './sources.ts'

/** Why the disks of a guest cannot be made, with the reason of the condition about it. */
type Problem = Readonly<{ reason: string; problem: string }>

/** Sizes of files are rounded to this, bytes (KubeVirt). */
const alignment = 2 ** 20

/** Reason of the condition of an instance whose volume names an object that does not exist (kubelet's Event). */
const failedMount = 'FailedMount'

/**
 * The file of each disk of an instance, by name. `images` are those of container disks, by volume.
 * @returns the first reason why one cannot be made, with a sentence for the owner
 */
export function diskFiles(
  vmi: VirtualMachineInstance,
  objects: SourceObjects,
  images: ReadonlyMap<string, DiskImage>,
): ReadonlyMap<string, DiskFile> | Problem {
  const files = new Map<string, DiskFile>()
  for (const { volume } of guestDisks(vmi.spec)) {
    if (!volume) continue
    const file = fileOfVolume(volume, vmi, { objects, images })
    if ('problem' in file) return file
    files.set(volume.name, file)
  }
  return files
}

function fileOfVolume(
  volume: Volume,
  vmi: VirtualMachineInstance,
  { objects, images }: Readonly<{ objects: SourceObjects; images: ReadonlyMap<string, DiskImage> }>,
): DiskFile | Problem {
  const { name, containerDisk, emptyDisk, hostDisk } = volume
  if (containerDisk) {
    const image = images.get(name)
    if (!image)
      return { reason: failedMount, problem: `the image ${containerDisk.image} of volume "${name}" is not here` }
    return { is: 'overlay', digest: image.digest, format: image.format, bytes: image.virtualBytes }
  }
  if (emptyDisk) return { is: 'empty', bytes: aligned(emptyDisk.capacity) }
  if (hostDisk) {
    const { path, type, capacity } = hostDisk
    return {
      is: 'host',
      path,
      ...(type === 'DiskOrCreate' && capacity !== undefined && { createBytes: aligned(capacity) }),
    }
  }
  const claimName = claimNameOf(volume)
  if (claimName !== undefined) return fileOfClaim(claimName, vmi, objects, volume.ephemeral !== undefined)
  const seed = seedOf(volume, vmi, objects)
  if (!seed) return { reason: failedMount, problem: `volume "${name}" has no content that a disk can be made of` }
  return 'problem' in seed ? { reason: failedMount, problem: `volume "${name}": ${seed.problem}` } : seed
}

function fileOfClaim(
  name: string,
  { metadata }: VirtualMachineInstance,
  { claim }: SourceObjects,
  isOverlaid: boolean,
): DiskFile | Problem {
  const found = claim(name)
  const at = `${metadata.namespace ?? 'default'}/${name}`
  if (!found) return { reason: claimReasons.missing, problem: `PVC ${at} does not exist, waiting for it to appear` }
  if (!found.isBound) return { reason: claimReasons.unbound, problem: `PVC ${at} is not bound, waiting for it to be` }
  if (!found.isPopulated)
    return {
      reason: claimReasons.provisioning,
      problem: `the disk of PVC ${at} has not got its content, waiting for it`,
    }
  return { is: 'claim', uid: found.uid, bytes: found.bytes, isOverlaid }
}

function aligned(size: string | number): number {
  return Math.ceil((bytesOf(size) ?? 0) / alignment) * alignment
}
