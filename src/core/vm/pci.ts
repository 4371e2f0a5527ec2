import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { isTrueAnnotation } from '../annotations.ts'

/** On a template: all devices on the root complex, so that nothing can be plugged (KubeVirt). */
export const rootComplexAnnotation = 'kubevirt.io/placePCIDevicesOnRootComplex'
/** On a template: how many interfaces ports are kept for (KubeVirt). */
export const slotCountAnnotation = 'kubevirt.io/pci-interface-slot-count'

/** Interfaces that a guest has ports for from the start (facts/kubevirt.md §4.1). */
const reservedInterfaces = 4
/** Guests with more memory than this have the larger number of ports, bytes. */
const largeMemory = 2 * 2 ** 30
/** Highest bus a port may be on. */
export const maxBus = 31

type Annotations = Readonly<Record<string, string>> | undefined

/**
 * Ports kept free right behind those of a guest's interfaces, so that one that is plugged has the address it will have after
 * the next start. @returns a sentence instead when the annotation makes no sense
 */
export function hotplugPorts(interfaces: number, annotations: Annotations): number | { problem: string } {
  if (isTrueAnnotation(annotations, rootComplexAnnotation)) return 0
  const given = annotations?.[slotCountAnnotation]
  if (given === undefined) return interfaces === 0 ? 0 : Math.max(0, reservedInterfaces - interfaces)
  const count = /^\d+$/.test(given) ? Number(given) : Number.NaN
  if (Number.isNaN(count)) return { problem: `invalid ${slotCountAnnotation} annotation value "${given}"` }
  return Math.max(0, count - interfaces)
}

/** Free ports a guest is to have, by its memory (bytes) and the devices it has. */
export function freePorts(memoryBytes: number, used: number, annotations: Annotations): number {
  if (isTrueAnnotation(annotations, rootComplexAnnotation)) return 0
  return memoryBytes > largeMemory ? Math.max(16 - used, 6) : Math.max(8 - used, 3)
}

/** Ports beside hotplug ports and those in use. */
export function extraPorts(memoryBytes: number, used: number, hotplug: number, annotations: Annotations): number {
  return Math.max(0, freePorts(memoryBytes, used, annotations) - hotplug)
}

/** Number of interfaces that count for ports: those of the spec, in whatever state. */
export function interfaceCount(spec: VmiSpec): number {
  return spec.domain.devices.interfaces?.length ?? 0
}
