import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { explain, Fault } from '#base/fault.ts'
import { sameJson } from '#base/json.ts'
import type { Log } from '#base/log.ts'
import { eventually } from '#base/wait.ts'
import { cableOf, move, noCable } from '#core/nic/rewire.ts'
import type {
  FoundSandbox,
  Hypervisor,
  Incoming,
  MoveOptions,
  Sandboxes,
  SandboxSpec,
  SandboxState,
} from '#core/ports.ts'
import { ownerAfter } from '#core/sandbox/owner.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import { ensureCgroups, removeCgroups, sandboxMaxBytes } from '../libvirt/daemon/cgroup.ts'
import { sharedQemuUid } from '../libvirt/daemon/config.ts'
import { ensureInit, findDaemon, findInit, socketPath, startDaemon } from '../libvirt/daemon/daemon.ts'
import { findProcess, type ProcessIdentity } from '../libvirt/daemon/process.ts'
import { LibvirtHypervisor } from '../libvirt/hypervisor.ts'
import { powerFlags } from '../libvirt/rpc/flags.ts'
import { type Libvirt, openLibvirt } from '../libvirt/rpc/libvirt.ts'
import { boundLogs } from './bounded-log.ts'
import type { CapabilityCache } from './capabilities.ts'
import { unlessSeen, watchDomainFiles, watchLeases } from './domain-files.ts'
import { killAll } from './kill.ts'
import type { Accelerator } from './kvm.ts'
import { guestProcesses, killGuestProcesses, moveGuest, shareImages } from './moving.ts'
import { ensureNetns, netnsName, netnsPath, removeNetns } from './netns.ts'
import { type SandboxRecord, SandboxRecords, withoutConfig } from './records.ts'
import { asAttached, hostMover, movedAttachment, raiseLowered, type Wiring } from './rewire.ts'
import type { Place, SandboxNetwork } from './sandbox-network.ts'

/** A sandbox that is known to be whole is looked at more closely this often, milliseconds. */
const inspectMs = 20_000

/** How long libvirtd may take to answer what it need not ask QEMU for, milliseconds. */
const callTimeoutMs = 15_000

export type HostSandboxesOptions = Readonly<{
  /** Folder that holds one folder per sandbox, named by its UID. */
  pods: string
  network: SandboxNetwork
  capabilities: CapabilityCache
  accelerator: () => Promise<Accelerator>
  /** Makes an image visible in a sandbox. */
  provideImage: (sandbox: string, image: string) => Promise<void>
  log: Log
}>

/** A sandbox this process has a connection to. */
type Live = Readonly<{
  attachments: readonly Attachment[]
  state: SandboxState
  hypervisor: LibvirtHypervisor
  libvirt: Libvirt
}> & { inspectedMs: number }

/**
 * The sandboxes of this host. A sandbox is a folder, a network namespace, and a libvirtd with its QEMU; all of it is found
 * again by what is on disk and in the kernel. Every step looks before it acts, so that a pass that died anywhere is finished
 * by the next one.
 */
export class HostSandboxes implements Sandboxes {
  readonly #options: HostSandboxesOptions
  readonly #records: SandboxRecords
  readonly #live = new Map<string, Live>()
  /** When the guest of each sandbox was last looked at. */
  readonly #observedMs = new Map<string, number>()
  /** A process of each sandbox's guest, where it was asked for. */
  readonly #guests = new Map<string, ProcessIdentity>()
  #isUnlimitedTold = false
  readonly #listeners = new Set<(uid: string, isNetwork?: boolean) => void>()

  constructor(options: HostSandboxesOptions) {
    this.#options = options
    this.#records = new SandboxRecords(options.pods, options.log)
  }

  async ensure(spec: SandboxSpec, signal: AbortSignal): Promise<SandboxState> {
    const live = this.#live.get(spec.uid)
    if (live && hasAll(live.attachments, asAttached(spec.attachments, live.attachments))) {
      if (performance.now() - live.inspectedMs < inspectMs) return live.state
      if (await this.#options.network.isWhole(this.#records.at(spec.uid), netnsName(spec.uid), live.attachments)) {
        live.inspectedMs = performance.now()
        await boundLogs(this.#records.at(spec.uid)).catch((error: unknown) =>
          this.#options.log.warn({ uid: spec.uid, cause: explain(error) }, 'Cannot cut the logs of a sandbox'),
        )
        return live.state
      }
    }
    return this.#make(spec, signal)
  }

  async release(uid: string, names: readonly string[], signal: AbortSignal): Promise<void> {
    const record = await this.#records.read(uid)
    const leaving = record?.attachments.filter(({ name }) => names.includes(name)) ?? []
    if (!record || !leaving.length) return
    const { log, network } = this.#options
    log.info(
      { pod: `${record.namespace}/${record.name}`, networks: leaving.map(({ name }) => name) },
      'Releasing networks',
    )
    await network.release(this.#place(uid), leaving, signal)
    const attachments = record.attachments.filter(({ name }) => !names.includes(name))
    await this.#records.write({ ...record, attachments })
    this.#lookAgain(uid)
    await network.sweep(signal)
  }

  async rewire(
    uid: string,
    wanted: Attachment,
    { bounce, link }: Parameters<Sandboxes['rewire']>[2],
    signal: AbortSignal,
  ): Promise<void> {
    const { log, network } = this.#options
    const live = this.#live.get(uid)
    const before = await this.#records.read(uid)
    const from = before?.attachments.find(({ name }) => name === wanted.name)
    if (!live || !before || !from)
      throw new Fault('Unavailable', `The sandbox has no network for interface ${wanted.name}`)
    if (from.network === wanted.network) return
    const { hypervisor } = live
    const card = (await hypervisor.observe(signal))?.nics.find(({ name }) => name === wanted.name)
    const init = await findInit(this.#records.at(uid))
    if (!init) throw new Fault('Unavailable', 'The sandbox has no processes')
    const place = { ...this.#place(uid), init: init.pid, user: before.user ?? sharedQemuUid }
    const to = movedAttachment(wanted)
    const write = async (change: (wiring: Wiring) => Wiring) => {
      const record = (await this.#records.read(uid))!
      const { attachments: _, lowered: _l, ...same } = record
      await this.#records.write({ ...same, ...change(record) })
    }
    try {
      const mover = hostMover({ place, network, hypervisor, from, to, write, log, signal })
      await move(mover, card ? cableOf(card.link, link, bounce) : noCable)
    } finally {
      this.#lookAgain(uid)
    }
    await network.sweep(signal)
  }

  hypervisorOf(uid: string): Hypervisor | undefined {
    return this.#live.get(uid)?.state.hypervisor
  }

  async move({ from, migration }: Incoming, to: string, options: MoveOptions): Promise<void> {
    const source = this.#live.get(from)
    if (!source) throw new Fault('Unavailable', 'The hypervisor the guest is to leave does not answer')
    const exchange = { dir: this.#records.at(from), name: migration }
    const user = (await this.#records.read(from))?.user ?? sharedQemuUid
    await moveGuest({ libvirt: source.libvirt, exchange, user }, this.#records.at(to), options)
  }

  /** Looks through all processes only when the one that was found last has ended: a move asks every few milliseconds. */
  async hasGuest(uid: string): Promise<boolean> {
    const known = this.#guests.get(uid)
    if (known && (await findProcess(known.pid))?.startTime === known.startTime) return true
    this.#guests.delete(uid)
    const [found] = await guestProcesses(this.#records.at(uid))
    if (found) this.#guests.set(uid, found)
    return found !== undefined
  }

  killGuest(uid: string): Promise<void> {
    return killGuestProcesses(this.#records.at(uid))
  }

  async remove(uid: string, signal: AbortSignal): Promise<readonly string[]> {
    const dir = this.#records.at(uid)
    const { log, network } = this.#options
    this.#live.get(uid)?.libvirt.close()
    this.#live.delete(uid)
    this.#observedMs.delete(uid)
    this.#guests.delete(uid)
    const netns = netnsName(uid)
    const known = await this.#records.read(uid).catch(() => undefined) // a damaged one tells nothing
    await killAll(dir, netns, known?.netns)
    await removeCgroups(dir)
    const { namespace, name } = await this.#records.find(uid)
    if (name) log.info({ pod: `${namespace}/${name}`, uid }, 'Removing sandbox')
    const notUndone = await network.detachAll(uid, netns, signal)
    await removeNetns(netns, signal)
    await rm(dir, { recursive: true, force: true })
    await network.sweep(signal)
    return notUndone
  }

  /** Asks the guest of a sandbox to shut down and waits until it has, or until `graceMs` are over. No guest is fine. */
  async shutdownGuest(uid: string, graceMs: number, signal: AbortSignal): Promise<void> {
    const dir = this.#records.at(uid)
    if (!(await findDaemon(dir))) return
    const libvirt = await this.#connect(uid, dir)
    try {
      const [domain] = await libvirt.listDomains(0, { signal })
      if (!domain) return
      await libvirt.shutdown(domain, powerFlags.acpi | powerFlags.agent, { signal })
      await eventually(
        `guest ${domain.name} shuts down`,
        async () => (await libvirt.listDomains(0, { signal })).length === 0,
        { deadlineMs: graceMs, everyMs: 100, signal },
      )
    } catch (error) {
      this.#options.log.warn({ uid, cause: explain(error) }, 'Guest did not shut down')
    } finally {
      libvirt.close()
    }
  }

  list(): Promise<readonly FoundSandbox[]> {
    return this.#records.list()
  }

  disown(uid: string): Promise<void> {
    return this.#records.disown(uid)
  }

  async reach(uid: string, signal: AbortSignal): Promise<Hypervisor | undefined> {
    const live = this.#live.get(uid)
    if (live) return live.hypervisor
    const dir = this.#records.at(uid)
    const record = await this.#records.read(uid)
    if (!record) return undefined
    const accelerator = await this.#options.accelerator()
    await startDaemon({
      dir,
      netns: netnsPath(netnsName(uid)),
      user: record.user ?? sharedQemuUid,
      kvm: accelerator === 'kvm',
      log: this.#options.log,
      signal,
    })
    const libvirt = await this.#connect(uid, dir)
    const hypervisor = this.#hypervisor(dir, libvirt, accelerator, record)
    const none = { attached: new Set<string>(), failed: new Map(), networks: new Map(), ips: new Map(), leftovers: [] }
    // The next `ensure` finds no attachments noted, and looks at what is there.
    this.#live.set(uid, { attachments: [], state: { ...none, hypervisor }, hypervisor, libvirt, inspectedMs: 0 })
    return hypervisor
  }

  onChange(listener: (uid: string, isNetwork?: boolean) => void): void {
    this.#listeners.add(listener)
  }

  /** Ends our connections; sandboxes and guests go on. */
  close(): void {
    for (const { libvirt } of this.#live.values()) libvirt.close()
    this.#live.clear()
  }

  async #make(spec: SandboxSpec, signal: AbortSignal): Promise<SandboxState> {
    const { network, capabilities, log } = this.#options
    const { uid, namespace, name } = spec
    const dir = this.#records.at(uid)
    await mkdir(join(dir, 'run'), { recursive: true, mode: 0o755 })
    const old = await this.#records.read(uid)
    // What it has beside the wanted ones is still the guest's; their configuration counts no more.
    const wanted = new Set(spec.attachments.map((one) => one.name))
    const others = old?.attachments.filter((one) => !wanted.has(one.name)) ?? []
    const made = await network.made(uid, netnsName(uid), old?.attachments ?? [])
    const attachments = [...asAttached(spec.attachments, made), ...others]
    const optional = new Set([...(spec.optional ?? []), ...others.map((one) => one.name)])
    const lowered = old?.lowered
    const owner = ownerAfter(old?.owner, spec.owner)
    // A sandbox keeps the user it was made for.
    const user = old ? old.user : spec.user
    let record: SandboxRecord = {
      ...{ uid, namespace, name, owner, attachments: withoutConfig(attachments) },
      ...(user !== undefined && { user }),
      ...(lowered && { lowered }),
      ...(old?.netns !== undefined && { netns: old.netns }),
    }
    if (!sameJson(old, record)) await this.#records.write(record)
    const netns = netnsName(uid)
    // The libvirtd we are connected to has both.
    if (!this.#live.has(uid)) {
      const isOurs = (inode: number) => old !== undefined && (old.netns ?? inode) === inode
      const inode = await ensureNetns(netns, { isOurs, holder: (await findInit(dir))?.pid }, signal)
      if (inode !== record.netns) {
        record = { ...record, netns: inode }
        await this.#records.write(record)
      }
      await capabilities.seed(dir)
      if (spec.memoryBytes !== undefined) await this.#limit(dir, spec.memoryBytes)
    }
    const incoming = spec.incoming && { dir: this.#records.at(spec.incoming.from), name: spec.incoming.migration }
    if (incoming) await shareImages(incoming.dir, dir)
    const accelerator = await this.#options.accelerator()
    const daemonOptions = {
      ...{ dir, netns: netnsPath(netns), user: user ?? sharedQemuUid, kvm: accelerator === 'kvm', log, signal },
      ...(incoming && { incoming }),
    }
    const init = await ensureInit(daemonOptions)
    const place = { ...this.#place(uid), init: init.pid, user: user ?? sharedQemuUid }
    // Both take their time and neither needs the other.
    const [daemon, networked] = await Promise.allSettled([
      startDaemon(daemonOptions),
      network.attach(place, attachments, optional, signal),
    ])
    if (networked.status === 'rejected') throw networked.reason
    if (daemon.status === 'rejected') throw daemon.reason
    const libvirt = this.#live.get(uid)?.libvirt ?? (await this.#connect(uid, dir))
    const hypervisor = this.#hypervisor(dir, libvirt, accelerator, { uid, attachments })
    const { ips, failed, leftovers } = networked.value
    if (lowered) {
      const { lowered: _, ...raised } = record
      await raiseLowered(hypervisor, lowered, log, signal).then(
        () => this.#records.write(raised),
        (fault: unknown) => leftovers.push(fault),
      )
    }
    const present = attachments.filter(({ name }) => ips.has(name))
    const networks = new Map(present.map((one) => [one.name, one.network]))
    const state: SandboxState = { ips, hypervisor, attached: new Set(networks.keys()), failed, networks, leftovers }
    this.#live.set(uid, { attachments: present, state, hypervisor, libvirt, inspectedMs: performance.now() })
    if (leftovers.length) this.#lookAgain(uid)
    return state
  }

  #hypervisor(
    dir: string,
    libvirt: Libvirt,
    accelerator: Accelerator,
    { uid, attachments }: Pick<SandboxRecord, 'uid' | 'attachments'>,
  ): LibvirtHypervisor {
    return new LibvirtHypervisor({
      libvirt,
      dir,
      accelerator,
      attachments: new Map(attachments.map((one) => [one.name, one])),
      provideImage: (image) => this.#options.provideImage(dir, image),
      onCreated: () => this.#options.capabilities.save(dir),
      onObserve: () => this.#observedMs.set(uid, performance.now()),
    })
  }

  /** Holds the processes of a sandbox to the memory of its pod. A host that does not let us is told of once. */
  async #limit(dir: string, podBytes: number): Promise<void> {
    const left = await ensureCgroups(dir, sandboxMaxBytes(podBytes))
    if (!left.length || this.#isUnlimitedTold) return
    this.#isUnlimitedTold = true
    this.#options.log.warn({ left }, 'Running sandboxes without cgroup limits, which this host does not let us set')
  }

  /** Has the next pass make a picture of what is there. */
  #lookAgain(uid: string): void {
    const live = this.#live.get(uid)
    if (live) this.#live.set(uid, { ...live, attachments: [], inspectedMs: 0 })
  }

  async #connect(uid: string, dir: string): Promise<Libvirt> {
    const libvirt = await openLibvirt({
      socketPath: socketPath(dir),
      log: this.#options.log.child({ sandbox: uid }),
      callTimeoutMs,
    })
    const tell = (isNetwork = false) => {
      for (const listener of this.#listeners) listener(uid, isNetwork)
    }
    libvirt.onEvent((event) => {
      if (event.type !== 'metadataChange' && event.type !== 'migrationIteration') tell()
    })
    const unwatch = [
      watchDomainFiles(
        dir,
        unlessSeen(() => this.#observedMs.get(uid) ?? 0, tell),
        this.#options.log,
      ),
      watchLeases(dir, () => tell(true), this.#options.log),
    ]
    void libvirt.closed.then((why) => {
      for (const end of unwatch) end()
      if (this.#live.get(uid)?.libvirt !== libvirt) return
      this.#live.delete(uid)
      this.#options.log.warn({ uid, why: why.message }, 'Lost libvirtd')
      tell()
    })
    return libvirt
  }

  #place(uid: string): Place {
    return { dir: this.#records.at(uid), uid, netns: netnsName(uid) }
  }
}

/** Whether all that is wanted is there as it is wanted. */
function hasAll(present: readonly Attachment[], wanted: readonly Attachment[]): boolean {
  const byName = new Map(withoutConfig(present).map((one) => [one.name, one]))
  return withoutConfig(wanted).every((one) => sameJson(one, byName.get(one.name)))
}
