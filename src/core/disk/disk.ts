import type { Disk, DiskBus, Volume } from '#apis/kubevirt/disk.ts'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { lettersOf } from './letters.ts'

/**
 * A disk as a guest has it: what a disk and its volume in a spec are reduced to, so that all other code sees one shape with
 * defaults and synonyms resolved.
 */
export type GuestDisk = Readonly<{
  name: string
  device: 'disk' | 'cdrom'
  bus: DiskBus
  /** Name of the device in libvirt: vda, sda. Disks on sata, scsi and usb share the prefix (KubeVirt). */
  target: string
  isReadOnly: boolean
  isShareable: boolean
  isTrayOpen: boolean
  serial?: string
  bootOrder?: number
  pciAddress?: string
  /** Absent: chosen by what the file supports. */
  cache?: string
  io?: string
  errorPolicy: string
  blockSize?: Readonly<{ logical: number; physical: number }>
  tag?: string
}>

/** The file behind a disk, with all that making it needs. */
export type DiskFile = Readonly<
  /** What a guest writes goes into a file of its own, over an image that is never changed. */
  | { is: 'overlay'; digest: string; format: 'qcow2' | 'raw'; bytes: number }
  /** An ISO 9660 image of these files, by path. */
  | { is: 'iso'; label: string; files: ReadonlyMap<string, Uint8Array> }
  | { is: 'empty'; bytes: number }
  /** A file of the host. `createBytes`: it is made with this size when it does not exist. */
  | { is: 'host'; path: string; createBytes?: number }
  /** The disk of a claim. `isOverlaid`: what the guest writes is dropped with it. */
  | { is: 'claim'; uid: string; bytes: number; isOverlaid: boolean }
>

/** A disk with its file; a CD-ROM may have none. */
export type DomainDisk = GuestDisk & Readonly<{ file: DiskFile | undefined }>

/** The folder of disks in every sandbox: the same path, so that a domain's XML is valid on every host. */
export const disksInSandbox = '/run/disks'

/** The name of a disk's file in that folder, and its format. */
export function fileOf({
  name,
  file,
}: Pick<DomainDisk, 'name' | 'file'>): Readonly<{ file: string; format: 'qcow2' | 'raw' }> {
  const format =
    file?.is === 'overlay' || file?.is === 'empty' || (file?.is === 'claim' && file.isOverlaid) ? 'qcow2' : 'raw'
  // By its name it is known whose disk the guest has.
  if (file?.is === 'claim' && !file.isOverlaid) return { file: `${file.uid}.img`, format }
  const ending = file?.is === 'iso' ? 'iso' : format === 'raw' ? 'img' : format
  return { file: `${name}.${ending}`, format }
}

/** The UID of the claim that a file in that folder is the disk of; undefined for any other file. */
export function claimOfFile(file: string | undefined): string | undefined {
  return /^([\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12})\.img$/.exec(file ?? '')?.[1]
}

/** Whether a volume is one that a guest's disk is made of; others are known and not carried out. */
export function isDiskVolume({
  name: _,
  downwardMetrics: _metrics,
  memoryDump: _dump,
  serviceAccount: _account,
  ...sources
}: Volume): boolean {
  return Object.keys(sources).length > 0
}

/** The bus of a disk (facts/disks.md §A2). */
export function busOf({ disk, cdrom }: Disk): DiskBus {
  return ((disk ?? cdrom)?.bus ?? 'sata') as DiskBus
}

/** A spec's disks in their order, with the volume of each if there is one. */
export function guestDisks(spec: VmiSpec): readonly Readonly<{ disk: GuestDisk; volume: Volume | undefined }>[] {
  const volumes = new Map((spec.volumes ?? []).map((volume) => [volume.name, volume]))
  const counts = { vd: 0, sd: 0 }
  return (spec.domain.devices.disks ?? []).flatMap((one) => {
    const volume = volumes.get(one.name)
    if (volume && !isDiskVolume(volume)) return []
    const prefix = busOf(one) === 'virtio' ? 'vd' : 'sd'
    const target = `${prefix}${lettersOf(counts[prefix]++)}`
    return [{ disk: guestDisk(one, target, volume), volume }]
  })
}

function guestDisk(one: Disk, target: string, volume: Volume | undefined): GuestDisk {
  const { name, disk, cdrom, serial, bootOrder, cache, io, errorPolicy = 'stop', blockSize, shareable, tag } = one
  const custom = blockSize?.custom
  return {
    name,
    device: cdrom ? 'cdrom' : 'disk',
    bus: busOf(one),
    target,
    isReadOnly: cdrom ? (cdrom.readonly ?? true) : (disk?.readonly ?? volume?.persistentVolumeClaim?.readOnly ?? false),
    isShareable: shareable ?? false,
    isTrayOpen: cdrom?.tray === 'open',
    ...(serial !== undefined && { serial }),
    ...(bootOrder !== undefined && { bootOrder }),
    ...(disk?.pciAddress !== undefined && { pciAddress: disk.pciAddress }),
    ...(cache !== undefined && { cache }),
    ...(io !== undefined && { io }),
    errorPolicy,
    ...(custom && { blockSize: { logical: custom.logical, physical: custom.physical } }),
    ...(tag !== undefined && { tag }),
  }
}
