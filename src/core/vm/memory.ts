import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { parseQuantity } from '#apis/meta/quantity.ts'
import { deviceMemoryBytes, wantsDevices } from '../pci/request.ts'

/** Memory of a guest whose spec has none (as in KubeVirt's own examples). */
const defaultMemory = '128Mi'

/** A Kubernetes quantity in bytes; undefined for any other value. */
export function bytesOf(quantity: string | number | undefined): number | undefined {
  const milli = parseQuantity(quantity)?.milli
  return milli === undefined || milli < 0n ? undefined : Math.round(Number(milli) / 1000)
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
function footprintOf(guestBytes: number): number {
  return guestBytes + Math.ceil(guestBytes / bytesPerTableByte) + overheadBytes
}

/** The memory that the pod of an instance requests, bytes: more when the guest has a device of the host (KubeVirt). */
export function podBytesOf(spec: VmiSpec): number {
  return footprintOf(memoryOf(spec).bytes ?? 0) + (wantsDevices(spec) ? deviceMemoryBytes : 0)
}
