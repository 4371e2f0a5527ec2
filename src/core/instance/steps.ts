import type { Step as NicStep } from '../nic/plan.ts'
import type { DomainEnd } from '../ports.ts'
import type { Attachment } from '../sandbox/plan.ts'
import type { DomainSpec } from '../vm/domain.ts'

/**
 * One effect on a sandbox or on its guest, specific enough that carrying it out needs no decision. Every step can be repeated:
 * done twice is done once.
 */
export type InstanceStep =
  /** Make the sandbox, or find it, with these networks. A failure counts for the interfaces `plugs` if there are any. */
  | Readonly<{
      do: 'ensure'
      attachments: readonly Attachment[]
      optional: ReadonlySet<string>
      plugs: readonly NicStep[]
    }>
  /** Take networks out of the sandbox, by interface name. */
  | Readonly<{ do: 'release'; names: readonly string[] }>
  | Readonly<{ do: 'start'; domain: DomainSpec }>
  | Readonly<{ do: 'update' | 'plug'; nic: NicStep }>
  /** Ask the guest to release a card. The next observation shows whether it has. */
  | Readonly<{ do: 'unplug'; nic: NicStep }>
  | Readonly<{ do: 'rewire'; nic: NicStep; attachment: Attachment; bounce: boolean }>
  | Readonly<{ do: 'pause' | 'resume' }>
  /** Carry out the instance's power request (core/vm/power-request.ts). */
  | Readonly<{ do: 'power' }>
  /** Ask the guest to shut down. */
  | Readonly<{ do: 'shutdown' }>
  /** End the guest by its hypervisor, and by its process where that does not answer. */
  | Readonly<{ do: 'destroy' }>
  | Readonly<{ do: 'kill'; cause: unknown }>
  /** Write down that the guest has ended, and how. */
  | Readonly<{ do: 'finish'; end: DomainEnd }>
  /** Remove the sandbox, and then its pod. */
  | Readonly<{ do: 'remove' }>
  /** Take a migration away from here one step further. */
  | Readonly<{ do: 'migrate' }>
  /** Make the sandbox that a guest comes to; `from` is the UID of the pod it comes from. */
  | Readonly<{ do: 'receive'; from: string }>

/** Steps that take so long that what was done before them is to be seen first. */
const slow: ReadonlySet<InstanceStep['do']> = new Set(['ensure', 'release', 'rewire', 'start'])

/** Steps that leave the guest as it is. */
const besideGuest: ReadonlySet<InstanceStep['do']> = new Set(['ensure', 'release'])

/** Whether a guest that was seen before these steps is the same after them. */
export function leaveGuest(steps: readonly InstanceStep[]): boolean {
  return steps.every((step) => besideGuest.has(step.do))
}

/** Whether one of the steps may take longer than a few milliseconds. */
export function areSlow(steps: readonly InstanceStep[]): boolean {
  return steps.some((step) => slow.has(step.do))
}

/** The key of failures of the whole sandbox; no interface is called so. */
export const sandboxKey = 'ensure'

/** The key of what a rewire left to be done: a network to give back, a link to raise. */
export const cleanupKey = 'cleanup'

/** The key of an interface's failures. Its link is one matter, where its card is another. */
export function nicKey({ do: what, nic }: Pick<NicStep, 'do' | 'nic'>): string {
  return what === 'update' ? `link of ${nic.name}` : `card ${nic.name}`
}
