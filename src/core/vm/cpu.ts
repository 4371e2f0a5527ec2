import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { parseQuantity } from '#apis/meta/quantity.ts'

/** Most queues a tap can have. */
const maxQueues = 256

/**
 * The CPUs that a guest sees. Without a topology it has as many sockets as the CPUs that it requests or is limited to (KubeVirt,
 * facts/disks.md §A2).
 */
export function cpuTopology(spec: VmiSpec): Readonly<{ sockets: number; cores: number; threads: number }> {
  const { cores, sockets, threads } = spec.domain.cpu ?? {}
  const isGiven = cores !== undefined || sockets !== undefined || threads !== undefined
  return { sockets: sockets ?? (isGiven ? 1 : requestedCpus(spec)), cores: cores ?? 1, threads: threads ?? 1 }
}

/** Number of CPUs a guest sees. */
export function vcpusOf(spec: VmiSpec): number {
  const { cores, sockets, threads } = cpuTopology(spec)
  return cores * sockets * threads
}

function requestedCpus({ domain }: VmiSpec): number {
  const { limits, requests } = domain.resources ?? {}
  const milli = parseQuantity(limits?.cpu ?? requests?.cpu)?.milli ?? 1000n
  return Math.max(1, Math.ceil(Number(milli) / 1000))
}

/** Queues of each virtio interface. */
export function queuesOf(spec: VmiSpec): number {
  return spec.domain.devices.networkInterfaceMultiqueue ? Math.min(vcpusOf(spec), maxQueues) : 1
}
