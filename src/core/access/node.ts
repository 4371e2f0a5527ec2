import type { Lease } from '#apis/coordination/lease.ts'
import type { Node } from '#apis/core/node.ts'
import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'

/** The group every node's agent belongs to; its members are called `system:node:NAME` (Kubernetes' own names). */
export const nodesGroup = 'system:nodes'

/** Label of an instance with the node it is on (KubeVirt). */
export const nodeNameLabel = 'kubevirt.io/nodeName'

/** The namespace with the Lease of every node, named like it (Kubernetes). */
export const leaseNamespace = 'kube-node-lease'

type Person = Readonly<{ name: string; groups: readonly string[] }>

/** The node whose agent somebody is; undefined for everybody else. */
export function nodeOf({ name, groups }: Person): string | undefined {
  return groups.includes(nodesGroup) ? /^system:node:(.+)$/.exec(name)?.[1] : undefined
}

/** Which nodes objects are on, as far as is known. */
export interface Placement {
  nodeOfPod(namespace: string, name: string): string | undefined
  /** Where its guest is to be, and where there are pods for it. */
  nodesOfInstance(namespace: string, name: string): readonly (string | undefined)[]
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
 * Why an agent may not read something although its role lets it read such things: pods and instances of other nodes are
 * none of its business (Kubernetes' node authorizer). What it may write is judged by `nodeWrite`, which sees the objects.
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
  return undefined
}

function unrelated(node: string): string {
  return `no relationship found between node '${node}' and this object`
}

/** Why an agent may not touch a lease: it is not that of its own node. Who holds others leads, or says that nodes live. */
function leaseVeto(node: string, namespace: string, name: string): string | undefined {
  if (namespace !== leaseNamespace) return `can only access leases in the "${leaseNamespace}" system namespace`
  return name === node ? undefined : 'can only access node lease with the same name as the requesting node'
}

/** Why an agent may not write a lease. */
export function leaseWrite(who: Person, { metadata }: Lease): string | undefined {
  const node = nodeOf(who)
  return node === undefined ? undefined : leaseVeto(node, metadata.namespace ?? '', metadata.name)
}

/** Why an agent may not write a node: it is not its own. */
export function nodeWrite(who: Person, { metadata }: Node): string | undefined {
  const node = nodeOf(who)
  if (node === undefined || metadata.name === node) return undefined
  return `node "${node}" is not allowed to modify node "${metadata.name}"`
}

/** Why an agent may not write a pod: it is on another node, before or afterwards. */
export function podWrite(who: Person, pod: Pod, old: Pod | undefined): string | undefined {
  const node = nodeOf(who)
  if (node === undefined) return undefined
  if (pod.spec.nodeName === node && (old?.spec.nodeName ?? node) === node) return undefined
  return `node "${node}" can only change pods with spec.nodeName set to itself`
}

/** Why an agent may not write an instance: it is on another node. */
export function instanceWrite(who: Person, vmi: VirtualMachineInstance): string | undefined {
  const node = nodeOf(who)
  if (node === undefined || vmi.metadata.labels?.[nodeNameLabel] === node) return undefined
  return `node "${node}" can only change virtualmachineinstances with label ${nodeNameLabel} set to itself`
}
