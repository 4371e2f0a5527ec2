import type { DataVolume } from '#apis/cdi/datavolume.ts'
import type { Lease } from '#apis/coordination/lease.ts'
import type { Event } from '#apis/core/event.ts'
import type { Node } from '#apis/core/node.ts'
import type { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { sameJson } from '#base/json.ts'
import { claimNodeLabel, nodeOfClaim } from '../disk/claims.ts'
import { poolConfigKey } from '../pci/pool-config.ts'

/** The group every node's agent belongs to; its members are called `system:node:NAME` (Kubernetes' own names). */
export const nodesGroup = 'system:nodes'

/** Label of an instance with the node it is on (KubeVirt). */
export const nodeNameLabel = 'kubevirt.io/nodeName'

/** The namespace with the Lease of every node, named like it (Kubernetes). */
export const leaseNamespace = 'kube-node-lease'

/** What volumes of instances are made of, and what imports need; an agent may read what those on its node name. */
const volumeSources: ReadonlySet<string> = new Set(['secrets', 'configmaps', 'persistentvolumeclaims'])

type Person = Readonly<{ name: string; groups: readonly string[] }>

/** The node whose agent a user is; undefined for a user who is no agent. */
export function nodeOf({ name, groups }: Person): string | undefined {
  return groups.includes(nodesGroup) ? /^system:node:(.+)$/.exec(name)?.[1] : undefined
}

/** The nodes that objects are on, as far as the caches know. */
export interface Placement {
  nodeOfPod(namespace: string, name: string): string | undefined
  /** The nodes of an instance: that of its guest, and those of its pods. */
  nodesOfInstance(namespace: string, name: string): readonly (string | undefined)[]
  /** The node with the disk of a claim. */
  nodeOfClaim(namespace: string, name: string): string | undefined
  /** The nodes of the instances whose volumes name an object, and of the disks of DataVolumes that need it. */
  nodesNaming(source: Readonly<{ resource: string; namespace: string; name: string }>): readonly (string | undefined)[]
}

type Wanted = Readonly<{
  verb: string
  resource?: string
  namespace?: string
  name?: string
  fieldSelector?: string
  labelSelector?: string
}>

/**
 * Why an agent may not read an object although its role covers the kind: an agent reads only pods and instances of its own node
 * (Kubernetes' node authorizer). Writes are checked by `nodeWrite`, which gets the objects.
 */
export function nodeReadVeto(who: Person, wanted: Wanted, placement: Placement): string | undefined {
  const node = nodeOf(who)
  if (node === undefined) return undefined
  const { verb, resource, namespace = '', name = '' } = wanted
  const isMany = verb === 'list' || verb === 'watch'
  if (resource === 'leases') return leaseVeto(node, namespace, verb === 'create' ? node : name)
  if (resource === 'pods') {
    if (isMany)
      return wanted.fieldSelector === `spec.nodeName=${node}`
        ? undefined
        : 'can only list/watch pods with spec.nodeName field selector'
    if (verb === 'get') return placement.nodeOfPod(namespace, name) === node ? undefined : unrelated(node)
  }
  if (resource === 'virtualmachineinstances') {
    if (isMany)
      return wanted.labelSelector === `${nodeNameLabel}=${node}`
        ? undefined
        : `can only list/watch virtualmachineinstances with label selector ${nodeNameLabel}=${node}`
    if (verb === 'get') return placement.nodesOfInstance(namespace, name).includes(node) ? undefined : unrelated(node)
  }
  const hasClaim = () => placement.nodeOfClaim(namespace, name) === node
  if (resource === 'persistentvolumeclaims' && isMany)
    return wanted.labelSelector === `${claimNodeLabel}=${node}`
      ? undefined
      : `can only list/watch persistentvolumeclaims with label selector ${claimNodeLabel}=${node}`
  // It makes the disks of its claims, and copies claims that are beside them.
  if (resource === 'persistentvolumeclaims' && verb === 'get' && hasClaim()) return undefined
  if (resource === 'persistentvolumeclaims' && verb !== 'get') return undefined
  if (resource === 'datavolumes' && verb === 'get') return hasClaim() ? undefined : unrelated(node)
  // The pools of virtual functions are the same for all nodes.
  const isPools = namespace === poolConfigKey.namespace && name === poolConfigKey.name
  if (resource === 'configmaps' && verb === 'get' && isPools) return undefined
  if (resource !== undefined && volumeSources.has(resource)) {
    if (verb !== 'get') return 'can only read resources of this type'
    return placement.nodesNaming({ resource, namespace, name }).includes(node) ? undefined : unrelated(node)
  }
  return undefined
}

function unrelated(node: string): string {
  return `no relationship found between node '${node}' and this object`
}

/**
 * Why an agent may not access a lease: it is not the lease of its own node. Other leases elect leaders, or report that other
 * nodes live.
 */
function leaseVeto(node: string, namespace: string, name: string): string | undefined {
  if (namespace !== leaseNamespace) return `can only access leases in the "${leaseNamespace}" system namespace`
  return name === node ? undefined : 'can only access node lease with the same name as the requesting node'
}

/** Why an agent may not write a lease. */
export function leaseWrite(who: Person, { metadata }: Lease): string | undefined {
  const node = nodeOf(who)
  return node === undefined ? undefined : leaseVeto(node, metadata.namespace ?? '', metadata.name)
}

/** What an agent calls itself in Events. */
export const agentComponent = 'patchbay-agent'

/** Labels that an agent may set on its own node; any other one could have instances scheduled there. */
const ownLabels: ReadonlySet<string> = new Set([
  'kubernetes.io/hostname',
  'kubernetes.io/os',
  'kubernetes.io/arch',
  'kubevirt.io/schedulable',
])

/**
 * Why an agent may not write a node: it is another node, or the write changes a field that scheduling depends on (Kubernetes'
 * NodeRestriction). `old` is absent on create.
 */
export function nodeWrite(who: Person, node: Node, old: Node | undefined): string | undefined {
  const name = nodeOf(who)
  if (name === undefined) return undefined
  const { metadata, spec } = node
  if (metadata.name !== name) return `node "${name}" is not allowed to modify node "${metadata.name}"`
  const isSame = (now: unknown, before: unknown) => sameJson(now ?? {}, before ?? {})
  if (!isSame(spec?.taints, old?.spec?.taints)) return `node "${name}" is not allowed to modify taints`
  if (!isSame(spec, old?.spec)) return `node "${name}" is not allowed to modify its spec`
  if (!isSame(metadata.ownerReferences, old?.metadata.ownerReferences))
    return `node "${name}" is not allowed to modify ownerReferences`
  const labels = foreignLabels(node, old)
  return labels.length ? `node "${name}" is not allowed to modify labels: ${labels.join(', ')}` : undefined
}

/** Labels that differ and that the agent may not set. The host name must be the name of the node. */
function foreignLabels({ metadata }: Node, old: Node | undefined): string[] {
  const [now, before] = [metadata.labels ?? {}, old?.metadata.labels ?? {}]
  return [...new Set([...Object.keys(now), ...Object.keys(before)])]
    .filter((key) => now[key] !== before[key])
    .filter((key) => !ownLabels.has(key) || (key === 'kubernetes.io/hostname' && now[key] !== metadata.name))
    .toSorted()
}

/**
 * Why an agent may not write a pod: it is on another node, before or after the write, or the write changes the pod's spec or
 * owner. An agent drops finalizers and writes networks into annotations.
 */
export function podWrite(who: Person, pod: Pod, old: Pod | undefined): string | undefined {
  const node = nodeOf(who)
  if (node === undefined) return undefined
  if (pod.spec.nodeName !== node || (old?.spec.nodeName ?? node) !== node)
    return `node "${node}" can only change pods with spec.nodeName set to itself`
  const kept = ({ metadata, spec }: Pod) => [metadata.labels ?? {}, metadata.ownerReferences ?? [], spec]
  if (!old || sameJson(kept(pod), kept(old))) return undefined
  return `node "${node}" can only change status, annotations and finalizers of pods`
}

/** Why an agent may not write an Event: it is about an object that is not on its node, or names another reporter. */
export function eventWrite(who: Person, event: Event, placement: Placement): string | undefined {
  const node = nodeOf(who)
  if (node === undefined) return undefined
  const { source, reportingComponent, reportingInstance, involvedObject } = event
  if (source?.component !== agentComponent || (reportingComponent || agentComponent) !== agentComponent)
    return `node "${node}" can only write events with source.component "${agentComponent}"`
  if (source.host !== node || (reportingInstance || node) !== node)
    return `node "${node}" can only write events with source.host and reportingInstance set to itself`
  return isOn(node, involvedObject, event.metadata.namespace ?? '', placement)
    ? undefined
    : `node "${node}" can only write events about itself and the pods, instances and claims on it`
}

function isOn(node: string, about: Event['involvedObject'], namespace: string, placement: Placement): boolean {
  const { kind, name = '' } = about
  if (kind === 'Node') return name === node
  if (kind === 'Pod') return placement.nodeOfPod(namespace, name) === node
  if (kind === 'PersistentVolumeClaim' || kind === 'DataVolume') return placement.nodeOfClaim(namespace, name) === node
  return kind === 'VirtualMachineInstance' && placement.nodesOfInstance(namespace, name).includes(node)
}

/** Why an agent may not write an instance: it is on another node. */
export function instanceWrite(who: Person, vmi: VirtualMachineInstance): string | undefined {
  const node = nodeOf(who)
  if (node === undefined || vmi.metadata.labels?.[nodeNameLabel] === node) return undefined
  return `node "${node}" can only change virtualmachineinstances with label ${nodeNameLabel} set to itself`
}

/** Why an agent may not write a claim: it is on another node, or the write changes more than finalizers. */
export function claimWrite(
  who: Person,
  claim: PersistentVolumeClaim,
  old: PersistentVolumeClaim | undefined,
): string | undefined {
  const node = nodeOf(who)
  if (node === undefined) return undefined
  if (!old || nodeOfClaim(claim) !== node || nodeOfClaim(old) !== node)
    return `node "${node}" can only change persistentvolumeclaims with label ${claimNodeLabel} set to itself`
  const kept = ({ metadata, spec, status }: PersistentVolumeClaim) => [
    metadata.labels ?? {},
    metadata.annotations ?? {},
    metadata.ownerReferences ?? [],
    spec,
    status ?? {},
  ]
  return sameJson(kept(claim), kept(old))
    ? undefined
    : `node "${node}" can only change finalizers of persistentvolumeclaims`
}

/** Why an agent may not write a DataVolume: its claim is on another node. */
export function dataVolumeWrite(who: Person, { metadata }: DataVolume, placement: Placement): string | undefined {
  const node = nodeOf(who)
  if (node === undefined || placement.nodeOfClaim(metadata.namespace ?? '', metadata.name) === node) return undefined
  return `node "${node}" can only change datavolumes whose claim is on it`
}
