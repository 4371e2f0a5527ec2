import type { GuestAction, PciPorts } from '#apis/kubevirt/guest.ts'
import type { DomainDisk } from './disk/disk.ts'
import type { Field, Nic, ObservedNic } from './nic/nic.ts'
import type { GuestInterface } from './nic/status.ts'
import type { Mirror } from './sandbox/mirrors.ts'
import type { SandboxOwner } from './sandbox/owner.ts'
import type { Attachment } from './sandbox/plan.ts'
import type { DomainSpec } from './vm/domain.ts'
import type { GuestInfo } from './vm/guest-info.ts'
import type { Check } from './vm/probe.ts'

/** What a guest is doing, as its hypervisor sees it; `moving` is a guest that is being migrated and does not run here. */
type DomainState = 'running' | 'paused' | 'shutting-down' | 'moving'

/** How a guest ended. */
export type DomainEnd = 'shutdown' | 'destroyed' | 'crashed'

/** A guest as its hypervisor reports it. */
export type ObservedDomain = Readonly<{
  state: DomainState
  uuid: string
  nics: readonly ObservedNic[]
  /** Absent where they are not asked for. */
  disks?: readonly ObservedDisk[]
  /** Files of claims in its sandbox that none of its disks is made of. */
  unusedFiles?: readonly string[]
  agentConnected: boolean
  ports: PciPorts
  pid?: number
  /** It is paused because a disk could not be read or written. */
  isIoError?: boolean
}>

/**
 * A disk of a guest, by alias: its name in the guest's hypervisor (vda), the name of its file in the sandbox's folder of disks,
 * which an empty CD-ROM does not have, and whether the tray of a CD-ROM is open.
 */
export type ObservedDisk = Readonly<{ alias: string; target: string; file?: string; isOpen?: true }>

/** Traffic of one interface as its guest sees it; -1 for an unknown value. */
export type NicTraffic = Readonly<
  { name: string } & Record<
    'rxBytes' | 'rxPackets' | 'rxErrors' | 'rxDropped' | 'txBytes' | 'txPackets' | 'txErrors' | 'txDropped',
    number
  >
>

/** Limits of a migration; an absent one is no limit. */
export type MigrationOptions = Readonly<{ bandwidthMiBs?: number; maxDowntimeMs: number; isAutoConverging: boolean }>

/** The progress of a running migration job. */
export type MigrationProgress = Readonly<{ remainingBytes: number }>

/**
 * The guest of a sandbox, as a domain of its hypervisor. Every method but `restart` is idempotent. Faults: Unavailable when the
 * hypervisor does not answer.
 */
export interface Domain {
  /** The guest, or undefined when there is none. */
  observe(signal: AbortSignal): Promise<ObservedDomain | undefined>
  create(domain: DomainSpec, signal: AbortSignal): Promise<void>
  /** Requests the guest to shut down and does not wait. */
  shutdown(signal: AbortSignal): Promise<void>
  /** Ends the guest at once. */
  destroy(signal: AbortSignal): Promise<void>
  /** Stops the guest's CPUs; `resume` starts them again. */
  pause(signal: AbortSignal): Promise<void>
  resume(signal: AbortSignal): Promise<void>
  /**
   * `Reset` resets the guest like a reset button; `SoftReboot` requests it to reboot, by its agent or else by its power button.
   */
  restart(how: GuestAction, signal: AbortSignal): Promise<void>
}

/** The cards of a running guest. Every method is idempotent. Faults: Unavailable when there is no guest. */
export interface Cards {
  update(nic: Nic, changed: readonly Field[], signal: AbortSignal): Promise<void>
  /** Plugs a card on a network that the sandbox has. */
  plug(nic: Nic, signal: AbortSignal): Promise<void>
  /** Requests the guest to release a card, and does not wait; a card that does not exist is no error. */
  unplug(nic: Nic, signal: AbortSignal): Promise<void>
  /** Traffic of every interface since its tap was made. */
  traffic(signal: AbortSignal): Promise<readonly NicTraffic[]>
}

/** The disks of a running guest that come and go. Every method is idempotent. Faults: Unavailable when there is no guest. */
export interface Disks {
  /** Brings the file of a disk into the sandbox and attaches it. */
  attach(disk: DomainDisk, alias: string, signal: AbortSignal): Promise<void>
  /** Requests the guest to release a disk, and does not wait; a disk that does not exist is no error. */
  detach(alias: string, signal: AbortSignal): Promise<void>
  /** Inserts the file of a CD-ROM, or ejects what is in it when the disk has none. */
  change(disk: DomainDisk, alias: string, signal: AbortSignal): Promise<void>
  /** Takes files out of the sandbox that no disk of the guest is made of. */
  drop(files: readonly string[], signal: AbortSignal): Promise<void>
}

/** The users of a guest, as its agent sets them. Every method is idempotent. Faults: Unavailable, Timeout; none has a secret in it. */
export interface GuestAccounts {
  /** Replaces all SSH keys of a user. */
  setAuthorizedKeys(user: string, keys: readonly string[], signal: AbortSignal): Promise<void>
  setPassword(user: string, password: string, signal: AbortSignal): Promise<void>
}

/** The agent inside a guest. Faults: Unavailable when there is none, Timeout. */
export interface GuestAgent extends GuestAccounts {
  /** Network devices as the guest has them; undefined when it does not answer. */
  interfaces(signal: AbortSignal): Promise<readonly GuestInterface[] | undefined>
  /** What the agent reports about the guest and itself. */
  info(signal: AbortSignal): Promise<GuestInfo>
  /** Resolves when the agent answers. */
  ping(signal: AbortSignal): Promise<void>
  /** Runs a command in the guest and resolves to its exit code. */
  execute(command: readonly string[], timeoutMs: number, signal: AbortSignal): Promise<number>
}

/** The migration of a guest away from its sandbox. */
export interface MigrationJob {
  /**
   * Migrates the guest to the sandbox `to` on behalf of a migration (its UID); it arrives with its CPUs stopped. Settles when the
   * hypervisors have ended the job; whether it resolves or rejects, only an observation shows where the guest is.
   */
  start(migration: string, to: string, options: MigrationOptions): Promise<void>
  /** The progress of the running job; undefined when there is none. */
  progress(signal: AbortSignal): Promise<MigrationProgress | undefined>
  /** Aborts the job; none is no error. */
  abort(signal: AbortSignal): Promise<void>
  /** What the guest does at this end; undefined when it is not here. It costs less than to observe the whole domain. */
  guestState(signal: AbortSignal): Promise<ObservedDomain['state'] | undefined>
}

/**
 * What may be done with a guest whose domain is not Patchbay's own: it is observed. Everything that changes or ends a guest takes a
 * Hypervisor, which this is not.
 */
export type GuestView = Readonly<{
  domain: Pick<Domain, 'observe'>
  cards: Pick<Cards, 'traffic'>
  guestAgent: Pick<GuestAgent, 'interfaces' | 'info' | 'ping'>
}>

/** The hypervisor of a sandbox, whose guest is Patchbay's own. Components that only observe take a GuestView. */
export type Hypervisor = Readonly<{
  domain: Domain
  cards: Cards
  disks: Disks
  guestAgent: GuestAgent
  job: MigrationJob
}>

/** The target of a probe. `ip` is the guest's address on the pod network. */
export type ProbeTarget = Readonly<{
  ip: string | undefined
  hypervisor: Pick<GuestView, 'domain'> & Readonly<{ guestAgent: GuestAgent }>
}>

/** Checks whether a guest is healthy. */
export interface Prober {
  /** Why a check failed, for humans; undefined when it succeeded. */
  check(check: Check, target: ProbeTarget, timeoutMs: number, signal: AbortSignal): Promise<string | undefined>
}

/** What identifies a sandbox: the UID of its pod; names are for humans. */
export type SandboxId = Readonly<{ uid: string; namespace: string; name: string }>

/** A sandbox on the host, with its owner if that is recorded. */
export type FoundSandbox = SandboxId & Readonly<{ owner?: SandboxOwner }>

/**
 * A sandbox as wanted. Other attachments that it has stay until they are released, and an attachment on another network stays
 * there until it is rewired. The failure of an `optional` attachment is reported in the state; that of any other one fails the
 * whole.
 */
export type SandboxSpec = SandboxId &
  Readonly<{
    owner: SandboxOwner
    attachments: readonly Attachment[]
    optional?: ReadonlySet<string>
    /** The user its QEMU runs as on the host (uid); absent for pods made before each guest had its own. */
    user?: number
    /** UUID of its guest's domain; any other domain is ignored. */
    domain: string
    /** The memory limit of its pod, bytes: its processes are limited to that and some overhead, if the host allows it. */
    memoryBytes?: number
    /** Bridges of the host whose traffic is copied to its cards; none unless given. Their failures are reported in the state. */
    mirrors?: readonly Mirror[]
    /** The source of an incoming migration; used only when its hypervisor is started. */
    incoming?: Incoming
  }>

/** The sandbox that a guest comes from, and the UID of its migration. */
export type Incoming = Readonly<{ from: string; migration: string }>

/** A sandbox as it is. `ips` are the addresses that CNI assigned, by attachment. */
export type SandboxState = Readonly<{
  ips: ReadonlyMap<string, readonly string[]>
  hypervisor: Hypervisor
  /** Names of all attachments. */
  attached: ReadonlySet<string>
  /** Why optional attachments could not be made. */
  failed: ReadonlyMap<string, unknown>
  /** The network of each attachment, which is the old one until it is rewired. */
  networks: ReadonlyMap<string, string>
  /** Failures of cleanup that a rewire left: releasing a network or restoring a link. `ensure` tries again. */
  pendingCleanup: readonly unknown[]
  /** PCI addresses of the host's devices that interfaces have, by interface. */
  devices: ReadonlyMap<string, string>
  /** Why the traffic of networks is not copied to a card, by interface. */
  unmirrored: ReadonlyMap<string, unknown>
  /** Descriptions of damage that this call has repaired; reported once. */
  repaired: readonly string[]
  /**
   * Names of the guest's cards whose taps were lost: the taps exist again, and the cards have to be plugged again. Reported once.
   */
  deaf: readonly string[]
}>

/** The sandboxes of a host. Every method is idempotent and repeatable after a crash at any point. */
export interface Lifecycle {
  /**
   * Makes the sandbox as wanted, or finds it complete. Faults: Invalid for a bad network configuration, Unavailable, Timeout.
   */
  ensure(spec: SandboxSpec, signal: AbortSignal): Promise<SandboxState>
  /** The connected hypervisor of a sandbox; `ensure` starts one. */
  hypervisorOf(uid: string): Hypervisor | undefined
  /**
   * The hypervisor of a sandbox whatever the state of its networks, restarted if it has ended; undefined when the sandbox was
   * never made. Faults: Unavailable when it does not answer.
   */
  connect(uid: string, signal: AbortSignal): Promise<Hypervisor | undefined>
  /**
   * Removes everything of a sandbox: guest, processes, links, leases, namespace, files. Resolves to sentences about what could
   * not be undone and is not tried again.
   */
  remove(uid: string, signal: AbortSignal): Promise<readonly string[]>
  /** All sandboxes of which anything is on the host. */
  list(): Promise<readonly FoundSandbox[]>
  /** Drops the recorded owner of a sandbox: it is kept from then on, unless `ensure` is called for it. */
  disown(uid: string): Promise<void>
  /**
   * Registers a listener for sandboxes that may have changed, by UID; `isNetwork` when the guest has taken an address, so that
   * its network devices have changed. Returns a function that ends it.
   */
  onChange(listener: (uid: string, isNetwork?: boolean) => void): () => void
}

/** The networks of sandboxes that exist. Every method is idempotent and repeatable after a crash at any point. */
export interface Networks {
  /**
   * Rewires an attachment to another network. The card, its tap and its address stay; its link is `link` afterwards, and goes
   * down and up meanwhile if `bounce`. After a failure the card is on the old network. The next `ensure` releases the network
   * that is not used.
   */
  rewire(
    uid: string,
    attachment: Attachment,
    how: Readonly<{ bounce: boolean; link: 'up' | 'down' }>,
    signal: AbortSignal,
  ): Promise<void>
  /** Releases networks of a sandbox that its guest no longer has. */
  release(uid: string, names: readonly string[], signal: AbortSignal): Promise<void>
}

/** The processes of guests, independent of their hypervisors. */
export interface GuestProcesses {
  /** Whether a guest's process runs in a sandbox. */
  has(uid: string): Promise<boolean>
  /** Kills the guest's processes. Resolves when they are proven gone. */
  kill(uid: string): Promise<void>
  /** How the last guest of a sandbox ended; undefined when none was ever started. Called only when there is no guest. */
  lastEnd(uid: string, domain: string): Promise<DomainEnd | undefined>
}

/** The host as an agent uses it. */
export type Host = Readonly<{ lifecycle: Lifecycle; networks: Networks; processes: GuestProcesses }>

/** The kernel images of this host, from which guests boot without a disk. */
export interface Images {
  /** Whether the image exists and is complete. */
  has(name: string): Promise<boolean>
}

/** A disk image on this host: checked, and never changed. */
export type DiskImage = Readonly<{
  /** SHA-256 of the file, hexadecimal: identifies the image. */
  digest: string
  format: 'qcow2' | 'raw'
  /** Size of the disk that a guest sees, bytes. */
  virtualBytes: number
}>

/** A user of a server. */
export type Credential = Readonly<{ username: string; password: string }>

/** The credentials of a registry by host, as in a Secret of type kubernetes.io/dockerconfigjson. */
export type RegistryCredentials = ReadonlyMap<string, Credential>

/** A disk image to get. */
export type ImagePull = Readonly<{
  /** An imported name, an OCI reference, or a URL. */
  reference: string
  /** The disk's file in the image; its only file below /disk when absent (KubeVirt). */
  path?: string
  /** Ask the registry whether the reference has moved, even if an image of it is here. */
  isAlways: boolean
  credentials?: RegistryCredentials
  /** Called now and then with what has arrived; `total` is undefined while unknown. Bytes. */
  onProgress?: (done: number, total: number | undefined) => void
}>

/** The disk images of this host. Every method is idempotent. */
export interface DiskImages {
  /** The image that a reference stands for here; undefined when it is not here. */
  find(reference: string, path?: string): Promise<DiskImage | undefined>
  /**
   * Gets an image; two pulls of the same one are one download. Faults: NotFound (no such image), Forbidden (credentials, an address
   * that is not allowed), Invalid (the image is not usable), Unavailable and Timeout (may work later).
   */
  pull(pull: ImagePull, signal: AbortSignal): Promise<DiskImage>
}

/** A stream of bytes to and from something in a guest's sandbox. Web streams, so that it can be carried between hosts. */
export type ByteStream = Readonly<{ readable: ReadableStream<Uint8Array>; writable: WritableStream<Uint8Array> }>

/**
 * What a stream leads to: the serial console, the screen (RFB), or a port of the guest. `tail` is how much of what a console has
 * printed before is shown first, bytes, and `tailLines` how many lines of that at most.
 */
export type StreamTarget =
  | Readonly<{ to: 'console'; tail?: number; tailLines?: number }>
  | Readonly<{ to: 'screen' }>
  | Readonly<{ to: 'port'; port: number; protocol: 'tcp' | 'udp' }>

/** The counters of guests of this host, by the UID of the sandbox. */
export interface TrafficCounters {
  /** Traffic of every interface of a guest since its tap was made. Faults: Unavailable when there is no guest. */
  ofGuest(uid: string, signal: AbortSignal): Promise<readonly NicTraffic[]>
}

/** Streams into guests of this host, by the UID of the sandbox. */
export interface GuestStreams {
  /**
   * Opens a stream, which ends when the signal aborts. A console starts with what was printed last, and ends with its sandbox; of a
   * port, each chunk is a datagram if the protocol is UDP. Faults: NotFound when the guest has no such device, Unavailable when it
   * cannot be reached, Timeout.
   */
  open(uid: string, target: StreamTarget, signal: AbortSignal): Promise<ByteStream>
  /** A picture of the screen, PNG. Faults: NotFound without a screen, Unavailable. */
  screenshot(uid: string, signal: AbortSignal): Promise<Uint8Array>
}
