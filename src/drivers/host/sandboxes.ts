import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { explain, Fault } from '#base/fault.ts'
import { sameJson } from '#base/json.ts'
import type { Log } from '#base/log.ts'
import { cableOf, noCable, rewire } from '#core/nic/rewire.ts'
import type {
  FoundSandbox,
  Host,
  Hypervisor,
  Lifecycle,
  Networks,
  SandboxId,
  SandboxSpec,
  SandboxState,
} from '#core/ports.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import type { DiskMaker } from '../disk/maker.ts'
import { removeCgroups } from '../libvirt/daemon/cgroup.ts'
import { sharedQemuUid } from '../libvirt/daemon/config.ts'
import { ensureInit, findDaemon, findInit, startDaemon } from '../libvirt/daemon/daemon.ts'
import { type LibvirtHypervisor, libvirtHypervisor } from '../libvirt/hypervisor.ts'
import type { Libvirt } from '../libvirt/rpc/libvirt.ts'
import { Attachments, byKind, type Wanted } from './attachments.ts'
import type { CapabilityCache } from './capabilities.ts'
import { connectWatched } from './connect.ts'
import { HostGuestProcesses } from './guest-processes.ts'
import { killAll } from './kill.ts'
import type { Accelerator } from './kvm.ts'
import { LiveSandboxes, unobserved } from './live.ts'
import { MemoryLimits } from './memory-limits.ts'
import { HostMirrors, placedMirrors } from './mirrors.ts'
import { bringFiles, migrateGuest, shutDown } from './moving.ts'
import { ensureNetns, findNetns, netnsName, netnsPath, removeNetns } from './netns.ts'
import type { Place, Source } from './networks.ts'
import { SandboxDevices } from './pci/sandbox-devices.ts'
import { recordAfter, type SandboxRecord, SandboxRecords } from './records.ts'
import { asAttached, hasAll, hostRewireSteps, restoreLinks, rewiredAttachment, type Wiring } from './rewire.ts'
import type { Damage, SandboxNetwork } from './sandbox-network.ts'
import { SandboxWatch } from './sandbox-watch.ts'

export type HostSandboxesOptions = Readonly<{
  /** Folder that holds one folder per sandbox, named by its UID. */
  pods: string
  network: SandboxNetwork
  capabilities: CapabilityCache
  accelerator: () => Promise<Accelerator>
  /** Makes a kernel image visible in a sandbox. */
  provideImage: (sandbox: string, image: string) => Promise<void>
  disks: DiskMaker
  log: Log
}>

/**
 * The sandboxes of this host. A sandbox is a folder, a network namespace, and a libvirtd with its QEMU; all of it is found again
 * on disk and in the kernel. Every step observes before it acts, so that a call that was interrupted anywhere is completed by the
 * next one.
 */
export class HostSandboxes implements Lifecycle, Networks {
  /** The ports for an agent. */
  readonly host: Host

  readonly #options: HostSandboxesOptions
  readonly #records: SandboxRecords
  readonly #live: LiveSandboxes
  /** When the guest of each sandbox was last observed, milliseconds of the monotonic clock. */
  readonly #observedMs = new Map<string, number>()
  /** Damage of sandboxes that has not been repaired yet. */
  readonly #damage = new Map<string, Damage>()
  readonly #watch: SandboxWatch
  readonly #mirrors: HostMirrors
  readonly #attachments: Attachments
  readonly #devices: SandboxDevices
  readonly #limits: MemoryLimits
  readonly #processes: HostGuestProcesses
  readonly #listeners = new Set<(uid: string, isNetwork?: boolean) => void>()

  constructor(options: HostSandboxesOptions) {
    this.#options = options
    this.#records = new SandboxRecords(options.pods, options.log)
    this.#mirrors = new HostMirrors(this.#records, options.log)
    this.#devices = new SandboxDevices({ records: this.#records, log: options.log })
    this.#attachments = new Attachments(options.network, this.#devices)
    this.#limits = new MemoryLimits(options.log)
    this.#processes = new HostGuestProcesses((uid) => this.#records.at(uid))
    this.host = { lifecycle: this, networks: this, processes: this.#processes }
    this.#live = new LiveSandboxes({
      open: (uid) => this.#connect(uid),
      onLost: (uid) => {
        this.#emit(uid)
        // Events of its guest's agent may have been missed.
        this.#emit(uid, true)
      },
      log: options.log,
    })
    this.#watch = new SandboxWatch({
      network: options.network,
      mirrors: this.#mirrors,
      list: () => this.#live.list().flatMap(({ watched }) => watched ?? []),
      cardsOf: async (uid, signal) => {
        const domain = await this.#live.get(uid)?.hypervisor.domain.observe(signal)
        // The taps of an incoming guest need not be open yet.
        return domain && domain.state !== 'moving' ? domain.nics.map(({ name }) => name) : []
      },
      onDamage: (uid, damage) => {
        options.log.warn({ uid, ...damage }, 'A sandbox is damaged')
        this.#damage.set(uid, damage)
        this.#again(uid)
      },
      onDue: (uid) => this.#again(uid),
      log: options.log,
    })
  }

  async ensure(spec: SandboxSpec, signal: AbortSignal): Promise<SandboxState> {
    const live = this.#live.get(spec.uid)
    const isSame = live && sameJson(live.mirrors, spec.mirrors ?? [])
    if (isSame && hasAll(live.attachments, asAttached(spec.attachments, live.attachments))) return live.state
    this.#watch.start()
    return this.#watch.during(spec.uid, () => this.#make(spec, signal))
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
    await this.#watch.during(uid, () => this.#attachments.release(this.#place(record), record, leaving, signal))
    const attachments = record.attachments.filter((one) => !leaving.includes(one))
    await this.#records.write({ ...((await this.#records.read(uid)) ?? record), attachments })
    this.#live.lookAgain(uid)
    await network.sweep(signal)
  }

  async rewire(
    uid: string,
    wanted: Attachment,
    { bounce, link }: Parameters<Networks['rewire']>[2],
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
    const card = (await hypervisor.domain.observe(signal))?.nics.find(({ name }) => name === wanted.name)
    const init = await findInit(this.#records.at(uid))
    if (!init) throw new Fault('Unavailable', 'The sandbox has no processes')
    const place = { ...this.#place(before), init: init.pid, user: before.user ?? sharedQemuUid }
    const to = rewiredAttachment(wanted)
    const write = async (change: (wiring: Wiring) => Wiring) => {
      const record = (await this.#records.read(uid))!
      const { attachments: _, lowered: _l, ...same } = record
      await this.#records.write({ ...same, ...change(record) })
    }
    try {
      const steps = hostRewireSteps({ place, network, hypervisor, from, to, write, log, signal })
      await this.#watch.during(uid, () => rewire(steps, card ? cableOf(card.link, link, bounce) : noCable))
    } finally {
      this.#live.lookAgain(uid)
    }
    await network.sweep(signal)
  }

  /** The resources that VFs were taken for, by PCI address: those that sandboxes have. */
  takenDevices(): Promise<ReadonlyMap<string, string>> {
    return this.#devices.taken()
  }

  /** The state of a connected sandbox. */
  stateOf(uid: string): SandboxState | undefined {
    return this.#live.get(uid)?.state
  }

  hypervisorOf(uid: string): Hypervisor | undefined {
    return this.stateOf(uid)?.hypervisor
  }

  async remove(uid: string, signal: AbortSignal): Promise<readonly string[]> {
    const dir = this.#records.at(uid)
    const { log, network } = this.#options
    this.#live.end(uid)
    this.#observedMs.delete(uid)
    this.#processes.forget(uid)
    this.#damage.delete(uid)
    this.#watch.forget(uid)
    const netns = netnsName(uid)
    const known = await this.#records.read(uid).catch(() => undefined) // a damaged one is like none
    if (known?.mirrors) await this.#mirrors.remove({ uid, netns }, signal)
    await killAll(dir, netns, known?.netns)
    await removeCgroups(dir)
    if (known?.devices) await this.#attachments.releaseDevices(this.#place(known), known, signal)
    const { namespace, name } = await this.#records.find(uid)
    if (name) log.info({ pod: `${namespace}/${name}`, uid }, 'Removing sandbox')
    const notUndone = await network.detachAll(uid, netns, signal)
    await removeNetns(netns, signal)
    await rm(dir, { recursive: true, force: true })
    await network.sweep(signal)
    return notUndone
  }

  /** Requests the guest of a sandbox to shut down and waits until it has, or until `graceMs` are over. No guest is no error. */
  async shutdownGuest(uid: string, graceMs: number, signal: AbortSignal): Promise<void> {
    if (!(await findDaemon(this.#records.at(uid)))) return
    const libvirt = await this.#live.connect(uid)
    try {
      await shutDown(libvirt, graceMs, signal)
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

  async connect(uid: string, signal: AbortSignal): Promise<Hypervisor | undefined> {
    const live = this.#live.get(uid)
    if (live) return live.hypervisor
    const dir = this.#records.at(uid)
    const record = await this.#records.read(uid)
    if (!record) return undefined
    const [{ log }, accelerator] = [this.#options, await this.#options.accelerator()]
    const [user, netns] = [record.user ?? sharedQemuUid, netnsPath(netnsName(uid))]
    await startDaemon({ dir, netns, user, kvm: accelerator === 'kvm', log, signal })
    const libvirt = await this.#live.connect(uid)
    const hypervisor = this.#hypervisor(libvirt, accelerator, record)
    this.#live.put(uid, unobserved(hypervisor, libvirt))
    return hypervisor
  }

  onChange(listener: (uid: string, isNetwork?: boolean) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Closes all connections; sandboxes and guests continue to run. */
  close(): void {
    this.#watch.close()
    this.#live.close()
  }

  async #make(spec: SandboxSpec, signal: AbortSignal): Promise<SandboxState> {
    const { uid } = spec
    await mkdir(join(this.#records.at(uid), 'run'), { recursive: true, mode: 0o755 })
    const old = await this.#records.read(uid)
    const source = spec.incoming && (await this.#sourceAt(spec.incoming.from))
    const wanted = await this.#attachments.wanted(spec, old, source)
    const record = await this.#ensureFolder(spec, old, wanted.attachments, signal)
    const { place, networked, accelerator } = await this.#ensureProcesses(spec, record, wanted, signal)
    const libvirt = this.#live.get(uid)?.libvirt ?? (await this.#live.connect(uid))
    const { attachments } = wanted
    const hypervisor = this.#hypervisor(libvirt, accelerator, { ...record, attachments })
    const { ips, failed, pendingCleanup, devices } = networked
    const { lowered, ...raised } = record
    if (lowered)
      await restoreLinks(hypervisor, lowered, this.#options.log, signal).then(
        () => this.#records.write(raised),
        (fault: unknown) => pendingCleanup.push(fault),
      )
    const present = attachments.filter(({ name }) => ips.has(name))
    const networks = new Map(present.map((one) => [one.name, one.network]))
    const mirrors = placedMirrors(spec.mirrors ?? [], present)
    const hasMirrors = mirrors.length > 0 || record.mirrors !== undefined
    const unmirrored = hasMirrors ? await this.#mirrors.ensure(place, mirrors, signal) : new Map<string, unknown>()
    const state: SandboxState = {
      ...{ ips, hypervisor, attached: new Set(networks.keys()), failed, networks, pendingCleanup, unmirrored, devices },
      ...{ repaired: [], deaf: [] },
    }
    const live = { attachments: present, mirrors: spec.mirrors ?? [], state, hypervisor, libvirt }
    this.#live.put(uid, {
      ...live,
      watched: { place, attachments: byKind(present).cards, inode: record.netns, mirrors },
    })
    if (pendingCleanup.length + unmirrored.size) this.#live.lookAgain(uid)
    const { why: repaired = [], deaf = [] } = this.#damage.get(uid) ?? {}
    this.#damage.delete(uid)
    return { ...state, repaired, deaf }
  }

  /** Writes the record of a sandbox, then makes its namespace and the files of its libvirtd. */
  async #ensureFolder(
    spec: SandboxSpec,
    old: SandboxRecord | undefined,
    attachments: readonly Attachment[],
    signal: AbortSignal,
  ): Promise<SandboxRecord> {
    const { uid } = spec
    const dir = this.#records.at(uid)
    const record = recordAfter(old, spec, attachments)
    if (!sameJson(old, record)) await this.#records.write(record)
    const netns = netnsName(uid)
    // A connected libvirtd has both, unless the name of the namespace was removed.
    if (this.#live.get(uid) && (await findNetns(netns)) === record.netns) return record
    const isOurs = (inode: number) => old !== undefined && (old.netns ?? inode) === inode
    const inode = await ensureNetns(netns, { isOurs, holder: (await findInit(dir))?.pid }, signal)
    const whole = { ...record, netns: inode }
    if (inode !== record.netns) await this.#records.write(whole)
    await this.#options.capabilities.seed(dir)
    if (spec.memoryBytes !== undefined) await this.#limits.hold(dir, spec.memoryBytes)
    return whole
  }

  /** Starts the processes of a sandbox and attaches its networks, in parallel. */
  async #ensureProcesses(spec: SandboxSpec, record: SandboxRecord, wanted: Wanted, signal: AbortSignal) {
    const { uid } = spec
    const { log } = this.#options
    const { attachments, optional, source } = wanted
    const { dir, netns } = this.#place(record)
    const incoming = spec.incoming && { dir: this.#records.at(spec.incoming.from), name: spec.incoming.migration }
    const accelerator = await this.#options.accelerator()
    const user = record.user ?? sharedQemuUid
    await bringFiles(incoming?.dir, { dir, user })
    const daemonOptions = {
      ...{ dir, netns: netnsPath(netns), user, kvm: accelerator === 'kvm', log, signal },
      ...(incoming && { incoming }),
    }
    const isSuspect = !this.#live.get(uid) || this.#damage.has(uid)
    const init = await ensureInit(daemonOptions)
    const place = { ...this.#place(record), init: init.pid, user, ...(source && { source }) }
    const [daemon, networked] = await Promise.allSettled([
      // A connected libvirtd is running.
      this.#live.get(uid) || startDaemon(daemonOptions),
      this.#attachments.attach(place, attachments, { optional, isSuspect }, signal),
    ])
    if (networked.status === 'rejected') throw networked.reason
    if (daemon.status === 'rejected') throw daemon.reason
    return { place, networked: networked.value, accelerator }
  }

  #hypervisor(libvirt: Libvirt, accelerator: Accelerator, record: SandboxRecord): LibvirtHypervisor {
    const { uid, domain, attachments, user = sharedQemuUid } = record
    const place = this.#place(record)
    const { dir } = place
    const hypervisor: LibvirtHypervisor = libvirtHypervisor({
      ...{ libvirt, uuid: domain, dir, accelerator },
      attachments: new Map(attachments.map((one) => [one.name, one])),
      provideImage: (image) => this.#options.provideImage(dir, image),
      files: this.#options.disks.filesIn({ dir, user }),
      devices: this.#attachments.devicesOf(place, record),
      onCreated: () => this.#options.capabilities.save(dir),
      onObserve: () => this.#observedMs.set(uid, performance.now()),
      send: async (guest, migration, to, options) => {
        // No longer than that has a time limit of its own.
        await hypervisor.cards.detachDevices(new AbortController().signal)
        await migrateGuest(
          { libvirt, guest, migrationSocketDir: { dir, name: migration }, user },
          this.#records.at(to),
          options,
        )
      },
    })
    return hypervisor
  }

  /** Has the next pass observe a sandbox completely, and asks for one. */
  #again(uid: string): void {
    this.#live.lookAgain(uid)
    this.#emit(uid)
  }

  #emit(uid: string, isNetwork = false): void {
    for (const listener of this.#listeners) listener(uid, isNetwork)
  }

  #connect(uid: string): Promise<Libvirt> {
    return connectWatched(this.#records.at(uid), {
      log: this.#options.log.child({ sandbox: uid }),
      observedMs: () => this.#observedMs.get(uid) ?? 0,
      emit: (isNetwork) => this.#emit(uid, isNetwork),
    })
  }

  async #sourceAt(uid: string): Promise<Source> {
    return { uid, netns: netnsName(uid), attachments: (await this.#records.read(uid))?.attachments ?? [] }
  }

  #place({ uid, namespace, name }: SandboxId): Place {
    return { dir: this.#records.at(uid), uid, netns: netnsName(uid), namespace, name }
  }
}
