import type { GuestAction } from '#apis/kubevirt/guest.ts'
import { explain, Fault } from '#base/fault.ts'
import { delay, eventually } from '#base/wait.ts'
import { aliasOf } from '#core/nic/names.ts'
import { type Field, type Nic, type ObservedNic, plain, podNetwork } from '#core/nic/nic.ts'
import { cableOf, noCable, type RewireSteps, rewire } from '#core/nic/rewire.ts'
import type {
  Cards,
  Domain,
  DomainEnd,
  FoundSandbox,
  Host,
  Hypervisor,
  Lifecycle,
  MigrationJob,
  Networks,
  ObservedDomain,
  Prober,
  SandboxId,
  SandboxSpec,
  SandboxState,
} from '#core/ports.ts'
import type { Mirror } from '#core/sandbox/mirrors.ts'
import { ownerAfter, type SandboxOwner } from '#core/sandbox/owner.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import { type DomainSpec, disksIn } from '#core/vm/domain.ts'
import { type SimDisk, simDisks } from './disks.ts'
import { type SimAccounts, simGuestAgent } from './guest-agent.ts'
import { SimStreams } from './streams.ts'
import { trafficOf } from './traffic.ts'

/** Duration of a simulated migration, milliseconds. */
const simMoveMs = 50

/** Number of a simulated guest's ports. */
const simPorts = 12

type Sandbox = {
  id: SandboxId
  owner: SandboxOwner | undefined
  ips: Map<string, readonly string[]>
  networks: Map<string, string>
  nics: Map<string, ObservedNic>
  /** How many packets each card has received. */
  packets: Map<string, number>
  disks: Map<string, SimDisk>
  domain: DomainSpec | undefined
  isPaused: boolean
  /** Its guest has migrated to another sandbox, and this copy is to be killed. */
  isMoved?: boolean
  job?: { isAborted: boolean } | undefined
  guestOnly: number
  accounts: SimAccounts
  end: DomainEnd | undefined
  starts: number
  reboots: GuestAction[]
  mirrors: readonly Mirror[]
}

/** Probes of a simulated guest: over the network they succeed if its first link is up, and by its agent always. */
export const simProber: Prober = {
  async check(check, { hypervisor }, timeoutMs, signal) {
    if (check.type === 'agent') return hypervisor.guestAgent.ping(signal).then(() => undefined, explain)
    if (check.type === 'exec') {
      const code = await hypervisor.guestAgent.execute(check.command, timeoutMs, signal)
      return code ? `command ${check.command[0]} exited with ${code}` : undefined
    }
    const domain = await hypervisor.domain.observe(signal)
    return domain?.nics[0]?.link === 'up' ? undefined : `no answer within ${timeoutMs / 1000} s`
  },
}

/**
 * A host in memory with the same contract as the real one, for tests of logic, for scale and for trying the product without root.
 * Faults are caused by names, so that they can be reproduced by hand: a NAD whose config contains `sim-fail` cannot be attached,
 * an interface or disk whose name starts with `stuck` cannot be changed, rewired or plugged, one with `sticky` cannot be unplugged; the migration
 * of a VM whose name contains `stall` never ends, with `drop` it loses the connection; a VM with `stuck` cannot be reset, the
 * hypervisor of one with `deaf` does not answer while its guest is being ended, and the sandbox of one with `undeletable` cannot
 * be removed.
 */
export class SimSandboxes implements Lifecycle, Networks {
  /** The ports for an agent. */
  readonly host: Host = {
    lifecycle: this,
    networks: this,
    processes: {
      has: async (uid) => this.#sandboxes.get(uid)?.domain !== undefined,
      kill: async (uid) => {
        const sandbox = this.#sandboxes.get(uid)
        if (sandbox) Object.assign(sandbox, { domain: undefined, end: 'destroyed' })
      },
      lastEnd: async (uid) => this.#sandboxes.get(uid)?.end,
    },
  }
  readonly streams = new SimStreams((uid) => this.#sandboxes.get(uid)?.domain?.name)
  readonly #sandboxes = new Map<string, Sandbox>()
  readonly #listeners = new Set<(uid: string, isNetwork?: boolean) => void>()
  #nextIp = 2

  async ensure(spec: SandboxSpec): Promise<SandboxState> {
    const { uid, namespace, name, owner } = spec
    const sandbox = this.#sandboxes.get(uid) ?? {
      id: { uid, namespace, name },
      owner: undefined,
      ips: new Map(),
      networks: new Map(),
      nics: new Map(),
      packets: new Map(),
      disks: new Map(),
      domain: undefined,
      isPaused: false,
      guestOnly: 0,
      accounts: new Map(),
      end: undefined,
      starts: 0,
      reboots: [],
      mirrors: [],
    }
    sandbox.mirrors = spec.mirrors ?? []
    sandbox.owner = ownerAfter(sandbox.owner, owner)
    const failed = new Map<string, Fault>()
    for (const attachment of spec.attachments) {
      if (sandbox.ips.has(attachment.name)) continue
      const fault = whyNot(attachment)
      if (fault && !spec.optional?.has(attachment.name)) throw fault
      if (fault) failed.set(attachment.name, fault)
      else this.#attach(sandbox, attachment)
    }
    this.#sandboxes.set(uid, sandbox)
    const { ips, networks } = sandbox
    const attached = new Set(ips.keys())
    return {
      ips,
      hypervisor: this.#hypervisor(sandbox),
      attached,
      failed,
      networks,
      pendingCleanup: [],
      unmirrored: new Map(),
      devices: new Map(),
      repaired: [],
      deaf: [],
    }
  }

  /** A network whose config has `ipam` assigns an address, which the guest takes at once. */
  #attach({ ips, networks }: Sandbox, { name, network, config }: Attachment): void {
    networks.set(name, network)
    const last = this.#nextIp++
    const address = network === podNetwork ? `10.244.0.${last}` : `192.168.0.${last}`
    ips.set(name, network === podNetwork || config?.includes('"ipam"') ? [address] : [])
  }

  async rewire(uid: string, to: Attachment, how: Parameters<Networks['rewire']>[2]): Promise<void> {
    const sandbox = this.#get(uid)
    const now = sandbox.nics.get(to.name)
    const from = sandbox.networks.get(to.name)
    if (from === to.network) return
    const steps: RewireSteps = {
      attach: async () => {
        const fault = whyNot(to)
        if (fault) throw fault
      },
      takeLinkDown: async () => this.setLink(uid, to.name, 'down'),
      join: async () => {
        if (to.name.startsWith('stuck')) throw new Fault('Unavailable', `The tap of ${to.name} cannot be moved`)
        this.#attach(sandbox, to)
        if (now) sandbox.nics.set(to.name, { ...sandbox.nics.get(to.name)!, network: to.network })
      },
      commit: async () => undefined,
      restoreLink: async () => this.setLink(uid, to.name, 'up'),
      announce: async () => undefined,
    }
    await rewire(steps, now ? cableOf(now.link, how.link, how.bounce) : noCable)
  }

  async release(uid: string, names: readonly string[]): Promise<void> {
    const { ips, networks } = this.#get(uid)
    for (const name of names) for (const one of [ips, networks]) one.delete(name)
  }

  hypervisorOf(uid: string): Hypervisor | undefined {
    const sandbox = this.#sandboxes.get(uid)
    return sandbox && this.#hypervisor(sandbox)
  }

  async connect(uid: string): Promise<Hypervisor | undefined> {
    if (this.#sandboxes.get(uid)?.domain?.name.includes('deaf'))
      throw new Fault('Unavailable', 'The hypervisor does not answer, as its name requests')
    return this.hypervisorOf(uid)
  }

  async remove(uid: string): Promise<readonly string[]> {
    if (this.#sandboxes.get(uid)?.id.name.includes('undeletable'))
      throw new Fault('Unavailable', 'A network cannot be given back, as its name requests')
    this.#sandboxes.delete(uid)
    return []
  }

  async list(): Promise<readonly FoundSandbox[]> {
    return [...this.#sandboxes.values()].map(({ id, owner }) => ({ ...id, ...(owner && { owner }) }))
  }

  async disown(uid: string): Promise<void> {
    this.#get(uid).owner = undefined
  }

  onChange(listener: (uid: string, isNetwork?: boolean) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Ends a guest as if it had shut down or crashed. */
  endGuest(uid: string, end: DomainEnd): void {
    const sandbox = this.#get(uid)
    sandbox.domain = undefined
    sandbox.end = end
    this.#emit(uid)
  }

  /** Changes a link outside Patchbay. */
  setLink(uid: string, nic: string, link: 'up' | 'down'): void {
    const { nics } = this.#get(uid)
    nics.set(nic, { ...nics.get(nic)!, link })
    this.#emit(uid)
  }

  /** Adds network devices that the guest itself has created. */
  addGuestOnly(uid: string, count: number): void {
    this.#get(uid).guestOnly = count
    for (const listener of this.#listeners) listener(uid, true)
  }

  /** The users of a guest that its agent has set. */
  accounts(uid: string): SimAccounts {
    return this.#get(uid).accounts
  }

  /** Number of guests started in a sandbox. */
  starts(uid: string): number {
    return this.#get(uid).starts
  }

  /** The resets and reboots of a guest, in order. */
  reboots(uid: string): readonly string[] {
    return this.#get(uid).reboots
  }

  /** The bridges whose traffic is copied to cards of a sandbox. */
  mirrors(uid: string): readonly Mirror[] {
    return this.#get(uid).mirrors
  }

  #get(uid: string): Sandbox {
    const sandbox = this.#sandboxes.get(uid)
    if (!sandbox) throw new Fault('NotFound', `No sandbox ${uid}`)
    return sandbox
  }

  #emit(uid: string): void {
    for (const listener of this.#listeners) listener(uid)
  }

  #hypervisor(sandbox: Sandbox): Hypervisor {
    const emit = () => this.#emit(sandbox.id.uid)
    const domain = simDomain(sandbox, emit)
    return {
      domain,
      cards: simCards(sandbox, emit),
      disks: simDisks(sandbox, { freePorts: () => freePorts(sandbox), emit, others: () => this.#others(sandbox) }),
      guestAgent: simGuestAgent(sandbox),
      job: { ...this.#job(sandbox), guestState: async (signal) => (await domain.observe(signal))?.state },
    }
  }

  /** The files of disks that other guests have. */
  #others(own: Sandbox): ReadonlySet<string> {
    const others = [...this.#sandboxes.values()].filter((one) => one !== own && one.domain && !one.isMoved)
    return new Set(others.flatMap(({ disks }) => [...disks.values()].flatMap(({ file }) => file ?? [])))
  }

  #job(source: Sandbox): Omit<MigrationJob, 'guestState'> {
    return {
      /** Takes a short time, unless the VM's name causes a fault: see above. */
      start: async (migration, to) => {
        const target = this.#get(to)
        const { domain } = source
        if (!domain) throw new Fault('NotFound', 'There is no guest to migrate')
        if (domain.name.includes('drop'))
          throw new Fault('Unavailable', 'The connection was lost, as its name requests')
        const job = { migration, isAborted: false }
        source.job = job
        try {
          const isDone = () => job.isAborted || !domain.name.includes('stall')
          await eventually('a simulated move ends', isDone, { deadlineMs: 600_000, everyMs: 10 })
          await delay(simMoveMs)
          if (job.isAborted) throw new Fault('Aborted', 'The migration was aborted')
          // The guest arrives stopped; the source keeps a copy until it is killed, as libvirt does until the migration is
          // confirmed.
          Object.assign(target, { domain, nics: source.nics, disks: source.disks, isPaused: true })
          source.isMoved = true
        } finally {
          source.job = undefined
          this.#emit(source.id.uid)
          this.#emit(to)
        }
      },
      progress: async () => source.job && { remainingBytes: 1 },
      abort: async () => {
        if (source.job) source.job.isAborted = true
      },
    }
  }
}

function simDomain(sandbox: Sandbox, emit: () => void): Domain {
  const end = (how: DomainEnd) => {
    sandbox.domain = undefined
    sandbox.end = how
    emit()
  }
  const setPaused = (isPaused: boolean) => {
    sandbox.isPaused = isPaused
    emit()
  }
  return {
    async observe(): Promise<ObservedDomain | undefined> {
      if (!sandbox.domain) return undefined
      return {
        state: sandbox.isMoved ? 'moving' : sandbox.isPaused ? 'paused' : 'running',
        uuid: sandbox.domain.uuid,
        nics: [...sandbox.nics.values()],
        agentConnected: true,
        disks: [...sandbox.disks.values()],
        ports: { total: simPorts, free: freePorts(sandbox) },
      }
    },
    async create(domain) {
      if (sandbox.domain) return
      sandbox.domain = domain
      sandbox.isPaused = domain.isPaused
      sandbox.starts++
      sandbox.nics = new Map(domain.nics.map((nic) => [nic.name, observed(nic, nic.queues)]))
      sandbox.disks = new Map(disksIn(domain).map((one) => [one.alias, one]))
      emit()
    },
    shutdown: async () => end('shutdown'),
    destroy: async () => end('destroyed'),
    pause: async () => setPaused(true),
    resume: async () => setPaused(false),
    async restart(how) {
      if (!sandbox.domain) throw new Fault('Unavailable', 'The guest is gone')
      if (how === 'Reset' && sandbox.id.name.includes('stuck'))
        throw new Fault('Unavailable', 'libvirt refused to reset the guest')
      sandbox.reboots.push(how)
    },
  }
}

function freePorts({ nics, disks }: Sandbox): number {
  const onPorts = [...disks.values()].filter(({ target }) => target.startsWith('vd'))
  return Math.max(0, simPorts - nics.size - onPorts.length)
}

function simCards(sandbox: Sandbox, emit: () => void): Cards {
  return {
    async update(nic: Nic, changed: readonly Field[]) {
      if (nic.name.startsWith('stuck'))
        throw new Fault('Unavailable', `libvirt refused to change ${aliasOf(nic.name)} (${changed.join()})`)
      sandbox.nics.set(nic.name, observed(nic, sandbox.nics.get(nic.name)?.queues ?? 1))
    },
    async plug(nic: Nic) {
      if (!sandbox.ips.has(nic.name)) throw new Fault('Unavailable', `The sandbox has no network for ${nic.name}`)
      if (!freePorts(sandbox)) throw new Fault('Unavailable', `No more available PCI slots for interface ${nic.name}`)
      sandbox.nics.set(nic.name, observed(nic, 1))
      emit()
    },
    async unplug({ name }: Nic) {
      if (name.startsWith('sticky')) return
      sandbox.nics.delete(name)
      emit()
    },
    traffic: async () => trafficOf(sandbox),
  }
}

function whyNot({ problem, config, network }: Attachment): Fault | undefined {
  if (problem) return new Fault('Invalid', problem)
  if (!config?.includes('sim-fail')) return undefined
  return new Fault('Unavailable', `CNI plugin of network ${network} failed; its configuration asks for it`)
}

function observed(nic: Nic, queues: number): ObservedNic {
  return { ...plain(nic), queues }
}
