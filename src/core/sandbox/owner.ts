/** The owner of a sandbox: the node and the cluster that it was made for, and the revision of its pod at that time. */
export type SandboxOwner = Readonly<{ node: string; cluster: string; revision?: string }>

/** A node of a cluster, which is identified by the UID of its namespace kube-system. */
export type NodeIdentity = Readonly<{ node: string; cluster: string }>

/**
 * Why a node may not remove a sandbox without a pod; undefined when the sandbox is the node's own, so that the absence of its pod
 * proves that it may be removed.
 */
export function foreignReason(owner: SandboxOwner | undefined, self: NodeIdentity): string | undefined {
  if (!owner) return 'it does not say which cluster it was made for'
  if (owner.cluster !== self.cluster) return `it was made for another cluster (${owner.cluster})`
  if (owner.node !== self.node) return `it was made for another node (${owner.node})`
  return undefined
}

/** Whether a sandbox was made after the last change of the store: the store is an older copy. */
export function isYoungerThan(owner: SandboxOwner | undefined, revision: string): boolean {
  return owner?.revision !== undefined && Number(owner.revision) > Number(revision)
}

/** The owner of a sandbox once its pod was found in a cluster: the recorded owner stays if it is the same node and cluster. */
export function ownerAfter(old: SandboxOwner | undefined, now: SandboxOwner): SandboxOwner {
  return old && !foreignReason(old, now) ? old : now
}
