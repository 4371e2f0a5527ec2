import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { isMigrating, podRole } from '../migration/pod-role.ts'
import type { AttachmentMode } from '../migration/required.ts'
import type { LinkDrift } from '../nic/drift.ts'
import type { DomainEnd, ObservedDomain, SandboxState } from '../ports.ts'
import type { FindNads } from '../sandbox/plan.ts'
import { isScheduled } from '../vm/launcher.ts'
import { isFinal } from '../vm/power.ts'
import type { Failures } from './backoff.ts'

/**
 * What is known of the instance a pod was made for: it is `here`, on this node; it is there but not here, or not yet; it is
 * proven gone; or the pod does not say which it is.
 */
export type Owner = Readonly<{ is: 'here'; vmi: VirtualMachineInstance } | { is: 'elsewhere' | 'gone' | 'unknown' }>

/**
 * A guest as its hypervisor has it: there; not there, and how the last one ended if there ever was one; or not to be found out,
 * and whether a process of it runs.
 */
export type GuestObservation = Readonly<
  | { is: 'there'; domain: ObservedDomain }
  | { is: 'none'; end: DomainEnd | undefined }
  | { is: 'silent'; cause: unknown; hasProcess: boolean }
>

/** When a guest was asked for something it takes its time for, milliseconds since the epoch. */
export type GuestRequests = Readonly<{
  /** To shut down, the last time. */
  shutdownMs?: number
  /** To let go of cards, by interface: the first time and the last one. */
  unplug: ReadonlyMap<string, Readonly<{ firstMs: number; lastMs: number }>>
}>

/** Everything that decides what is to be done about one pod of this node. What a task has no use for is not looked at. */
export type Observation = Readonly<{
  pod: Pod
  owner: Owner
  /** UID of the pod the instance's guest is in, as far as that is on this node. */
  activePodUid: string | undefined
  /** Absent until the sandbox has been made, or found whole, in this pass. */
  sandbox?: SandboxState
  guest?: GuestObservation
  /** The image the guest boots from, where this node does not have it. */
  missingImage?: string
  drift: LinkDrift
  /** Cards whose taps were lost, until they have been plugged again. */
  deaf: ReadonlySet<string>
  /** Why the liveness probe wants the guest to go, and since when (milliseconds since the epoch). */
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

/** What there is to do about a pod, before anything of its sandbox has been looked at. */
export type Task = Readonly<
  | { do: 'nothing' }
  /** Move the guest to another sandbox, or call that off. */
  | { do: 'migrate'; vmi: VirtualMachineInstance; isUnwanted: boolean }
  | { do: 'receive'; vmi: VirtualMachineInstance }
  /** End the guest, if `vmi` is given, and then take the sandbox away. */
  | { do: 'remove'; vmi: VirtualMachineInstance | undefined; sinceMs: number }
  /** End the guest: its instance is deleted, and its pod will be once it has ended. */
  | { do: 'stop'; vmi: VirtualMachineInstance; sinceMs: number }
  | { do: 'run'; vmi: VirtualMachineInstance }
>

/** Finds out what a pod is there for. */
export function taskOf(pod: Pod, owner: Owner): Task {
  const isGoing = pod.metadata.deletionTimestamp !== undefined
  // An instance that is not here yet causes another pass when it comes. A pod without an owner is not the agent's.
  if (!isGoing && (owner.is === 'elsewhere' || owner.is === 'unknown')) return { do: 'nothing' }
  if (owner.is !== 'here') return { do: 'remove', vmi: undefined, sinceMs: 0 }
  const { vmi } = owner
  const role = podRole(pod, vmi)
  const { deletionTimestamp } = vmi.metadata
  const isMoving = role === 'active' && isMigrating(vmi) && isReadyToMove(vmi)
  const isUnwanted = isGoing || deletionTimestamp !== undefined
  // Wherever its guest is, it must be in one place before it can be ended.
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

/** Whether the agents have begun, or may begin, to move an instance's guest: the sandbox it goes to is ready. */
function isReadyToMove({ status }: VirtualMachineInstance): boolean {
  return status?.migrationState?.targetNodeAddress !== undefined
}
