import type { GuestAction, PciPorts } from '#apis/kubevirt/guest.ts'
import type { Field, Nic, ObservedNic } from './nic/nic.ts'
import type { GuestInterface } from './nic/status.ts'
import type { SandboxOwner } from './sandbox/owner.ts'
import type { Attachment } from './sandbox/plan.ts'
import type { DomainSpec } from './vm/domain.ts'
import type { GuestInfo } from './vm/guest-info.ts'
import type { Check } from './vm/probe.ts'

/** What a guest is doing, as its hypervisor sees it; `moving` is one that neither runs nor rests: it comes or goes. */
type DomainState = 'running' | 'paused' | 'shutting-down' | 'moving'

/** Why a guest is not there any more. */
export type DomainEnd = 'shutdown' | 'destroyed' | 'crashed'

/** A guest as its hypervisor has it. */
export type ObservedDomain = Readonly<{
  state: DomainState
  uuid: string
  nics: readonly ObservedNic[]
  agentConnected: boolean
  ports: PciPorts
  pid?: number
}>

/** Traffic of one interface as its guest sees it; -1 for what is not known. */
export type NicTraffic = Readonly<
  { name: string } & Record<
    'rxBytes' | 'rxPackets' | 'rxErrors' | 'rxDropped' | 'txBytes' | 'txPackets' | 'txErrors' | 'txDropped',
    number
  >
>

/** How a guest is moved. Nothing means: without that limit. */
export type MoveOptions = Readonly<{ bandwidthMiBs?: number; maxDowntimeMs: number; isAutoConverging: boolean }>

/** A move that is underway, in the bytes that are still to go. */
export type MoveProgress = Readonly<{ remainingBytes: number }>

/**
 * The guest of a sandbox, as a domain of its hypervisor. Every method but `restart` is idempotent. Faults: Unavailable when the
 * hypervisor does not answer.
 */
export interface Domain {
  /** The guest, or undefined when there is none. */
  observe(signal: AbortSignal): Promise<ObservedDomain | undefined>
  create(domain: DomainSpec, signal: AbortSignal): Promise<void>
  /** Asks the guest to shut down and does not wait. */
  shutdown(signal: AbortSignal): Promise<void>
  /** Ends the guest at once. */
  destroy(signal: AbortSignal): Promise<void>
  /** Stops the guest's CPUs, and lets them go on. */
  pause(signal: AbortSignal): Promise<void>
  resume(signal: AbortSignal): Promise<void>
  /**
   * `Reset` starts the guest anew as its reset button would, without asking it; `SoftReboot` tells it to reboot, by its agent or
   * else by its power button.
   */
  restart(how: GuestAction, signal: AbortSignal): Promise<void>
}

/** The cards of a guest that runs. Every method is idempotent. Faults: Unavailable when there is no guest. */
export interface Cards {
  update(nic: Nic, changed: readonly Field[], signal: AbortSignal): Promise<void>
  /** Gives the guest a card on a network its sandbox has. */
  plug(nic: Nic, signal: AbortSignal): Promise<void>
  /** Asks the guest to let go of a card, and does not wait; none of that name is no error. */
  unplug(nic: Nic, signal: AbortSignal): Promise<void>
  /** Traffic of every interface since its tap was made. */
  traffic(signal: AbortSignal): Promise<readonly NicTraffic[]>
}

/** The agent inside a guest. Faults: Unavailable when there is none, Timeout. */
export interface GuestAgent {
  /** Network devices as the guest has them; undefined when it does not answer. */
  interfaces(signal: AbortSignal): Promise<readonly GuestInterface[] | undefined>
  /** What it says of guest and itself. */
  info(signal: AbortSignal): Promise<GuestInfo>
  /** Resolves when it answers. */
  ping(signal: AbortSignal): Promise<void>
  /** Runs a command in the guest and resolves to its exit code. */
  execute(command: readonly string[], timeoutMs: number, signal: AbortSignal): Promise<number>
}

/** The migration of a guest away from its sandbox. */
export interface MigrationJob {
  /**
   * Moves the guest to the sandbox `to` on behalf of a migration (its UID); it arrives with its CPUs stopped. Resolves when the
   * hypervisors are done with it; where the guest is then, only a look tells, whether this resolves or rejects.
   */
  start(migration: string, to: string, options: MoveOptions): Promise<void>
  /** How far it is, or undefined when there is none underway. */
  progress(signal: AbortSignal): Promise<MoveProgress | undefined>
  /** Calls it off; none is no error. */
  abort(signal: AbortSignal): Promise<void>
}

/**
 * The hypervisor of a sandbox. Who only looks at guests is given no more than the parts of it for that, so that a guest which is
 * not Patchbay's own cannot be ended by it.
 */
export type Hypervisor = Readonly<{ domain: Domain; cards: Cards; guestAgent: GuestAgent; job: MigrationJob }>

/** Whom a probe tries. `ip` is the guest's address on the pod network. */
export type ProbeTarget = Readonly<{
  ip: string | undefined
  hypervisor: Readonly<{ domain: Pick<Domain, 'observe'>; guestAgent: GuestAgent }>
}>

/** Finds out whether a guest is well. */
export interface Prober {
  /** Why a check failed, for humans; undefined when it succeeded. */
  check(check: Check, target: ProbeTarget, timeoutMs: number, signal: AbortSignal): Promise<string | undefined>
}

/** What identifies a sandbox: the UID of its pod; names are for humans. */
export type SandboxId = Readonly<{ uid: string; namespace: string; name: string }>

/** A sandbox that is on the host, and whose it is as far as it says so. */
export type FoundSandbox = SandboxId & Readonly<{ owner?: SandboxOwner }>

/**
 * A sandbox as wanted. What it has beside these attachments stays until it is released, and one that is on another network
 * stays there until it is rewired. An attachment that is `optional` and cannot be made is told in the state; any other fails
 * the whole.
 */
export type SandboxSpec = SandboxId &
  Readonly<{
    owner: SandboxOwner
    attachments: readonly Attachment[]
    optional?: ReadonlySet<string>
    /** The user its QEMU runs as on the host (uid); absent for pods made before each guest had its own. */
    user?: number
    /** UUID of its guest's domain: any other one is not Patchbay's. */
    domain: string
    /** What its pod is limited to, bytes: its processes are held to that and something more, where the host allows it. */
    memoryBytes?: number
    /** The sandbox its guest is to come from; counts only while its hypervisor is started. */
    incoming?: Incoming
  }>

/** From which sandbox a guest comes, by which migration. */
export type Incoming = Readonly<{ from: string; migration: string }>

/** A sandbox as it is. `ips` are the addresses CNI gave, by attachment. */
export type SandboxState = Readonly<{
  ips: ReadonlyMap<string, readonly string[]>
  hypervisor: Hypervisor
  /** Everything that is attached, by name. */
  attached: ReadonlySet<string>
  /** Why optional attachments could not be made. */
  failed: ReadonlyMap<string, unknown>
  /** The network each attachment is on, which is not the wanted one before it is rewired. */
  networks: ReadonlyMap<string, string>
  /** Why something that a move left to be done could not be: a network to give back, a link to raise. `ensure` tries again. */
  pendingCleanup: readonly unknown[]
  /** What was found damaged and has been mended by this, in words; told once. */
  repaired: readonly string[]
  /** Cards of the guest, by name, that were found without a tap: there is one again, and they are to be plugged anew. Told once. */
  deaf: readonly string[]
}>

/** The sandboxes of a host. Every method is idempotent and repeatable after a crash at any point. */
export interface Lifecycle {
  /** Makes the sandbox as wanted, or finds it so. Faults: Invalid for a bad network configuration, Unavailable, Timeout. */
  ensure(spec: SandboxSpec, signal: AbortSignal): Promise<SandboxState>
  /** The hypervisor of a sandbox, as far as it answers; it is `ensure` that starts one. */
  hypervisorOf(uid: string): Hypervisor | undefined
  /**
   * The hypervisor of a sandbox whatever became of its networks, started again if it has ended; undefined when nothing was
   * ever made there. Faults: Unavailable when it does not answer.
   */
  connect(uid: string, signal: AbortSignal): Promise<Hypervisor | undefined>
  /**
   * Takes everything of a sandbox away: guest, processes, links, leases, namespace, files. Resolves to sentences about what
   * could not be undone and is not tried again.
   */
  remove(uid: string, signal: AbortSignal): Promise<readonly string[]>
  /** All sandboxes there are traces of. */
  list(): Promise<readonly FoundSandbox[]>
  /** Strikes out whose a sandbox is: it is left alone from then on, unless `ensure` is called for it. */
  disown(uid: string): Promise<void>
  /**
   * Called with a sandbox's UID whenever something in it may have changed; `isNetwork` when its guest has taken an address,
   * so that it has news about its network.
   */
  onChange(listener: (uid: string, isNetwork?: boolean) => void): void
}

/** The networks of sandboxes that exist. Every method is idempotent and repeatable after a crash at any point. */
export interface Networks {
  /**
   * Moves an attachment that a guest has a card on to another network. The card, its tap and its address stay; its link is
   * `link` in the end, and goes down and up meanwhile if `bounce`. When it fails, the card is on the network it was on. The
   * network that is left is given back by the next `ensure`.
   */
  rewire(
    uid: string,
    attachment: Attachment,
    how: Readonly<{ bounce: boolean; link: 'up' | 'down' }>,
    signal: AbortSignal,
  ): Promise<void>
  /** Gives networks of a sandbox back that its guest does not have any more. */
  release(uid: string, names: readonly string[], signal: AbortSignal): Promise<void>
}

/** The processes of guests, whatever their hypervisors know of them. */
export interface GuestProcesses {
  /** Whether there is one in a sandbox. */
  has(uid: string): Promise<boolean>
  /** Ends it. Resolves when it is proven gone. */
  kill(uid: string): Promise<void>
  /** Why the last guest of a sandbox ended, asked only when there is none; undefined when none was ever started there. */
  lastEnd(uid: string, domain: string): Promise<DomainEnd | undefined>
}

/** What an agent does on its host, by what it is done to. */
export type Host = Readonly<{ lifecycle: Lifecycle; networks: Networks; processes: GuestProcesses }>

/** Images guests boot from, on this host. */
export interface Images {
  /** True when the image is complete. */
  has(name: string): Promise<boolean>
}
