import type { VmiSpec } from '#apis/kubevirt/vmi.ts'

/** Most queues a tap can have. */
const maxQueues = 256

/** Number of CPUs a guest sees. */
export function vcpusOf(spec: VmiSpec): number {
  const { cores = 1, sockets = 1, threads = 1 } = spec.domain.cpu ?? {}
  return cores * sockets * threads
}

/** Queues of each virtio interface. */
export function queuesOf(spec: VmiSpec): number {
  return spec.domain.devices.networkInterfaceMultiqueue ? Math.min(vcpusOf(spec), maxQueues) : 1
}
