import type { AgentContext } from '#agent/context.ts'
import { ImagePulls } from '#agent/image-pulls.ts'
import { Memories } from '#agent/memory.ts'
import { MigrationJobs } from '#agent/migration-jobs.ts'
import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { Fault } from '#base/fault.ts'
import { silent } from '#base/log.ts'
import type { Nic } from '#core/nic/nic.ts'
import type { DomainEnd, Host, Hypervisor, ObservedDomain, SandboxState } from '#core/ports.ts'
import { firstLauncherName } from '#core/vm/launcher.ts'

type Card = Nic & Readonly<{ queues: number }>

/** One sandbox of a host in memory, and what is written about it. What is called is noted, in order. */
export class FakeHost implements Host {
  readonly story: string[] = []
  /** Calls that fail, and why. */
  readonly failing = new Map<string, Fault>()
  readonly networks_ = new Map<string, string>()
  cards: Map<string, Card> | undefined
  state: ObservedDomain['state'] = 'running'
  end: DomainEnd | undefined
  repaired: readonly string[] = []
  deaf: readonly string[] = []
  pendingCleanup: readonly unknown[] = []
  isSilent = false
  /** Its guest lets go of cards only when it is told to. */
  isSlow = false

  async #call(what: string): Promise<void> {
    this.story.push(what)
    const fault = this.failing.get(what)
    if (fault) throw fault
  }

  readonly hypervisor: Hypervisor = {
    domain: {
      observe: async () => {
        if (this.isSilent) throw new Fault('Unavailable', 'libvirtd does not answer')
        if (!this.cards) return undefined
        return {
          state: this.state,
          uuid: 'u',
          nics: [...this.cards.values()],
          agentConnected: true,
          ports: { total: 8, free: 4 },
        }
      },
      create: async ({ nics }) => {
        await this.#call('create')
        this.cards = new Map(nics.map((nic) => [nic.name, nic]))
      },
      shutdown: () => this.#call('shutdown'),
      destroy: async () => {
        await this.#call('destroy')
        this.endGuest('destroyed')
      },
      pause: async () => {
        await this.#call('pause')
        this.state = 'paused'
      },
      resume: async () => {
        await this.#call('resume')
        this.state = 'running'
      },
      restart: (how) => this.#call(`restart ${how}`),
    },
    cards: {
      update: async (nic) => {
        await this.#call(`update ${nic.name} ${nic.link}`)
        this.cards?.set(nic.name, { ...nic, queues: 1 })
      },
      plug: async (nic) => {
        await this.#call(`plug ${nic.name}`)
        this.cards?.set(nic.name, { ...nic, queues: 1 })
      },
      unplug: async ({ name }) => {
        await this.#call(`unplug ${name}`)
        if (!this.isSlow) this.cards?.delete(name)
      },
      traffic: async () => [],
    },
    disks: {
      attach: (disk) => this.#call(`attach ${disk.name}`),
      detach: (alias) => this.#call(`detach ${alias}`),
      change: (disk) => this.#call(`change ${disk.name}`),
      drop: (files) => this.#call(`drop ${files.join()}`),
    },
    guestAgent: {
      interfaces: async () => [],
      info: async () => ({ os: {}, agent: {} }) as never,
      ping: async () => undefined,
      execute: async () => 0,
      setAuthorizedKeys: async () => undefined,
      setPassword: async () => undefined,
    },
    job: {
      start: async () => undefined,
      progress: async () => undefined,
      abort: async () => undefined,
      guestState: async () => undefined,
    },
  }

  readonly lifecycle: Host['lifecycle'] = {
    ensure: async ({ attachments, optional }) => {
      const failed = new Map<string, unknown>()
      for (const { name, network } of attachments) {
        if (this.networks_.has(name)) continue
        try {
          await this.#call(`attach ${name}`)
          this.networks_.set(name, network)
        } catch (fault) {
          if (!optional?.has(name)) throw fault
          failed.set(name, fault)
        }
      }
      const { repaired, deaf } = this
      Object.assign(this, { repaired: [], deaf: [] })
      return { ...this.#sandbox(), failed, repaired, deaf }
    },
    hypervisorOf: () => this.hypervisor,
    connect: async () => {
      if (this.isSilent) throw new Fault('Unavailable', 'libvirtd does not answer')
      return this.hypervisor
    },
    remove: async () => {
      await this.#call('remove')
      this.networks_.clear()
      return []
    },
    list: async () => [],
    disown: async () => undefined,
    onChange: () => () => undefined,
  }

  readonly networks: Host['networks'] = {
    rewire: async (_, { name, network }, { link }) => {
      await this.#call(`rewire ${name} ${network}`)
      this.networks_.set(name, network)
      const card = this.cards?.get(name)
      if (card) this.cards?.set(name, { ...card, network, link })
    },
    release: async (_, names) => {
      for (const name of names) {
        await this.#call(`release ${name}`)
        this.networks_.delete(name)
      }
    },
  }

  readonly processes: Host['processes'] = {
    has: async () => this.cards !== undefined,
    kill: async () => {
      await this.#call('kill')
      this.endGuest('destroyed')
    },
    lastEnd: async () => this.end,
  }

  endGuest(end: DomainEnd): void {
    this.cards = undefined
    this.end = end
  }

  #sandbox(): SandboxState {
    const ips = new Map([...this.networks_.keys()].map((name) => [name, [`10.0.0.${name.length}`]]))
    return {
      ...{ ips, hypervisor: this.hypervisor, attached: new Set(ips.keys()), failed: new Map() },
      ...{
        networks: new Map(this.networks_),
        pendingCleanup: this.pendingCleanup,
        unmirrored: new Map(),
        devices: new Map(),
        repaired: [],
        deaf: [],
      },
    }
  }
}

/** A fake host with everything a pass works with, and the objects it reads and writes. */
export function openAgent(vmi: VirtualMachineInstance) {
  const host = new FakeHost()
  const own = { ...vmi, metadata: { ...vmi.metadata, uid: 'v' } }
  const world = {
    host,
    vmi: own,
    pod: {
      metadata: {
        name: firstLauncherName(own),
        namespace: 'ns',
        uid: 'p',
        ownerReferences: [{ kind: 'VirtualMachineInstance', name: 'x', uid: 'v' }],
      },
      spec: { containers: [] },
    } as unknown as Pod,
    events: [] as string[],
    /** Whether writes fail. */
    isServerGone: false,
    deleted: [] as string[],
  }
  const modify = async (kind: { kind: string }, _: unknown, change: (one: unknown) => unknown): Promise<unknown> => {
    if (world.isServerGone) throw new Fault('Unavailable', 'the server is gone')
    const key = kind.kind === 'Pod' ? 'pod' : 'vmi'
    const after = change(world[key])
    if (after) Object.assign(world, { [key]: after })
    return after
  }
  const context = {
    client: {
      modify,
      get: async () => world.vmi,
      delete: async (kind: { kind: string }) => void world.deleted.push(kind.kind),
    },
    host,
    images: { has: async () => true },
    guests: {
      known: () => undefined,
      info: () => undefined,
      ask: () => undefined,
      isAsked: () => true,
      forget: () => undefined,
    },
    probes: {
      health: () => ({ readiness: undefined, failed: undefined }),
      watch: () => undefined,
      forget: () => undefined,
    },
    migrationJobs: new MigrationJobs(),
    memories: new Memories(),
    pulls: new ImagePulls(),
    credentials: { watch: () => undefined, sync: () => undefined, forget: () => undefined },
    recorder: (_: unknown, _type: string, reason: string, message: string) =>
      void world.events.push(`${reason} ${message}`),
    log: silent,
    nodeName: 'n',
    cluster: 'c',
    onApplied: () => undefined,
    running: new Map(),
    nads: { configOf: (network: string) => `{"name":"${network}"}`, annotationsOf: () => undefined },
    podOf: () => world.pod,
    again: () => undefined,
    attachmentMode: () => 'InPlace',
  } as unknown as AgentContext
  return { ...{ world, host, context }, memories: context.memories }
}
