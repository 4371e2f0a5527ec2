import type { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { bytesOfClaim, type ClaimInfo, claimInfo, holderOf, isBound, nodeOfClaim } from './claims.ts'
import type { DiskFile } from './disk.ts'
import { claimReasons } from './readiness.ts'

/** How far a hot plugged volume is (KubeVirt's phases), with the reason and a sentence for its owner. */
export type VolumeState = Readonly<{ phase: string; reason: string; message: string }>

/** What a volume that can be plugged is made of: the file of its disk if that may be used, else what it waits for. */
export type PlugSource = Readonly<{ claim?: string; info: ClaimInfo } & ({ file: DiskFile } | { waits: VolumeState })>

/** What is known of the claim of such a volume. */
export type SeenClaim = Readonly<{
  claim: PersistentVolumeClaim | undefined
  /** Its disk has its content. */
  isPopulated: boolean
  /** Other instances of its node whose volumes name it. */
  users: readonly VirtualMachineInstance[]
}>

/** What a volume of a guest on a node is made of, by the name of its claim. */
export function plugSourceOf(
  name: string,
  vmi: VirtualMachineInstance,
  { claim, isPopulated, users }: SeenClaim,
  nodeName: string,
): PlugSource {
  const at = `${vmi.metadata.namespace ?? 'default'}/${name}`
  const info = claim ? claimInfo(claim) : { claimName: name }
  const waits = (phase: string, reason: string, message: string): PlugSource => ({
    ...(claim && { claim: claim.metadata.uid ?? '' }),
    info,
    waits: { phase, reason, message },
  })
  if (!claim) return waits('Pending', claimReasons.missing, `PVC ${at} does not exist, waiting for it to appear`)
  if (claim.metadata.deletionTimestamp)
    return waits('Pending', claimReasons.missing, `PVC ${at} is being deleted; make another one`)
  if (!isBound(claim)) return waits('Pending', notReady, `PVC ${at} is not bound, waiting for it to be`)
  const node = nodeOfClaim(claim)
  if (node !== nodeName)
    return waits(
      'Bound',
      notReady,
      `the disk of PVC ${at} is on node ${node}, and the guest is on ${nodeName}: make the claim again on that node`,
    )
  if (!isPopulated) return waits('Bound', notReady, `the disk of PVC ${at} has not got its content, waiting for it`)
  const holder = holderOf(claim, vmi, users)
  if (holder !== undefined)
    return waits(
      'Bound',
      claimReasons.used,
      `PVC ${at} is used by the instance ${holder}, waiting for it to be released`,
    )
  const file = { is: 'claim', uid: claim.metadata.uid ?? '', bytes: bytesOfClaim(claim), isOverlaid: false } as const
  return { claim: file.uid, info, file }
}

/** Reason of a volume whose claim cannot be used yet (KubeVirt). */
const notReady = 'PVCNotReady'
