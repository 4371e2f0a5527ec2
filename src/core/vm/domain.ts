import type { VirtualMachineInstance, VmiSpec } from '#apis/kubevirt/vmi.ts'
import { parseQuantity } from '#apis/meta/quantity.ts'
import { desiredNics } from '../nic/desired.ts'
import type { DesiredNic } from '../nic/nic.ts'
import { pausedAnnotation } from './actions.ts'
import { assignSlots, type Device, devicesOf, portsTaken, type Slots } from './devices.ts'
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
  boot: Boot
  nics: readonly DesiredNic[]
  /** All devices, including those of `nics`, and their addresses. */
  devices: readonly Device[]
  slots: Slots
}>

/** What a guest boots from: a kernel of an image, or the device with an alias (not supported by any driver yet). */
type Boot = Readonly<{ kernel: KernelBoot } | { disk: Readonly<{ alias: string }> }>

/** A kernel and its initrd, by their paths in an image. */
export type KernelBoot = Readonly<{ image: string; kernelPath: string; initrdPath: string | undefined; args: string }>

/** Memory of a guest whose spec has none (as in KubeVirt's own examples). */
const defaultMemory = '128Mi'

/** A Kubernetes quantity in bytes; undefined for any other value. */
export function bytesOf(quantity: string | number | undefined): number | undefined {
  const milli = parseQuantity(quantity)?.milli
  return milli === undefined || milli < 0n ? undefined : Math.round(Number(milli) / 1000)
}

/** Name of an instance's domain. Other tools rely on it. */
export function domainName(namespace: string, name: string): string {
  return `${namespace}_${name}`
}

/** UUID of an instance's domain. */
export function domainUuid({ spec, metadata }: VirtualMachineInstance): string {
  return (spec.domain.firmware?.uuid ?? metadata.uid ?? '').toLowerCase()
}

/** The memory of a guest, as its owner wrote it and in bytes; undefined when that is no quantity. */
export function memoryOf(spec: VmiSpec): Readonly<{ wanted: string | number; bytes: number | undefined }> {
  const { memory, resources } = spec.domain
  const wanted = memory?.guest ?? resources?.requests?.memory ?? resources?.limits?.memory ?? defaultMemory
  return { wanted, bytes: bytesOf(wanted) }
}

/** Memory of a guest's processes beside the guest's own, bytes: QEMU with its devices, libvirtd and the DHCP server. */
const overheadBytes = 96 * 2 ** 20
/** Bytes of guest memory that need one byte of page tables (KubeVirt). */
const bytesPerTableByte = 512

/** The memory that a guest with so much of its own uses on its host, bytes. */
export function footprintOf(guestBytes: number): number {
  return guestBytes + Math.ceil(guestBytes / bytesPerTableByte) + overheadBytes
}

/** The domain of an instance, or a sentence for its owner about why it cannot be started. */
export function domainSpec(vmi: VirtualMachineInstance): DomainSpec | { problem: string } {
  const { spec, metadata } = vmi
  const boot = spec.domain.firmware?.kernelBoot
  const image = boot?.container?.image
  if (boot === undefined || image === undefined)
    return {
      problem:
        'there is nothing to boot: set spec.domain.firmware.kernelBoot.container.image to an image made by "patchbay image import" (disks arrive in a later version)',
    }
  const { cpu } = spec.domain
  const { wanted, bytes } = memoryOf(spec)
  if (bytes === undefined || bytes < 2 ** 20)
    return { problem: `memory "${wanted}" is no usable quantity; write for example 256Mi` }
  const namespace = metadata.namespace ?? 'default'
  const hotplug = hotplugPorts(interfaceCount(spec), metadata.annotations)
  if (typeof hotplug !== 'number') return hotplug
  const nics = desiredNics(spec, namespace)
  const devices = devicesOf(nics)
  const extra = extraPorts(bytes, portsTaken(devices), hotplug, metadata.annotations)
  const slots = assignSlots(devices, { hotplugPorts: hotplug, extra })
  if ('problem' in slots) return slots
  return {
    name: domainName(namespace, metadata.name),
    uuid: domainUuid(vmi),
    isPaused: spec.startStrategy === 'Paused' || metadata.annotations?.[pausedAnnotation] === 'true',
    memoryKiB: Math.ceil(bytes / 1024),
    sockets: cpu?.sockets ?? 1,
    cores: cpu?.cores ?? 1,
    threads: cpu?.threads ?? 1,
    boot: {
      kernel: {
        image,
        kernelPath: boot.container?.kernelPath ?? '/vmlinuz',
        initrdPath: boot.container?.initrdPath ?? '/initrd.img',
        args: boot.kernelArgs ?? 'console=ttyS0',
      },
    },
    nics,
    devices,
    slots,
  }
}
