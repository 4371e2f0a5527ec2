import { isDevice } from '#core/nic/bindings.ts'
import type { SandboxSpec } from '#core/ports.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import { sharedQemuUid } from '../libvirt/daemon/config.ts'
import { findInit } from '../libvirt/daemon/daemon.ts'
import { netnsName } from './netns.ts'
import type { Place, Source } from './networks.ts'
import type { DevicePlace } from './pci/nodes.ts'
import type { SandboxDevices } from './pci/sandbox-devices.ts'
import type { SandboxRecord } from './records.ts'
import { asAttached } from './rewire.ts'
import type { AttachResult, LivePlace, SandboxNetwork } from './sandbox-network.ts'

/** What the interfaces of a sandbox are attached to: see AttachResult; and the devices of the host, by interface. */
type Attached = AttachResult & Readonly<{ devices: ReadonlyMap<string, string> }>

/** What attaching depends on: which attachments may fail, and whether the links of the host are to be looked at. */
type How = Readonly<{ optional: ReadonlySet<string>; isSuspect: boolean }>

/** The wanted attachments of a sandbox, and the source of its guest if that migrates here. */
export type Wanted = Readonly<{
  attachments: readonly Attachment[]
  optional: ReadonlySet<string>
  source: Source | undefined
}>

/** Attaches interfaces of sandboxes: to networks by CNI, or to devices of the host. */
export class Attachments {
  readonly #network: SandboxNetwork
  readonly #devices: SandboxDevices

  constructor(network: SandboxNetwork, devices: SandboxDevices) {
    this.#network = network
    this.#devices = devices
  }

  /** See SandboxNetwork.attach and SandboxDevices.take. */
  async attach(place: LivePlace, all: readonly Attachment[], how: How, signal: AbortSignal): Promise<Attached> {
    const { own, cards } = byKind(all)
    const result = await this.#network.attach(place, cards, how, signal)
    if (!own.length) return { ...result, devices: new Map() }
    const { devices, failed } = await this.#devices.take(place, own, how.optional, signal)
    const ips = new Map([...result.ips, ...[...devices.keys()].map((name) => [name, []] as const)])
    return { ...result, ips, failed: new Map([...result.failed, ...failed]), devices }
  }

  /** What a sandbox is to have: what its spec wants, on the networks that it is on, and what else it has. */
  async wanted(
    { uid, attachments, optional = new Set() }: SandboxSpec,
    old: SandboxRecord | undefined,
    source: Source | undefined,
  ): Promise<Wanted> {
    // The guest still uses other attachments that the sandbox has; their configurations are no longer needed.
    const names = new Set(attachments.map((one) => one.name))
    const others = old?.attachments.filter((one) => !names.has(one.name)) ?? []
    const asThere = [...asAttached(attachments, await this.#made(uid, old)), ...others]
    return {
      attachments: source ? await this.#network.carry(asThere, source) : asThere,
      optional: new Set([...optional, ...others.map((one) => one.name)]),
      source,
    }
  }

  /** Those of a record's attachments that are there. */
  async #made(uid: string, record: SandboxRecord | undefined): Promise<readonly Attachment[]> {
    const { own, cards } = byKind(record?.attachments ?? [])
    const taken = new Set(record?.devices?.map(({ name }) => name))
    return [...(await this.#network.made(uid, netnsName(uid), cards)), ...own.filter(({ name }) => taken.has(name))]
  }

  /** Releases attachments of a sandbox that continues to run. */
  async release(
    place: Place,
    record: SandboxRecord,
    leaving: readonly Attachment[],
    signal: AbortSignal,
  ): Promise<void> {
    const { own, cards } = byKind(leaving)
    if (cards.length) await this.#network.release(place, cards, signal)
    const names = own.map(({ name }) => name)
    if (own.length) await this.#devices.release(await devicePlace(place, record), names, signal)
  }

  /** Gives all devices of the host back; the guest's processes have ended. */
  async releaseDevices(place: Place, record: SandboxRecord, signal: AbortSignal): Promise<void> {
    await this.#devices.release(await devicePlace(place, record), undefined, signal)
  }

  /** The devices of the host as the cards of a guest use them. */
  devicesOf(place: Place, record: Pick<SandboxRecord, 'user'>) {
    return {
      ready: async (nic: string, signal: AbortSignal) =>
        this.#devices.ready(await devicePlace(place, record), nic, signal),
      idle: (nic: string, signal: AbortSignal) => this.#devices.idle(place.uid, nic, signal),
    }
  }
}

/** The attachments whose cards libvirt makes, and those that are devices of the host. */
export function byKind(all: readonly Attachment[]): Readonly<Record<'own' | 'cards', readonly Attachment[]>> {
  return {
    own: all.filter(({ binding }) => isDevice(binding)),
    cards: all.filter(({ binding }) => !isDevice(binding)),
  }
}

async function devicePlace({ uid, dir }: Place, { user }: Pick<SandboxRecord, 'user'>): Promise<DevicePlace> {
  return { uid, user: user ?? sharedQemuUid, init: (await findInit(dir))?.pid }
}
