import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { PlugSource } from '../disk/plug-source.ts'
import { isMigrating, podRole } from '../migration/pod-role.ts'
import type { AttachmentMode } from '../migration/required.ts'
import type { LinkDrift } from '../nic/drift.ts'
import type { DomainEnd, ObservedDomain, SandboxState } from '../ports.ts'
import type { FindNads } from '../sandbox/plan.ts'
import { isScheduled } from '../vm/launcher.ts'
import { isFinal } from '../vm/power.ts'
import type { Failures } from './backoff.ts'
import type { SeenVolumes } from './volumes.ts'

/**
 * The instance that a pod was created for: it is `here`, on this node; `elsewhere`, so on another node or on none yet; proven
 * `gone`; or `unknown` because the pod has no owner.
 */
export type Owner = Readonly<{ is: 'here'; vmi: VirtualMachineInstance } | { is: 'elsewhere' | 'gone' | 'unknown' }>

/**
 * A guest as its hypervisor reports it: there; not there, with how the last one ended if there was one; or unknown because the
 * hypervisor does not answer, with whether a process of the guest runs.
 */
export type GuestObservation = Readonly<
  | { is: 'there'; domain: ObservedDomain }
  | { is: 'none'; end: DomainEnd | undefined }
  | { is: 'silent'; cause: unknown; hasProcess: boolean }
>

/** Times of requests that a guest carries out on its own time, milliseconds since the epoch. */
export type GuestRequests = Readonly<{
  /** The last request to shut down. */
  shutdownMs?: number
  /** The first and the last request to release each card, by interface, and each disk, by `diskKey`. */
  unplug: ReadonlyMap<string, Readonly<{ firstMs: number; lastMs: number }>>
}>

/** Everything that the plan for one pod of this node depends on. What the task does not need is not observed. */
export type Observation = Readonly<{
  pod: Pod
  vmi: VirtualMachineInstance
  /** UID of the pod that the instance's guest is in, if it is on this node. */
  activePodUid: string | undefined
  /** Absent until the sandbox has been made, or found complete, in this pass. */
  sandbox?: SandboxState
  guest?: GuestObservation
  /** The image that the guest boots from, if this node lacks it. */
  missingImage?: string
  /** What the guest's disks are made of; absent for a guest that does not start, or has no volumes. */
  volumes?: SeenVolumes
  /** What the volumes are made of that may come to a running guest, by name. */
  plugs?: ReadonlyMap<string, PlugSource>
  drift: LinkDrift
  /** Cards whose taps were lost and that have not been plugged again. */
  deaf: ReadonlySet<string>
  /** Why the liveness probe failed, and since when (milliseconds since the epoch). */
  unwell?: Readonly<{ message: string; sinceMs: number }>
  /** The power request was carried out in this pass. */
  isRequestDone: boolean
  mode: AttachmentMode
  nads: FindNads
  nodeName: string
  requested: GuestRequests
  failures: Failures
  nowMs: number
}>

/** The task for a pod, determined before its sandbox is observed. */
export type Task = Readonly<
  | { do: 'nothing' }
  /** Migrate the guest to another sandbox, or abort that migration. */
  | { do: 'migrate'; vmi: VirtualMachineInstance; isUnwanted: boolean }
  | { do: 'receive'; vmi: VirtualMachineInstance }
  /** End the guest if `vmi` is given, then remove the sandbox. */
  | { do: 'remove'; vmi: VirtualMachineInstance | undefined; sinceMs: number }
  /** End the guest: its instance is being deleted; the pod is deleted once the guest has ended. */
  | { do: 'stop'; vmi: VirtualMachineInstance; sinceMs: number }
  | { do: 'run'; vmi: VirtualMachineInstance }
>

/**
 * Whether a pod whose instance is not on this node is removed with its sandbox. An instance that is assigned to this node later
 * causes another pass; a pod without an owner is not managed by the agent unless it is being deleted.
 */
export function isOrphaned({ metadata }: Pod, owner: Exclude<Owner, { is: 'here' }>): boolean {
  return owner.is === 'gone' || metadata.deletionTimestamp !== undefined
}

/** Determines the task for a pod whose instance is on this node. */
export function taskOf(pod: Pod, vmi: VirtualMachineInstance): Task {
  const isGoing = pod.metadata.deletionTimestamp !== undefined
  const role = podRole(pod, vmi)
  const { deletionTimestamp } = vmi.metadata
  const isMoving = role === 'active' && isMigrating(vmi) && isReadyToMove(vmi)
  const isUnwanted = isGoing || deletionTimestamp !== undefined
  // A guest can be ended only when there is one copy of it.
  if (isMoving && (isUnwanted || !isFinal(vmi))) return { do: 'migrate', vmi, isUnwanted }
  if (isGoing) {
    const hasGuest = role === 'active' && isScheduled(vmi) && !isFinal(vmi)
    const sinceMs = Date.parse(deletionTimestamp ?? pod.metadata.deletionTimestamp ?? '')
    return { do: 'remove', vmi: hasGuest ? vmi : undefined, sinceMs }
  }
  if (isFinal(vmi) || role === 'released') return { do: 'nothing' }
  if (role === 'target') return { do: 'receive', vmi }
  if (deletionTimestamp && isScheduled(vmi)) return { do: 'stop', vmi, sinceMs: Date.parse(deletionTimestamp) }
  return { do: 'run', vmi }
}

/** Whether the agents may migrate an instance's guest, or do so already: the sandbox of the target is ready. */
function isReadyToMove({ status }: VirtualMachineInstance): boolean {
  return status?.migrationState?.targetNodeAddress !== undefined
}
