import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { isTrueAnnotation } from '../annotations.ts'

/** On a template: all devices on the root complex, so that nothing can be plugged (KubeVirt). */
export const rootComplexAnnotation = 'kubevirt.io/placePCIDevicesOnRootComplex'
/** On a template: the number of interfaces for which ports are kept (KubeVirt). */
export const slotCountAnnotation = 'kubevirt.io/pci-interface-slot-count'

/** Number of interfaces for which a guest has ports from the start (facts/kubevirt.md §4.1). */
const reservedInterfaces = 4
/** Guests with more memory than this have more ports; bytes. */
const largeMemory = 2 * 2 ** 30
/** Highest number of a port's bus. */
export const maxBus = 31

type Annotations = Readonly<Record<string, string>> | undefined

/**
 * Number of ports kept free directly behind those of a guest's interfaces, so that a plugged card has the address that it will
 * have after the next start. @returns a sentence when the annotation is invalid
 */
export function hotplugPorts(interfaces: number, annotations: Annotations): number | { problem: string } {
  if (isTrueAnnotation(annotations, rootComplexAnnotation)) return 0
  const given = annotations?.[slotCountAnnotation]
  if (given === undefined) return interfaces === 0 ? 0 : Math.max(0, reservedInterfaces - interfaces)
  const count = /^\d+$/.test(given) ? Number(given) : Number.NaN
  if (Number.isNaN(count)) return { problem: `invalid ${slotCountAnnotation} annotation value "${given}"` }
  return Math.max(0, count - interfaces)
}

/** Number of free ports of a guest, by its memory (bytes) and the number of its devices. */
export function freePorts(memoryBytes: number, used: number, annotations: Annotations): number {
  if (isTrueAnnotation(annotations, rootComplexAnnotation)) return 0
  return memoryBytes > largeMemory ? Math.max(16 - used, 6) : Math.max(8 - used, 3)
}

/** Number of free ports beside the hotplug ports. */
export function extraPorts(memoryBytes: number, used: number, hotplug: number, annotations: Annotations): number {
  return Math.max(0, freePorts(memoryBytes, used, annotations) - hotplug)
}

/** Number of interfaces that count for ports: those of the spec, in whatever state. */
export function interfaceCount(spec: VmiSpec): number {
  return spec.domain.devices.interfaces?.length ?? 0
}
