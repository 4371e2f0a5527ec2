import { Fault } from '#base/fault.ts'
import { fileOf } from '#core/disk/disk.ts'
import type { Disks, ObservedDisk } from '#core/ports.ts'

/** A disk of a simulated guest. */
export type SimDisk = ObservedDisk

type World = Readonly<{
  freePorts: () => number
  /** The files of disks that other guests have. */
  others: () => ReadonlySet<string>
  emit: () => void
}>

/** The disks of a simulated guest, with faults by their names: see SimSandboxes. */
export function simDisks(guest: { readonly disks: Map<string, SimDisk> }, { freePorts, others, emit }: World): Disks {
  return {
    async attach(disk, alias) {
      const { name, bus, target } = disk
      const { file } = fileOf(disk)
      if (guest.disks.has(alias)) return
      if (name.startsWith('stuck')) throw new Fault('Unavailable', `libvirt refused to attach ${alias}`)
      if (bus === 'virtio' && !freePorts())
        throw new Fault('Unavailable', `No more available PCI slots for disk ${name}`)
      if ([...guest.disks.values()].some((one) => one.target === target))
        throw new Fault('Invalid', `The guest has a disk ${target} already`)
      if (others().has(file) && !disk.isShareable)
        throw new Fault('Unavailable', `Another guest has the disk of volume ${name}`)
      guest.disks.set(alias, { alias, target, file })
      emit()
    },
    async detach(alias) {
      if (alias.startsWith('ua-sticky')) return
      guest.disks.delete(alias)
      emit()
    },
    async change(disk, alias) {
      const drive = guest.disks.get(alias)
      if (!drive) throw new Fault('Unavailable', `The guest has no drive ${disk.name}`)
      const { alias: _, target } = drive
      guest.disks.set(alias, { alias, target, ...(disk.file && { file: fileOf(disk).file }) })
      emit()
    },
    drop: async () => undefined,
  }
}
