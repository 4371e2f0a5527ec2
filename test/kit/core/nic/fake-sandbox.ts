import { sameJson } from '#base/json.ts'
import { type Field, fieldNames, fields, type Nic, noNetwork } from '#core/nic/nic.ts'
import { cableOf, type RewireSteps, rewire } from '#core/nic/rewire.ts'
import type { NicDriver } from './execute.ts'

/** Tests tell what is impossible by it: whoever asks for that has a bug. @throws Error */
function must(isSo: boolean, otherwise: string): void {
  if (!isSo) throw new Error(otherwise)
}

/** No link is set up on no network. */
function requireNetworkFor({ name, network, link }: Nic): void {
  must(network !== noNetwork || link === 'down', `the link of ${name}, which is on no network, is set up`)
}

/** The process died: whatever it was about to do, it does no more. */
export class CrashPoint extends Error {}

/**
 * A guest and its sandbox in memory, for tests: it can only do what real ones can, one effect at a time, and any of these can
 * be made to fail or to be the last. `nics` is what is written down: each card with the network it belongs to.
 */
export class FakeSandbox implements NicDriver {
  readonly nics: Map<string, Nic>
  /** Networks in the sandbox, by interface. */
  readonly attached = new Map<string, Set<string>>()
  /** Networks that the bridge of an interface joins to its card. */
  readonly joined = new Map<string, Set<string>>()
  /** Links that a move took down and has to raise. */
  readonly linksDownForRewire = new Set<string>()
  /** The interface for which everything fails. */
  failFor: string | undefined
  /** The number of the effect that fails, and of that which is never begun because the process dies. */
  failAt = 0
  dieAt = 0
  /** Effects tried so far. */
  effects = 0

  constructor(nics: readonly Nic[]) {
    this.nics = new Map(nics.map((one) => [one.name, one]))
    for (const { name, network } of nics) {
      this.attached.set(name, new Set([network]))
      this.joined.set(name, new Set([network]))
    }
  }

  async update(one: Nic, changed: readonly Field[]): Promise<void> {
    const now = this.nics.get(one.name)
    if (!now) throw new Error(`update of ${one.name}, which is not there`)
    const isLive = changed.every((field) => fields[field] === 'live')
    must(isLive, `update of ${changed.join()}, which is not live`)
    requireNetworkFor({ ...now, link: one.link })
    this.#effect(one)
    this.nics.set(one.name, { ...now, link: one.link })
  }

  async plug(one: Nic): Promise<void> {
    must(!this.nics.has(one.name), `plug of ${one.name}, which is there`)
    const own = Object.keys(one).sort().join()
    requireNetworkFor(one)
    must(own === ['name', ...fieldNames].sort().join(), `plug with ${own}, which is not what every interface has`)
    this.#effect(one)
    this.attached.set(one.name, new Set([one.network]))
    this.joined.set(one.name, new Set([one.network]))
    this.#effect(one)
    this.nics.set(one.name, one)
  }

  async unplug(one: Nic): Promise<void> {
    must(this.nics.has(one.name), `unplug of ${one.name}, which is not there`)
    this.#effect(one)
    this.nics.delete(one.name)
  }

  async rewire(one: Nic): Promise<void> {
    const now = this.nics.get(one.name)
    if (!now || now.network === one.network) throw new Error(`rewire of ${one.name} to ${one.network}, where it is`)
    const moved = { ...now, network: one.network, link: one.link }
    must(sameJson(moved, one), `rewire of ${one.name} changes more than its network`)
    await rewire(this.#steps(one, now.network), cableOf(now.link, one.link, true))
  }

  /** What the first look does, of a process that starts or of one that goes on: see RewireSteps. */
  mend(): void {
    for (const [name, one] of this.nics) {
      this.attached.set(name, new Set([one.network]))
      this.joined.set(name, new Set([one.network]))
      if (this.linksDownForRewire.delete(name)) this.nics.set(name, { ...one, link: 'up' })
    }
    this.linksDownForRewire.clear()
  }

  /** Gives back what neither a card nor anybody wants. */
  giveBack(wanted: ReadonlySet<string>): void {
    for (const name of this.attached.keys())
      if (!wanted.has(name) && !this.nics.has(name)) {
        this.attached.delete(name)
        this.joined.delete(name)
      }
  }

  /** Every card is on exactly the network it belongs to. */
  check(): void {
    this.mend()
    for (const { name, network } of this.nics.values()) {
      const on = [...this.joined.get(name)!].join()
      must(on === network, `${name} is on ${on} and belongs to ${network}`)
    }
  }

  #steps(one: Nic, from: string): RewireSteps {
    const { name } = one
    const on = this.joined.get(name)!
    const sides = { old: from, new: one.network }
    const setLink = (link: Nic['link']) => {
      const set = { ...this.nics.get(name)!, link }
      requireNetworkFor(set)
      this.nics.set(name, set)
    }
    return {
      attach: async () => {
        this.#effect(one)
        this.attached.get(name)!.add(one.network)
      },
      takeLinkDown: async () => {
        this.#effect(one)
        this.linksDownForRewire.add(name)
        this.#effect(one)
        setLink('down')
      },
      join: async (side) => {
        must(this.attached.get(name)!.has(sides[side]), `${sides[side]} is joined, but not in the sandbox`)
        this.#effect(one)
        on.delete(sides[side === 'new' ? 'old' : 'new'])
        this.#effect(one)
        on.add(sides[side])
      },
      commit: async () => {
        this.#effect(one)
        this.nics.set(name, { ...this.nics.get(name)!, network: one.network })
      },
      restoreLink: async () => {
        this.#effect(one)
        setLink('up')
        this.#effect(one)
        this.linksDownForRewire.delete(name)
      },
      announce: async () => {
        must(this.nics.get(name)?.link === 'up', 'a card whose link is down has nothing to announce')
      },
    }
  }

  #effect({ name }: Nic): void {
    this.effects++
    const on = this.joined.get(name)
    must((on?.size ?? 0) <= 1, `${name} is on ${[...(on ?? [])]} at once`)
    if (this.dieAt && this.effects >= this.dieAt) throw new CrashPoint('died')
    if (name === this.failFor || this.effects === this.failAt) throw new Error('refused')
  }
}
