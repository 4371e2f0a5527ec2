import type { Node } from '#apis/core/node.ts'
import type { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import type { VirtualMachineInstance, VmiStatus } from '#apis/kubevirt/vmi.ts'
import { isObject } from '#base/json.ts'
import { isTrue } from '../vm/conditions.ts'
import { bytesOf } from '../vm/memory.ts'
import { isFinal } from '../vm/power.ts'
import { claimsInUse, isHotpluggable, pluggedVolumes } from './hotplug.ts'
import { claimNameOf } from './sources.ts'

/** The class of storage that every installation has: files in the data directory of a node. */
export const localClass = 'local'
export const localProvisioner = 'patchbay.dev/local'

/** Label of a bound claim with the node that has its disk, by which the agent there watches it. */
export const claimNodeLabel = 'patchbay.dev/node'
/** The same in Kubernetes' own annotation. */
const selectedNodeAnnotation = 'volume.kubernetes.io/selected-node'

/** Keeps a claim while an instance uses it (Kubernetes). */
export const inUseFinalizer = 'kubernetes.io/pvc-protection'
/** Keeps a claim until the agent of its node has removed the disk. */
export const volumeFinalizer = 'patchbay.dev/volume'

const modeBlock = 'Block'

/** The next step with a claim that is not bound: it is bound on a node, or waits for what the message names. */
export type Binding = Readonly<{ node: string } | { reason: string; message: string }>

/** What the claims of a cluster are bound by. */
export type BindingWorld = Readonly<{
  nodes: readonly Node[]
  /** Number of claims that a node has. */
  claimsOn: (node: string) => number
  /** Where its disk must be, because it is a copy of another one there; `pending` while that is not known. */
  beside?: string | 'pending' | undefined
}>

/** Whether a claim has its volume. */
export function isBound({ status }: Pick<PersistentVolumeClaim, 'status'>): boolean {
  return status?.phase === 'Bound'
}

/** The node with the disk of a claim. */
export function nodeOfClaim({ metadata }: Pick<PersistentVolumeClaim, 'metadata'>): string | undefined {
  return metadata.labels?.[claimNodeLabel]
}

/** The size of a claim, bytes. */
export function bytesOfClaim({ spec, status }: Pick<PersistentVolumeClaim, 'spec' | 'status'>): number {
  return bytesOf(status?.capacity?.storage ?? spec.resources?.requests?.storage) ?? 0
}

/** What a status says of a claim. */
export type ClaimInfo = NonNullable<
  NonNullable<NonNullable<VmiStatus['volumeStatus']>[number]>['persistentVolumeClaimInfo']
>

/** A claim as the status of an instance shows it. */
export function claimInfo({ metadata, spec, status }: PersistentVolumeClaim): ClaimInfo {
  const { accessModes = [], resources, volumeMode = 'Filesystem' } = spec
  const { requests } = resources ?? {}
  const { capacity } = status ?? {}
  return {
    ...{ claimName: metadata.name ?? '', accessModes, volumeMode },
    ...(capacity && { capacity }),
    ...(requests && { requests }),
  }
}

/** Whether several guests may use a claim at once, if their disks say so too. */
function isSharedClaim({ spec }: Pick<PersistentVolumeClaim, 'spec'>): boolean {
  return spec.accessModes?.includes('ReadWriteMany') ?? false
}

/** Where an unbound claim is bound: on the ready node with the fewest claims, the first by name of several. */
export function bindingOf(
  { metadata, spec }: PersistentVolumeClaim,
  { nodes, claimsOn, beside }: BindingWorld,
): Binding {
  const given = nodeOfClaim({ metadata })
  // An earlier pass has chosen and was interrupted.
  if (given !== undefined && spec.volumeName !== undefined) return { node: given }
  const { storageClassName = '' } = spec
  if (storageClassName !== localClass)
    return {
      reason: 'ProvisioningFailed',
      message: storageClassName
        ? `storageclass.storage.k8s.io "${storageClassName}" is not provisioned here; make the claim with storageClassName: ${localClass}`
        : `no persistent volumes available for this claim and no storage class is set; make the claim with storageClassName: ${localClass}`,
    }
  if (beside === 'pending')
    return { reason: 'WaitForSource', message: 'the claim that is copied does not exist, or is not bound yet' }
  const fitting = nodes.filter(
    (node) => !node.metadata.deletionTimestamp && isTrue(node.status?.conditions, 'Ready') && !node.spec?.unschedulable,
  )
  const [first] = fitting.toSorted(
    ({ metadata: { name: a } }, { metadata: { name: b } }) => claimsOn(a) - claimsOn(b) || (a < b ? -1 : 1),
  )
  const node = beside ?? first?.metadata.name
  if (node !== undefined) return { node }
  return {
    reason: 'ProvisioningFailed',
    message: `0/${nodes.length} nodes are ready for a volume; see kubectl get nodes`,
  }
}

/** A claim with its volume on a node. Its status follows in a write of its own. */
export function withVolume(claim: PersistentVolumeClaim, node: string): PersistentVolumeClaim {
  const { metadata, spec } = claim
  const finalizers = metadata.finalizers ?? []
  return {
    ...claim,
    metadata: {
      ...metadata,
      labels: { ...metadata.labels, [claimNodeLabel]: node },
      annotations: {
        ...metadata.annotations,
        [selectedNodeAnnotation]: node,
        'volume.kubernetes.io/storage-provisioner': localProvisioner,
      },
      finalizers: finalizers.includes(volumeFinalizer) ? finalizers : [...finalizers, volumeFinalizer],
    },
    spec: { ...spec, volumeName: `pvc-${metadata.uid}` },
  }
}

/** The status of a claim that has its volume. */
export function boundStatus({ spec }: PersistentVolumeClaim): NonNullable<PersistentVolumeClaim['status']> {
  const { accessModes = [], resources } = spec
  const storage = resources?.requests?.storage
  return { phase: 'Bound', accessModes, ...(storage !== undefined && { capacity: { storage } }) }
}

/** A claim as it is stored first. What controllers write is not for users to set. */
export function claimWithDefaults(
  claim: PersistentVolumeClaim,
  old: PersistentVolumeClaim | undefined,
  isSystem: boolean,
): PersistentVolumeClaim {
  // This runs before validation: what has another shape is left for validation to refuse.
  if (!isObject(claim.spec) || !isPlain(claim.metadata)) return claim
  const spec = { volumeMode: 'Filesystem', storageClassName: localClass, ...claim.spec }
  if (isSystem && old) return claim
  if (!old)
    return {
      ...claim,
      metadata: {
        ...withPlaceOf(claim, undefined),
        finalizers: [...new Set([...(claim.metadata.finalizers ?? []), inUseFinalizer])],
      },
      spec,
      status: { phase: 'Pending' },
    }
  const { volumeName } = old.spec
  return {
    ...claim,
    metadata: withPlaceOf(claim, old),
    // A manifest that is applied again names no volume.
    spec: { ...spec, ...(volumeName !== undefined && claim.spec?.volumeName === undefined && { volumeName }) },
  }
}

/** Whether maps and lists of metadata are what they are to be. */
function isPlain({ labels = {}, annotations = {}, finalizers = [] }: PersistentVolumeClaim['metadata']): boolean {
  return isObject(labels) && isObject(annotations) && Array.isArray(finalizers)
}

/** The metadata of a claim with the node of the stored one. */
function withPlaceOf({ metadata }: PersistentVolumeClaim, old: PersistentVolumeClaim | undefined) {
  const kept = (
    map: Readonly<Record<string, string>> | undefined,
    before: Readonly<Record<string, string>> | undefined,
    key: string,
  ) => {
    const { [key]: _, ...others } = map ?? {}
    const value = before?.[key]
    return value === undefined ? others : { ...others, [key]: value }
  }
  const labels = kept(metadata.labels, old?.metadata.labels, claimNodeLabel)
  const annotations = kept(metadata.annotations, old?.metadata.annotations, selectedNodeAnnotation)
  const { labels: _, annotations: _annotations, ...rest } = metadata
  return {
    ...rest,
    ...(Object.keys(labels).length && { labels }),
    ...(Object.keys(annotations).length && { annotations }),
  }
}

/** Whether a claim is a block device, which there are none of. */
export function isBlock(spec: PersistentVolumeClaim['spec']): boolean {
  return spec.volumeMode === modeBlock
}

/** How an instance uses a claim: alone, together with others that share it, or only as what its own overlay is over. */
type Use = 'alone' | 'shared' | 'overlaid'

function useOf(vmi: VirtualMachineInstance, claim: PersistentVolumeClaim): Use | undefined {
  const { name } = claim.metadata
  const volumes = (vmi.spec.volumes ?? []).filter((one) => claimNameOf(one) === name)
  // Without a volume, its guest may not have released the disk yet.
  if (!volumes.length) return claimsInUse(vmi).includes(name) ? 'alone' : undefined
  if (volumes.every(({ ephemeral }) => ephemeral)) return 'overlaid'
  const disks = vmi.spec.domain.devices.disks ?? []
  const isShareable = volumes.every((volume) => disks.find((disk) => disk.name === volume.name)?.shareable)
  return isShareable && isSharedClaim(claim) ? 'shared' : 'alone'
}

/**
 * The instance because of which another one may not use a claim now; undefined when it may. One whose guest has the disk, or is
 * started with it, comes before one that only wants it; of two that want it, first those that have a node, then the older one.
 */
export function holderOf(
  claim: PersistentVolumeClaim,
  vmi: VirtualMachineInstance,
  users: readonly VirtualMachineInstance[],
): string | undefined {
  const use = useOf(vmi, claim)
  const mine = rightOf(vmi, claim)
  const holder = users.find((other) => {
    if (other.metadata.uid === vmi.metadata.uid || isFinal(other)) return false
    const theirs = useOf(other, claim)
    if (theirs === undefined || (theirs === use && use !== 'alone')) return false
    const right = rightOf(other, claim)
    return right > mine || (right === mine && (right === rights.has || isOlder(other, vmi)))
  })
  return holder?.metadata.name
}

/**
 * Whether a claim is kept because of an instance: its guest has the disk, or is started with it. One that only waits for a claim would
 * wait for ever for one that is being deleted.
 */
export function isUsing(vmi: VirtualMachineInstance, claim: PersistentVolumeClaim): boolean {
  return !isFinal(vmi) && rightOf(vmi, claim) === rights.has
}

/** What an instance has of a claim that it names. */
const rights = { has: 2, hasNode: 1, none: 0 } as const

function rightOf(vmi: VirtualMachineInstance, { metadata: { name } }: PersistentVolumeClaim): number {
  const volumes = (vmi.spec.volumes ?? []).filter((one) => claimNameOf(one) === name)
  const isPlugged = pluggedVolumes(vmi.status).some((one) => one.persistentVolumeClaimInfo?.claimName === name)
  if (isPlugged) return rights.has
  if (!volumes.length || !isPlaced(vmi)) return rights.none
  return volumes.some((one) => !isHotpluggable(one)) ? rights.has : rights.hasNode
}

function isPlaced({ metadata, status }: VirtualMachineInstance): boolean {
  return metadata.labels?.['kubevirt.io/nodeName'] !== undefined || (status?.phase ?? 'Pending') !== 'Pending'
}

function isOlder({ metadata: a }: VirtualMachineInstance, { metadata: b }: VirtualMachineInstance): boolean {
  const [first = '', second = ''] = [a.creationTimestamp, b.creationTimestamp]
  return first < second || (first === second && (a.uid ?? '') < (b.uid ?? ''))
}
