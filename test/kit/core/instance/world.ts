import assert from 'node:assert/strict'
import { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { apiVersionOf } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import { type Failures, withFailure, withoutFailure } from '#core/instance/backoff.ts'
import { dependenciesOf } from '#core/instance/depends.ts'
import type { GuestObservation, GuestRequests, Observation } from '#core/instance/observation.ts'
import { type InstancePlan, planInstance } from '#core/instance/plan.ts'
import type { InstanceStep } from '#core/instance/steps.ts'
import { noNetwork } from '#core/nic/nic.ts'
import type { Hypervisor, ObservedDomain, SandboxState } from '#core/ports.ts'
import { firstLauncherName } from '#core/vm/launcher.ts'

/** A card of a small world: which network it is on, and its link; `absent` is one that is to leave. */
export type Card = Readonly<{ network: 'red' | 'blue' | typeof noNetwork; link: 'up' | 'down' | 'absent' }>
export type Cards = Readonly<Record<string, Card>>

const graceSeconds = 5

/** An instance that wants cards beside its pod interface. */
export function instance(cards: Cards, { phase = 'Scheduled', isDeleted = false } = {}): VirtualMachineInstance {
  const names = Object.keys(cards)
  return {
    metadata: { name: 'x', namespace: 'ns', uid: 'v', ...(isDeleted && { deletionTimestamp: at(0) }) },
    spec: {
      terminationGracePeriodSeconds: graceSeconds,
      domain: {
        firmware: { kernelBoot: { container: { image: 'demo' } } },
        devices: {
          interfaces: [
            { name: 'default', masquerade: {}, macAddress: '02:00:00:00:00:01' },
            ...names.map((name, i) => ({
              name,
              bridge: {},
              macAddress: `02:00:00:00:00:1${i}`,
              ...(cards[name]!.link !== 'up' && { state: cards[name]!.link }),
            })),
          ],
        },
      },
      networks: [
        { name: 'default', pod: {} },
        ...names.map((name) => ({ name, multus: { networkName: cards[name]!.network } })),
      ],
    },
    status: { phase, interfaces: [] },
  } as unknown as VirtualMachineInstance
}

function at(seconds: number): string {
  return new Date(seconds * 1000).toISOString()
}

class Crash extends Error {}

/** One sandbox of a host in memory, which can only do what a real one can; what happens to its guest is written down. */
export class InstanceWorld {
  /** Networks by interface; undefined while there is no sandbox. */
  networks: Map<string, string> | undefined
  /** Cards by interface. */
  guest: Map<string, { network: string; link: 'up' | 'down' }> | undefined
  isSilent = false
  isDeaf = false
  isStubborn = false
  deaf: ReadonlySet<string> = new Set()
  ended: string | undefined
  isRemoved = false
  finished: string | undefined
  nowMs = 1000
  failures: Failures = new Map()
  requested: GuestRequests = { unplug: new Map() }
  sandbox: SandboxState | undefined
  effects = 0
  failAt = 0
  dieAt = 0
  readonly story: string[] = []
  vmi: VirtualMachineInstance
  pod: Pod = {
    apiVersion: apiVersionOf(Pod),
    kind: Pod.kind,
    metadata: { name: firstLauncherName({ metadata: { name: 'x', uid: 'v' } }), namespace: 'ns', uid: 'p' },
    spec: {},
  } as unknown as Pod

  constructor(vmi: VirtualMachineInstance) {
    this.vmi = vmi
  }

  deletePod(): void {
    this.pod = { ...this.pod, metadata: { ...this.pod.metadata, deletionTimestamp: at(0) } }
  }

  observe(): Observation {
    const guest = this.#guestSeen()
    return {
      pod: this.pod,
      vmi: this.vmi,
      activePodUid: 'p',
      ...(this.sandbox && { sandbox: this.sandbox }),
      ...(guest && { guest }),
      drift: { fresh: [], kept: [] },
      deaf: this.deaf,
      isRequestDone: false,
      mode: 'InPlace',
      nads: { configOf: (network) => `{"name":"${network}"}`, annotationsOf: () => undefined, poolOf: () => undefined },
      nodeName: 'n',
      requested: this.requested,
      failures: this.failures,
      nowMs: this.nowMs,
    }
  }

  #guestSeen(): GuestObservation | undefined {
    if (this.isSilent) return { is: 'silent', cause: new Fault('Unavailable', 'silence'), hasProcess: !!this.guest }
    if (!this.guest) return { is: 'none', end: this.ended as never }
    const nics = [...this.guest].map(([name, one]) => this.#nic(name, one))
    return {
      is: 'there',
      domain: {
        state: 'running',
        uuid: 'u',
        nics,
        agentConnected: true,
        ports: { total: 8, free: 4 },
      } as ObservedDomain,
    }
  }

  #nic(name: string, { network, link }: { network: string; link: 'up' | 'down' }) {
    const wanted = this.vmi.spec.domain.devices.interfaces!.find((one) => one.name === name)
    return {
      name,
      mac: wanted?.macAddress ?? '',
      model: 'virtio',
      binding: name === 'default' ? ('masquerade' as const) : ('bridge' as const),
      network,
      link,
      queues: 1,
    }
  }

  #effect(what: string): void {
    this.effects++
    if (this.dieAt && this.effects >= this.dieAt) throw new Crash(what)
    this.story.push(what)
    if (this.effects === this.failAt) throw new Fault('Unavailable', `${what} failed`)
  }

  /** Carries out a step as the agent does, failures included. @throws Crash */
  act(step: InstanceStep): void {
    const seen = this.observe()
    try {
      this.#act(step)
      if (step.do !== 'ensure' || !step.plugs.length)
        for (const [key] of dependenciesOf(seen, step)) this.failures = withoutFailure(this.failures, key)
    } catch (cause) {
      if (cause instanceof Crash) throw cause
      for (const [key, depends] of dependenciesOf(seen, step))
        this.failures = withFailure(this.failures, key, { depends, cause, nowMs: this.nowMs })
    }
  }

  #act(step: InstanceStep): void {
    const networks = this.networks
    switch (step.do) {
      case 'ensure': {
        const all = this.networks ?? new Map<string, string>()
        this.networks = all
        for (const { name, network } of step.attachments) {
          if (all.has(name)) continue
          this.#effect(`attach ${name}`)
          all.set(name, network)
        }
        this.look()
        return
      }
      case 'release':
        for (const name of step.names) {
          assert.ok(!this.guest?.has(name), `${name} is released, and the guest has it`)
          this.#effect(`release ${name}`)
          networks!.delete(name)
        }
        this.look()
        return
      case 'start':
        assert.equal(this.guest, undefined, 'a second guest is started')
        this.#effect('start')
        for (const { name, network } of step.domain.nics)
          assert.equal(networks?.get(name), network, `${name} starts on another network`)
        this.guest = new Map(step.domain.nics.map(({ name, network, link }) => [name, { network, link }]))
        this.ended = undefined
        return
      case 'update':
        this.#effect(`update ${step.nic.nic.name}`)
        this.guest!.get(step.nic.nic.name)!.link = step.nic.nic.link
        return
      case 'plug': {
        const { name, network, link } = step.nic.nic
        assert.ok(!this.guest!.has(name), `${name} is plugged twice`)
        assert.equal(networks?.get(name), network, `${name} is plugged into another network`)
        this.#effect(`plug ${name}`)
        this.guest!.set(name, { network, link })
        this.deaf = new Set([...this.deaf].filter((one) => one !== name))
        return
      }
      case 'unplug': {
        const { name } = step.nic.nic
        const first = this.requested.unplug.get(name)?.firstMs ?? this.nowMs
        this.requested = { unplug: new Map([...this.requested.unplug, [name, { firstMs: first, lastMs: this.nowMs }]]) }
        this.#effect(`unplug ${name}`)
        if (!this.isDeaf) this.guest!.delete(name)
        return
      }
      case 'rewire': {
        const { name, network, link } = step.nic.nic
        this.#effect(`rewire ${name}`)
        networks!.set(name, network)
        this.guest!.set(name, { network, link })
        this.sandbox = undefined
        return
      }
      case 'shutdown':
        this.requested = { ...this.requested, shutdownMs: this.nowMs }
        this.#effect('shutdown')
        if (!this.isStubborn) this.#end('shutdown')
        return
      case 'destroy':
      case 'kill':
        assert.ok(this.nowMs >= graceSeconds * 1000, `${step.do} before its time is up`)
        this.#effect(step.do)
        this.#end('destroyed')
        return
      case 'finish':
        assert.equal(this.guest, undefined, 'a guest that is there is called ended')
        this.#effect('finish')
        this.finished = step.end
        this.vmi = { ...this.vmi, status: { ...this.vmi.status, phase: 'Succeeded' } }
        return
      case 'remove':
        assert.equal(this.guest, undefined, 'a sandbox is removed from under its guest')
        this.#effect('remove')
        this.networks = undefined
        this.isRemoved = true
        return
      default:
        assert.fail(`nobody asked to ${step.do}`)
    }
  }

  #end(how: string): void {
    this.guest = undefined
    this.ended = how
  }

  /** What a pass over the sandbox would find. */
  look(): void {
    const networks = new Map(this.networks)
    const ips = new Map([...networks.keys()].map((name) => [name, [] as string[]]))
    this.sandbox = {
      ...{ ips, networks, attached: new Set(networks.keys()), hypervisor: {} as Hypervisor },
      ...{ failed: new Map(), pendingCleanup: [], unmirrored: new Map(), devices: new Map(), repaired: [], deaf: [] },
    }
  }

  /** One pass; resolves to the last plan. */
  pass(): InstancePlan {
    this.sandbox = undefined
    for (let round = 0; round < 40; round++) {
      const plan = planInstance(this.observe())
      if (!plan.steps.length) return plan
      for (const step of plan.steps) {
        this.act(step)
        if (step.do === 'finish' || step.do === 'remove') continue
      }
      if (plan.steps.some(({ do: what }) => what === 'finish' || what === 'remove')) return plan
    }
    return assert.fail(`a pass does not end: ${this.story.slice(-10).join(', ')}`)
  }

  /** A new process, which remembers nothing. */
  restart(): void {
    this.failures = new Map()
    this.requested = { unplug: new Map() }
    this.dieAt = 0
  }

  /** Passes until nothing is left to do; whoever dies is started again. */
  settle(): InstancePlan {
    let plan: InstancePlan | undefined
    for (let i = 0; i < 40; i++) {
      try {
        plan = this.pass()
      } catch (error) {
        if (!(error instanceof Crash)) throw error
        this.restart()
        continue
      }
      if (this.isRemoved || (!plan.steps.length && plan.againAfterMs === undefined)) return plan
      this.nowMs += plan.againAfterMs ?? 0
      if (this.vmi.status?.phase === 'Succeeded' && !this.pod.metadata.deletionTimestamp) return plan
    }
    return assert.fail(`it does not settle: ${this.story.slice(-12).join(', ')}`)
  }

  cards(): Record<string, string> {
    return Object.fromEntries(
      [...(this.guest ?? [])]
        .filter(([name]) => name !== 'default')
        .map(([name, one]) => [name, `${one.network} ${one.link}`]),
    )
  }
}

const links = ['up', 'down'] as const
const networks = ['red', 'blue'] as const
/** What one card may be: not there, or on either network with either link. */
export const choices: readonly (Card | undefined)[] = [
  undefined,
  ...networks.flatMap((network) => links.map((link): Card => ({ network, link }))),
  { network: noNetwork, link: 'up' },
]
export const wishes: readonly (Card | undefined)[] = [...choices, { network: 'red', link: 'absent' }]

export function cardsOf(one: Card | undefined, two: Card | undefined): Cards {
  return { ...(one && { one }), ...(two && { two }) }
}

/** How a running guest's cards are to be: one that is not wanted any more is declared absent. */
function wishOf(have: Cards, want: Cards): Cards {
  const gone = Object.entries(have).filter(([name]) => !want[name])
  return { ...Object.fromEntries(gone.map(([name, card]) => [name, { ...card, link: 'absent' as const }])), ...want }
}

export function running(have: Cards, want: Cards): InstanceWorld {
  const world = new InstanceWorld(instance(have))
  world.settle()
  world.vmi = instance(wishOf(have, want), { phase: 'Running' })
  world.effects = 0
  world.story.length = 0
  return world
}

export const wantedCards = (cards: Cards) =>
  Object.fromEntries(
    Object.entries(cards)
      .filter(([, { link }]) => link !== 'absent')
      .map(([name, { network, link }]) => [
        name,
        network === noNetwork ? `${noNetwork} down` : `ns/${network} ${link}`,
      ]),
  )

/** Everything that may go wrong once: nothing, or the n-th effect fails, or the process dies instead of it. */
export function* mishaps(): Generator<{ failAt: number; dieAt: number }> {
  yield { failAt: 0, dieAt: 0 }
  for (let n = 1; n <= 8; n++) {
    yield { failAt: n, dieAt: 0 }
    yield { failAt: 0, dieAt: n }
  }
}

/** A running guest ends with the cards that are wanted, and nothing is left of those it had; with every mishap in turn. */
export function requireSettled(before: Cards, after: Cards): void {
  for (const mishap of mishaps()) {
    const world = Object.assign(running(before, after), mishap)
    world.settle()
    assert.deepEqual(world.cards(), wantedCards(after), world.story.join())
    const left = [...(world.networks?.keys() ?? [])].filter((name) => name !== 'default')
    assert.deepEqual(left.toSorted(), Object.keys(wantedCards(after)).toSorted())
  }
}
