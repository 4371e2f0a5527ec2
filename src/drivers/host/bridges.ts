import { Fault } from '#base/fault.ts'
import { readTextIfAny, writeFileAtomic } from '#base/file.ts'
import { isObject } from '#base/json.ts'
import type { Log } from '#base/log.ts'
import { quoted } from '../cni/conflist.ts'
import { ipBatch, listLinks } from './links.ts'

type Owned = Readonly<{ bridges: Readonly<Record<string, string>> }>

/**
 * The bridges of this host that exist because of us. One that was there before our first CNI ADD on it is somebody else's
 * and never touched; ours is written down before it is made, and removed when nothing is left on it.
 */
export class HostBridges {
  readonly #file: string
  readonly #log: Log
  #turn: Promise<unknown> = Promise.resolve()

  constructor(file: string, log: Log) {
    this.#file = file
    this.#log = log
  }

  /** Writes down the bridges a CNI configuration is about to make. `network` is whose they are. */
  claim(config: unknown, network: string, signal: AbortSignal): Promise<void> {
    return this.#inTurn(async () => {
      const { bridges } = await this.#read()
      const unknown = bridgesOf(config).filter((name) => bridges[name] === undefined)
      if (!unknown.length) return
      const present = await listLinks(undefined, signal)
      const fresh = unknown.filter((name) => !present.has(name))
      if (fresh.length)
        await this.#write({ bridges: { ...bridges, ...Object.fromEntries(fresh.map((name) => [name, network])) } })
    })
  }

  /** Whether a bridge of this name was made, or is about to be, by us. */
  async isOwn(name: string): Promise<boolean> {
    return (await this.#read()).bridges[name] !== undefined
  }

  /** Whether there are bridges of ours. */
  async any(): Promise<boolean> {
    return Object.keys((await this.#read()).bridges).length > 0
  }

  /** @throws Fault Unavailable for a bridge that is there and is not ours: two networks with the same addresses would be one */
  requireOwn(name: string, signal: AbortSignal): Promise<void> {
    return this.#inTurn(async () => {
      const { bridges } = await this.#read()
      if (bridges[name] !== undefined || !(await listLinks(undefined, signal)).has(name)) return
      throw new Fault(
        'Unavailable',
        `the bridge ${name} of the pod network is there and was not made for this data directory: another one's may be, and they must not share it; start with another --pod-bridge and --pod-cidr, or remove it: ip link delete ${name}`,
      )
    })
  }

  /** Removes bridges of ours without ports, all of them or only those whose network `isUnused` says nobody needs. */
  sweep(isUnused: (network: string) => boolean, signal: AbortSignal): Promise<void> {
    return this.#inTurn(async () => {
      const { bridges } = await this.#read()
      if (!Object.keys(bridges).length) return
      const present = await listLinks(undefined, signal)
      const busy = new Set([...present.values()].map((link) => link.master))
      const kept: Record<string, string> = {}
      for (const [name, network] of Object.entries(bridges)) {
        if (busy.has(name) || !isUnused(network)) kept[name] = network
        else if (present.has(name)) {
          this.#log.info({ bridge: name, network }, 'Removing bridge that nobody uses')
          await ipBatch(undefined, [`link delete ${name}`], signal)
        }
      }
      if (Object.keys(kept).length !== Object.keys(bridges).length) await this.#write({ bridges: kept })
    })
  }

  async #read(): Promise<Owned> {
    const text = await readTextIfAny(this.#file)
    return text === undefined ? { bridges: {} } : (JSON.parse(text) as Owned)
  }

  #write(owned: Owned): Promise<void> {
    return writeFileAtomic(this.#file, JSON.stringify(owned))
  }

  /** Two sandboxes at once must not both think a bridge is theirs to write down. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work, work)
    this.#turn = mine.catch(() => undefined)
    return mine
  }
}

const linkName = /^[A-Za-z0-9_.-]{1,15}$/

/** Names of the bridges a configuration's bridge plugins make. @throws Fault Invalid for a name no link can have */
export function bridgesOf(config: unknown): string[] {
  const plugins = isObject(config) && Array.isArray(config.plugins) ? config.plugins : [config]
  return plugins.flatMap((plugin): string[] => {
    if (!isObject(plugin) || plugin.type !== 'bridge') return []
    const name = plugin.bridge ?? 'cni0'
    if (typeof name !== 'string' || !linkName.test(name) || name === '.' || name === '..')
      throw new Fault(
        'Invalid',
        `bridge: ${quoted(name)} cannot be the name of a bridge; use at most 15 letters, digits, dots, dashes or underscores`,
      )
    return [name]
  })
}
