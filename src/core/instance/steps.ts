import type { WantedImage } from '../disk/images.ts'
import type { DiskStep } from '../disk/plan.ts'
import type { Step as NicStep } from '../nic/plan.ts'
import type { DomainEnd, ImagePull } from '../ports.ts'
import type { Attachment } from '../sandbox/plan.ts'
import type { DomainSpec } from '../vm/domain.ts'

/** One effect on a sandbox or on its guest, specific enough that executing it needs no decision. Every step is idempotent. */
export type InstanceStep =
  /**
   * Make the sandbox, or find it complete, with these networks. A failure is recorded for the interfaces of `plugs` if there are
   * any.
   */
  | Readonly<{
      do: 'ensure'
      attachments: readonly Attachment[]
      optional: ReadonlySet<string>
      plugs: readonly NicStep[]
    }>
  /** Release networks of the sandbox, by interface name. */
  | Readonly<{ do: 'release'; names: readonly string[] }>
  /** Begin to pull the image of a volume. A later observation shows whether it is there. */
  | Readonly<{ do: 'pull'; wanted: WantedImage; pull: ImagePull }>
  | Readonly<{ do: 'start'; domain: DomainSpec }>
  | Readonly<{ do: 'update' | 'plug'; nic: NicStep }>
  /** Ask the guest to release a card. The next observation shows whether it has. */
  | Readonly<{ do: 'unplug'; nic: NicStep }>
  | Readonly<{ do: 'rewire'; nic: NicStep; attachment: Attachment; bounce: boolean }>
  /** Bring the disk of a volume into the guest, or the medium of a CD-ROM in or out. */
  | Readonly<{ do: 'attachDisk' | 'changeMedium'; step: Exclude<DiskStep, { do: 'detach' }> }>
  /** Ask the guest to release a disk. The next observation shows whether it has. */
  | Readonly<{ do: 'detachDisk'; step: Extract<DiskStep, { do: 'detach' }> }>
  /** Take files of disks out of the sandbox that the guest has no more. */
  | Readonly<{ do: 'dropFiles'; files: readonly string[] }>
  | Readonly<{ do: 'pause' }>
  /** Resume the guest. `isRetry`: it was paused by an I/O error, which may have passed. */
  | Readonly<{ do: 'resume'; isRetry?: true }>
  /** Carry out the instance's power request (core/vm/power-request.ts). */
  | Readonly<{ do: 'power' }>
  /** Ask the guest to shut down. */
  | Readonly<{ do: 'shutdown' }>
  /** End the guest by its hypervisor; `kill` ends its process when the hypervisor does not answer. */
  | Readonly<{ do: 'destroy' }>
  | Readonly<{ do: 'kill'; cause: unknown }>
  /** Report that the guest has ended, and how. */
  | Readonly<{ do: 'finish'; end: DomainEnd }>
  /** Remove the sandbox, and then its pod. */
  | Readonly<{ do: 'remove' }>
  /** Run one pass of a migration's source. */
  | Readonly<{ do: 'migrate' }>
  /** Run one pass of a migration's target; `from` is the UID of the source's pod. */
  | Readonly<{ do: 'receive'; from: string }>

/** Steps that take so long that earlier changes are reported before them. */
const slow: ReadonlySet<InstanceStep['do']> = new Set(['ensure', 'release', 'rewire', 'start'])

/** Steps that do not change the guest. */
const besideGuest: ReadonlySet<InstanceStep['do']> = new Set(['ensure', 'release', 'pull'])

/** Whether the observation of a guest is still valid after these steps. */
export function leaveGuest(steps: readonly InstanceStep[]): boolean {
  return steps.every((step) => besideGuest.has(step.do))
}

/** Whether one of the steps may take longer than a few milliseconds. */
export function areSlow(steps: readonly InstanceStep[]): boolean {
  return steps.some((step) => slow.has(step.do))
}

/** The key of failures of the whole sandbox; keys of interfaces contain a space. */
export const sandboxKey = 'ensure'

/** The key of cleanup that a rewire left pending: a network to release, a link to restore. */
export const cleanupKey = 'cleanup'

/** The key of failures to copy the traffic of networks to cards. */
export const mirrorKey = 'mirror'

/** The key of I/O errors that the guest is paused by. */
export const ioKey = 'io'

/** The key of failures to pull the image of a volume. */
export function imageKey({ volume }: Pick<WantedImage, 'volume'>): string {
  return `image of ${volume}`
}

/** The key of failures to take files of disks out of the sandbox. */
export const filesKey = 'files'

/** The key of the failures of a disk, and of the requests to release it; no interface has such a name. */
export function diskKey(name: string): string {
  return `disk ${name}`
}

/** The disk of such a key; undefined for any other. */
export function diskOfKey(key: string): string | undefined {
  return /^disk (.+)$/.exec(key)?.[1]
}

/** The key of an interface's failures: its link and its card fail independently. */
export function nicKey({ do: what, nic }: Pick<NicStep, 'do' | 'nic'>): string {
  return what === 'update' ? `link of ${nic.name}` : `card ${nic.name}`
}
