import type { Node } from '#apis/core/node.ts'
import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { isTrue } from './conditions.ts'
import { bytesOf, footprintOf, memoryOf } from './memory.ts'

/** The label by which a node says what processors it has. */
const architectureLabel = 'kubernetes.io/arch'

/** What scheduling depends on beside the instance. */
export type PlacementOptions = Readonly<{
  /** The nodeSelector of its migration, in addition to its own. */
  selector?: Readonly<Record<string, string>>
  /** The node that it leaves: chosen only if there is no other. */
  leaving?: string
  /** The node that its claims are on. */
  volumeNode?: string
}>

/** The chosen node, or why there is none, in Kubernetes' words. */
export type Placement = Readonly<{ node: Node }> | Readonly<{ why: string }>

/**
 * Chooses the node of an instance: among those that are ready, not cordoned, match its nodeSelector and architecture and have
 * room for one more pod and its memory, the one with the fewest pods; the first by name of several. `allocatedOn` returns what
 * all pods use of a node.
 */
export function chooseNode(
  vmi: VirtualMachineInstance,
  nodes: readonly Node[],
  allocatedOn: (node: string) => Allocation,
  { selector = {}, leaving, volumeNode }: PlacementOptions = {},
): Placement {
  const { architecture } = vmi.spec
  const ofArchitecture = architecture ? { [architectureLabel]: architecture } : {}
  const wanted = Object.entries({ ...vmi.spec.nodeSelector, ...ofArchitecture, ...selector })
  const bytes = footprintOf(memoryOf(vmi.spec).bytes ?? 0)
  const reasons = new Map<string, number>()
  const fitting = nodes.filter((node) => {
    const isElsewhere = volumeNode !== undefined && node.metadata.name !== volumeNode
    const why = isElsewhere
      ? ['node(s) had volume node affinity conflict']
      : whyNot(node, wanted, allocatedOn(node.metadata.name), bytes)
    for (const one of why) reasons.set(one, (reasons.get(one) ?? 0) + 1)
    return !why.length
  })
  const podsOn = ({ metadata }: Node) => allocatedOn(metadata.name).pods
  const isLeft = ({ metadata }: Node) => Number(metadata.name === leaving)
  const [node] = fitting.toSorted(
    (a, b) => isLeft(a) - isLeft(b) || podsOn(a) - podsOn(b) || (a.metadata.name < b.metadata.name ? -1 : 1),
  )
  if (node) return { node }
  const list = [...reasons].map(([reason, count]) => `${count} ${reason}`).toSorted()
  const details = list.length ? `: ${list.join(', ')}` : ''
  return { why: `0/${nodes.length} nodes are available${details}; see kubectl describe nodes` }
}

/** What pods use of a node. */
export type Allocation = Readonly<{ pods: number; bytes: number }>

/** The allocation of a node without pods. */
export const noAllocation: Allocation = { pods: 0, bytes: 0 }

/** The memory that a pod requests or is limited to, bytes; 0 for pods of versions without requests. */
export function podMemory({ spec }: Pod, what: 'requests' | 'limits'): number {
  let sum = 0
  for (const container of spec.containers) {
    const { resources } = container as { resources?: { requests?: Amounts; limits?: Amounts } }
    sum += bytesOf(resources?.[what]?.memory) ?? 0
  }
  return sum
}

type Amounts = Readonly<Record<string, string>>

/** All reasons why an instance cannot be placed on a node. A resource that a node does not declare has no limit. */
function whyNot(
  { metadata, spec, status }: Node,
  wanted: readonly (readonly [string, string])[],
  taken: Allocation,
  bytes: number,
): string[] {
  if (metadata.deletionTimestamp || !isTrue(status?.conditions, 'Ready')) return ['node(s) were not ready']
  if (spec?.unschedulable) return ['node(s) were unschedulable']
  if (!wanted.every(([key, value]) => metadata.labels?.[key] === value))
    return ["node(s) didn't match Pod's node affinity/selector"]
  const { pods, memory } = (status?.allocatable ?? {}) as Amounts
  return [
    ...(taken.pods + 1 > (bytesOf(pods) ?? Number.POSITIVE_INFINITY) ? ['Too many pods'] : []),
    ...(taken.bytes + bytes > (bytesOf(memory) ?? Number.POSITIVE_INFINITY) ? ['Insufficient memory'] : []),
  ]
}
