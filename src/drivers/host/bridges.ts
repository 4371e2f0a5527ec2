import { Fault } from '#base/fault.ts'
import { readTextIfAny, writeFileAtomic } from '#base/file.ts'
import { isObject } from '#base/json.ts'
import type { Log } from '#base/log.ts'
import { isLinkName, type OwnBridges, planSweep, withClaimed } from '#core/sandbox/bridges.ts'
import { quoted } from '../cni/conflist.ts'
import { ipBatch, listLinks } from './links.ts'

/**
 * The bridges of this host that exist because of Patchbay. One that was there before the first CNI ADD on it belongs to another
 * program and is never touched; Patchbay's own is recorded before it is made, and removed when nothing is left on it.
 */
export class HostBridges {
  readonly #file: string
  readonly #log: Log
  #turn: Promise<unknown> = Promise.resolve()

  /** `file` is where the bridges are recorded. */
  constructor(file: string, log: Log) {
    this.#file = file
    this.#log = log
  }

  /** Records the bridges a CNI configuration is about to make. `network` is the one they are for. @throws Fault Invalid */
  claim(config: unknown, network: string, signal: AbortSignal): Promise<void> {
    return this.#inTurn(async () => {
      const names = bridgesOf(config)
      const own = await this.#read()
      if (names.every((name) => own.has(name))) return
      const claimed = withClaimed(own, names, network, await listLinks(undefined, signal))
      if (claimed !== own) await this.#write(claimed)
    })
  }

  /** Whether a bridge of this name was made, or is about to be, by Patchbay. */
  async isOwn(name: string): Promise<boolean> {
    return (await this.#read()).has(name)
  }

  /** Whether Patchbay has any bridges. */
  async any(): Promise<boolean> {
    return (await this.#read()).size > 0
  }

  /** @throws Fault Unavailable for a bridge that another program made: two networks with the same addresses would be one */
  requireOwn(name: string, signal: AbortSignal): Promise<void> {
    return this.#inTurn(async () => {
      if ((await this.isOwn(name)) || !(await listLinks(undefined, signal)).has(name)) return
      throw new Fault(
        'Unavailable',
        `the bridge ${name} of the pod network is there and was not made for this data directory: another one's may be, and they must not share it; start with another --pod-bridge and --pod-cidr, or remove it: ip link delete ${name}`,
      )
    })
  }

  /** Removes Patchbay's bridges without ports whose network `isUnused` says no sandbox needs. */
  sweep(isUnused: (network: string) => boolean, signal: AbortSignal): Promise<void> {
    return this.#inTurn(async () => {
      const own = await this.#read()
      if (!own.size) return
      const { remove, kept } = planSweep(own, await listLinks(undefined, signal), isUnused)
      for (const name of remove) {
        this.#log.info({ bridge: name, network: own.get(name) }, 'Removing bridge that no network uses')
        await ipBatch(undefined, [`link delete ${name}`], signal)
      }
      if (kept.size !== own.size) await this.#write(kept)
    })
  }

  async #read(): Promise<OwnBridges> {
    const text = await readTextIfAny(this.#file)
    if (text === undefined) return new Map()
    return new Map(Object.entries((JSON.parse(text) as { bridges: Record<string, string> }).bridges))
  }

  #write(own: OwnBridges): Promise<void> {
    return writeFileAtomic(this.#file, JSON.stringify({ bridges: Object.fromEntries(own) }))
  }

  /** Two sandboxes at once must not both record the same bridge. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work, work)
    this.#turn = mine.catch(() => undefined)
    return mine
  }
}

/** Names of the bridges that a configuration's bridge plugins make. @throws Fault Invalid for a name that no link can have */
export function bridgesOf(config: unknown): string[] {
  const plugins = isObject(config) && Array.isArray(config.plugins) ? config.plugins : [config]
  return plugins.flatMap((plugin): string[] => {
    if (!isObject(plugin) || plugin.type !== 'bridge') return []
    const name = plugin.bridge ?? 'cni0'
    if (!isLinkName(name))
      throw new Fault(
        'Invalid',
        `bridge: ${quoted(name)} cannot be the name of a bridge; use at most 15 letters, digits, dots, dashes or underscores`,
      )
    return [name]
  })
}
