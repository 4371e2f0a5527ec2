import type { DataVolume } from '#apis/cdi/datavolume.ts'
import type { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import type { VirtualMachineInstance, VmiSpec, VmiStatus } from '#apis/kubevirt/vmi.ts'
import type { Condition } from '#apis/meta/object.ts'
import { claimInfo, holderOf, isBound, nodeOfClaim } from './claims.ts'
import { dataVolumeFailure, dataVolumeOwner, dataVolumeWait } from './data-volumes.ts'
import { isHotpluggable } from './hotplug.ts'
import { claimNameOf } from './sources.ts'

/** Reasons of the condition Synchronized of an instance that waits for its claims. */
export const claimReasons = {
  missing: 'FailedPvcNotFound',
  unbound: 'WaitingForVolumeBinding',
  provisioning: 'DataVolumesNotReady',
  failed: 'DataVolumeError',
  used: 'ClaimInUse',
} as const
type ClaimReason = (typeof claimReasons)[keyof typeof claimReasons]

/** What an instance waits for before it gets a pod, or the node that its claims are on, if it has any. */
export type Readiness = Readonly<{ waits: ClaimReason; message: string } | { node: string | undefined }>

/** The claims of a namespace and what is about them. */
export type ClaimWorld = Readonly<{
  claim: (name: string) => PersistentVolumeClaim | undefined
  dataVolume: (name: string) => DataVolume | undefined
  /** The instances whose volumes name a claim. */
  users: (name: string) => readonly VirtualMachineInstance[]
}>

type Spec = Pick<VmiSpec, 'volumes'>

/** The names of the claims of a spec, each once. */
export function claimNames({ volumes = [] }: Spec): string[] {
  return [...new Set(volumes.flatMap((one) => claimNameOf(one) ?? []))]
}

/**
 * Whether the claims that the volumes of a spec name can be used; `vmi` is the instance that is to use them, if there is one. A volume
 * that can be plugged later is not waited for.
 */
export function readinessOf(spec: Spec, namespace: string, world: ClaimWorld, vmi?: VirtualMachineInstance): Readiness {
  const nodes = new Map<string, string>()
  const volumes = (spec.volumes ?? []).filter((one) => !isHotpluggable(one))
  for (const name of claimNames({ volumes })) {
    const claim = world.claim(name)
    const wait = waitFor(name, namespace, { ...world, claim: () => claim })
    if (wait) return wait
    if (!claim) continue
    const node = nodeOfClaim(claim)
    if (node !== undefined) nodes.set(node, name)
    const holder = vmi && holderOf(claim, vmi, world.users(name))
    if (holder !== undefined)
      return {
        waits: claimReasons.used,
        message: `PVC ${namespace}/${name} is used by the instance ${holder}, and one guest at a time can use it: stop that one, or use a claim with access mode ReadWriteMany and disks with shareable: true in both`,
      }
  }
  const [[node, one] = [], [, other] = []] = nodes
  if (other !== undefined)
    return {
      waits: claimReasons.unbound,
      message: `PVCs ${namespace}/${one} and ${namespace}/${other} are on different nodes, and a guest can be on one only: make them again with the guest's data`,
    }
  return { node }
}

function waitFor(name: string, namespace: string, { claim, dataVolume }: Pick<ClaimWorld, 'claim' | 'dataVolume'>) {
  const found = claim(name)
  const dv = dataVolume(name)
  const isOwn = dv && (!found || dataVolumeOwner(found)?.uid === dv.metadata.uid)
  if (dv && isOwn && dv.status?.phase !== 'Succeeded') {
    const failure = dataVolumeFailure(dv)
    if (failure !== undefined)
      return {
        waits: claimReasons.failed,
        message: `DataVolume ${name} failed to import disk image${failure && `: ${failure}`}`,
      }
    const wait = dataVolumeWait(dv)
    return {
      waits: claimReasons.provisioning,
      message: `DataVolume ${namespace}/${name} is ${dv.status?.phase ?? 'Pending'}, waiting for it to be Succeeded${wait === undefined ? '' : `: ${wait}`}`,
    }
  }
  if (!found)
    return { waits: claimReasons.missing, message: `PVC ${namespace}/${name} does not exist, waiting for it to appear` }
  if (found.metadata.deletionTimestamp)
    return { waits: claimReasons.missing, message: `PVC ${namespace}/${name} is being deleted; make another one` }
  if (!isBound(found))
    return {
      waits: claimReasons.unbound,
      message: `PVC ${namespace}/${name} is not bound, waiting for it to be; see kubectl describe pvc ${name}`,
    }
  return undefined
}

/** The condition DataVolumesReady of an instance; undefined for one without DataVolumes. */
export function dataVolumesReady(
  spec: Spec,
  { claim, dataVolume }: Pick<ClaimWorld, 'claim' | 'dataVolume'>,
): Omit<Condition, 'lastTransitionTime'> | undefined {
  const all = claimNames(spec).flatMap((name) => {
    const found = claim(name)
    const dv = dataVolume(name)
    return dv && (!found || dataVolumeOwner(found)?.uid === dv.metadata.uid) ? [dv] : []
  })
  if (!all.length) return undefined
  const type = 'DataVolumesReady'
  return all.every(({ status }) => status?.phase === 'Succeeded')
    ? { type, status: 'True', reason: 'AllDVsReady', message: "All of the VMI's DVs are bound and ready" }
    : { type, status: 'False', reason: 'NotAllDVsReady', message: "Not all of the VMI's DVs are ready" }
}

/** The volumes of an instance that are claims, as its status has them before the guest runs. */
export function claimStatuses(spec: Spec, { claim }: Pick<ClaimWorld, 'claim'>): VmiStatus['volumeStatus'] {
  const statuses = (spec.volumes ?? []).flatMap((volume) => {
    const claimName = claimNameOf(volume)
    const found = claimName === undefined ? undefined : claim(claimName)
    return found ? [{ name: volume.name, target: '', persistentVolumeClaimInfo: claimInfo(found) }] : []
  })
  return statuses.length ? statuses : undefined
}
