import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { type DiskFile, type DomainDisk, fileOf, guestDisks } from '../disk/disk.ts'
import { desiredNics } from '../nic/desired.ts'
import type { DesiredNic } from '../nic/nic.ts'
import type { ObservedDisk } from '../ports.ts'
import { pausedAnnotation } from './actions.ts'
import { cpuTopology } from './cpu.ts'
import { assignSlots, type Device, devicesOf, diskAlias, portsTaken, type Slots } from './devices.ts'
import { type Hardware, hardwareOf } from './hardware.ts'
import { memoryOf } from './memory.ts'
import { extraPorts, hotplugPorts, interfaceCount } from './pci.ts'

/** Everything that a hypervisor needs to start a guest. */
export type DomainSpec = Readonly<{
  name: string
  uuid: string
  /** The guest starts with its CPUs stopped. */
  isPaused: boolean
  memoryKiB: number
  sockets: number
  cores: number
  threads: number
  /** The kernel that the guest boots from; undefined: its firmware boots from a device. */
  kernel: KernelBoot | undefined
  hardware: Hardware
  nics: readonly DesiredNic[]
  disks: readonly DomainDisk[]
  /** All devices, including those of `nics` and `disks`, and their addresses. */
  devices: readonly Device[]
  slots: Slots
}>

/** A kernel and its initrd, by their paths in an image. */
export type KernelBoot = Readonly<{ image: string; kernelPath: string; initrdPath: string | undefined; args: string }>

/** Name of an instance's domain. Other tools rely on it. */
export function domainName(namespace: string, name: string): string {
  return `${namespace}_${name}`
}

/** UUID of an instance's domain. */
export function domainUuid({ spec, metadata }: VirtualMachineInstance): string {
  return (spec.domain.firmware?.uuid ?? metadata.uid ?? '').toLowerCase()
}

/**
 * The domain of an instance, or a sentence for its owner about why it cannot be started. `files` are those of its disks, by name:
 * an empty CD-ROM has none.
 */
export function domainSpec(
  vmi: VirtualMachineInstance,
  files: ReadonlyMap<string, DiskFile> = new Map(),
): DomainSpec | { problem: string } {
  const { spec, metadata } = vmi
  const kernel = kernelOf(vmi)
  const guests = guestDisks(spec).map(({ disk }) => disk)
  const nics = desiredNics(spec, metadata.namespace ?? 'default')
  const canBoot = kernel || guests.length > 0 || nics.some(({ bootOrder }) => bootOrder !== undefined)
  if (!canBoot)
    return {
      problem:
        'there is nothing to boot: give the VM a volume with an operating system, such as a containerDisk, or set spec.domain.firmware.kernelBoot.container.image to an image made by "patchbay image import"',
    }
  const { wanted, bytes } = memoryOf(spec)
  if (bytes === undefined || bytes < 2 ** 20)
    return { problem: `memory "${wanted}" is no usable quantity; write for example 256Mi` }
  const hotplug = hotplugPorts(interfaceCount(spec), metadata.annotations)
  if (typeof hotplug !== 'number') return hotplug
  const hardware = hardwareOf(vmi)
  const devices = devicesOf(nics, guests, hardware)
  const extra = extraPorts(bytes, portsTaken(devices), hotplug, metadata.annotations)
  const slots = assignSlots(devices, { hotplugPorts: hotplug, extra })
  if ('problem' in slots) return slots
  return {
    name: domainName(metadata.namespace ?? 'default', metadata.name),
    uuid: domainUuid(vmi),
    isPaused: spec.startStrategy === 'Paused' || metadata.annotations?.[pausedAnnotation] === 'true',
    memoryKiB: Math.ceil(bytes / 1024),
    ...cpuTopology(spec),
    kernel,
    hardware,
    nics,
    disks: guests.map((disk) => ({ ...disk, file: files.get(disk.name) })),
    devices,
    slots,
  }
}

function kernelOf({ spec }: VirtualMachineInstance): KernelBoot | undefined {
  const { container, kernelArgs } = spec.domain.firmware?.kernelBoot ?? {}
  if (container?.image === undefined) return undefined
  return {
    image: container.image,
    kernelPath: container.kernelPath ?? '/vmlinuz',
    initrdPath: container.initrdPath ?? '/initrd.img',
    args: kernelArgs ?? 'console=ttyS0',
  }
}

/** The disks of a domain by alias, as a hypervisor reports them. */
export function disksIn({ disks, nics }: Pick<DomainSpec, 'disks' | 'nics'>): ObservedDisk[] {
  return disks.map((disk) => ({
    alias: diskAlias(disk.name, nics),
    target: disk.target,
    ...(disk.file && { file: fileOf(disk).file }),
  }))
}
