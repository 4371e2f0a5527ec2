/** Whose a sandbox is: the node and the cluster it was made for, and the revision of its pod at that time. */
export type SandboxOwner = Readonly<{ node: string; cluster: string; revision?: string }>

/** A node of a cluster, which is known by the UID of its namespace kube-system. */
export type NodeIdentity = Readonly<{ node: string; cluster: string }>

/**
 * Why a sandbox without a pod is none of a node's to remove; undefined when it is the node's own, so that its pod's absence
 * says that it may go.
 */
export function foreignReason(owner: SandboxOwner | undefined, self: NodeIdentity): string | undefined {
  if (!owner) return 'it does not say which cluster it was made for'
  if (owner.cluster !== self.cluster) return `it was made for another cluster (${owner.cluster})`
  if (owner.node !== self.node) return `it was made for another node (${owner.node})`
  return undefined
}

/** Whether a sandbox was made after the last change its store knows of: the store is an older copy. */
export function isYoungerThan(owner: SandboxOwner | undefined, revision: string): boolean {
  return owner?.revision !== undefined && Number(owner.revision) > Number(revision)
}

/** Whose a sandbox is once its pod was found in a cluster: what was noted when it was made stays. */
export function ownerAfter(old: SandboxOwner | undefined, now: SandboxOwner): SandboxOwner {
  return old && !foreignReason(old, now) ? old : now
}
