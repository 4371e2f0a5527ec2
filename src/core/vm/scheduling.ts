import type { Node } from '#apis/core/node.ts'
import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance, VmiSpec } from '#apis/kubevirt/vmi.ts'
import { matchesNodeAffinity } from '../scheduling/node-affinity.ts'
import { type PlacedPod, type PodVeto, podVeto } from '../scheduling/pod-affinity.ts'
import { untolerated } from '../scheduling/taints.ts'
import { isTrue } from './conditions.ts'
import { createdByLabel, launcherLabels } from './launcher.ts'
import { bytesOf, podBytesOf } from './memory.ts'

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
  /** How many devices of which resource it needs. */
  devices?: ReadonlyMap<string, number>
  /** The pods that affinity may be about. */
  pods?: readonly PlacedPod[]
}>

/** The chosen node, or why there is none, in Kubernetes' words. */
export type Placement = Readonly<{ node: Node }> | Readonly<{ why: string }>

/**
 * Chooses the node of an instance: among those that are ready, not cordoned, have no taint that it does not tolerate, match its
 * nodeSelector, architecture and required affinity, and have room for one more pod and its memory, the one with the fewest pods;
 * the first by name of several. `allocatedOn` returns what all pods use of a node.
 */
export function chooseNode(
  vmi: VirtualMachineInstance,
  nodes: readonly Node[],
  allocatedOn: (node: string) => Allocation,
  options: PlacementOptions = {},
): Placement {
  const wanted = wantedOf(vmi, nodes, options)
  const reasons = new Map<string, number>()
  const fitting = nodes.filter((node) => {
    const why = whyNot(node, wanted, allocatedOn(node.metadata.name))
    for (const one of why) reasons.set(one, (reasons.get(one) ?? 0) + 1)
    return !why.length
  })
  const podsOn = ({ metadata }: Node) => allocatedOn(metadata.name).pods
  const isLeft = ({ metadata }: Node) => Number(metadata.name === options.leaving)
  const [node] = fitting.toSorted(
    (a, b) => isLeft(a) - isLeft(b) || podsOn(a) - podsOn(b) || (a.metadata.name < b.metadata.name ? -1 : 1),
  )
  if (node) return { node }
  const list = [...reasons].map(([reason, count]) => `${count} ${reason}`).toSorted()
  const details = list.length ? `: ${list.join(', ')}` : ''
  return { why: `0/${nodes.length} nodes are available${details}; see kubectl describe nodes` }
}

/** What an instance wants of its node. */
type Wanted = Readonly<{
  labels: readonly (readonly [string, string])[]
  spec: Pick<VmiSpec, 'affinity' | 'tolerations'>
  bytes: number
  devices: ReadonlyMap<string, number>
  veto: PodVeto
  volumeNode: string | undefined
}>

function wantedOf(
  { metadata, spec }: VirtualMachineInstance,
  nodes: readonly Node[],
  { selector = {}, pods = [], volumeNode, devices = new Map() }: PlacementOptions,
): Wanted {
  const { architecture, affinity } = spec
  const ofArchitecture = architecture ? { [architectureLabel]: architecture } : {}
  const newcomer = { namespace: metadata.namespace ?? 'default', labels: launcherLabels({ metadata }), affinity }
  // Its own pod, which it leaves, is no neighbour.
  const others = pods.filter(({ labels }) => labels[createdByLabel] !== metadata.uid)
  const byName = new Map(others.length ? nodes.map((node) => [node.metadata.name, node]) : [])
  return {
    labels: Object.entries({ ...spec.nodeSelector, ...ofArchitecture, ...selector }),
    spec,
    bytes: podBytesOf(spec),
    devices,
    veto: podVeto(newcomer, others, (name) => byName.get(name)),
    volumeNode,
  }
}

/** What pods use of a node. */
export type Allocation = Readonly<{ pods: number; bytes: number; devices: ReadonlyMap<string, number> }>

/** The allocation of a node without pods. */
export const noAllocation: Allocation = { pods: 0, bytes: 0, devices: new Map() }

/** The memory that a pod requests or is limited to, bytes; 0 for pods of versions without requests. */
export function podMemory({ spec }: Pod, what: 'requests' | 'limits'): number {
  let sum = 0
  for (const container of spec.containers) {
    const { resources } = container as { resources?: { requests?: Amounts; limits?: Amounts } }
    sum += bytesOf(resources?.[what]?.memory) ?? 0
  }
  return sum
}

/** The devices of hosts that a pod requests, by resource. */
export function podDevices({ spec }: Pod): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const container of spec.containers) {
    const { resources } = container as { resources?: { requests?: Amounts } }
    for (const [resource, amount] of Object.entries(resources?.requests ?? {}))
      if (resource.includes('/')) counts.set(resource, (counts.get(resource) ?? 0) + Number(amount))
  }
  return counts
}

type Amounts = Readonly<Record<string, string>>

/** All reasons why an instance cannot be placed on a node. Pods and memory that a node does not declare have no limit. */
function whyNot(node: Node, { labels, spec, bytes, devices, veto, volumeNode }: Wanted, taken: Allocation): string[] {
  const { metadata, status } = node
  if (volumeNode !== undefined && metadata.name !== volumeNode) return ['node(s) had volume node affinity conflict']
  if (metadata.deletionTimestamp || !isTrue(status?.conditions, 'Ready')) return ['node(s) were not ready']
  if (node.spec?.unschedulable) return ['node(s) were unschedulable']
  const taint = untolerated(node, spec.tolerations)
  if (taint) return [`node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`]
  if (!labels.every(([key, value]) => metadata.labels?.[key] === value) || !matchesNodeAffinity(node, spec.affinity))
    return ["node(s) didn't match Pod's node affinity/selector"]
  const allocatable = (status?.allocatable ?? {}) as Amounts
  const { pods, memory } = allocatable
  const short = [
    ...(taken.pods + 1 > (bytesOf(pods) ?? Number.POSITIVE_INFINITY) ? ['Too many pods'] : []),
    ...(taken.bytes + bytes > (bytesOf(memory) ?? Number.POSITIVE_INFINITY) ? ['Insufficient memory'] : []),
    // A node that does not declare such a resource has none of it.
    ...[...devices].flatMap(([resource, count]) =>
      (taken.devices.get(resource) ?? 0) + count > Number(allocatable[resource] ?? 0)
        ? [`Insufficient ${resource}`]
        : [],
    ),
  ]
  const vetoed = short.length ? undefined : veto(node)
  return vetoed === undefined ? short : [vetoed]
}
