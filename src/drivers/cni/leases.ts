import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isObject, type JsonObject } from '#base/json.ts'
import { isMasqueraded } from './addresses.ts'
import type { Conflist, PluginConf } from './conflist.ts'
import { resultOf } from './result.ts'

/** An interface of a container, whatever its network namespace is called. */
export type LeaseHolder = Readonly<{ containerId: string; ifName: string }>

/** Addresses that IPAM gave to another interface, which this one goes on with: by which configuration, and to whom. */
export type Lease = LeaseHolder & Readonly<{ conflist: Conflist }>

/** The plugin that gives what it is told to. */
export const staticPlugin = 'static'

/** The same configuration, giving the addresses and routes of an earlier result again and taking none back. */
export function withStatic(conflist: Conflist, result: JsonObject): Conflist {
  const { ips, routes } = resultOf(result)
  const { dns } = result
  const given = { type: staticPlugin, addresses: ips, routes, ...(isObject(dns) && { dns }) }
  return mapIpam(conflist, (plugin) => ({ ...plugin, ipam: given }))
}

/** The same configuration for a link without addresses: they are another interface's, and no network is to hear them twice. */
export function withoutIpam(conflist: Conflist): Conflist {
  return mapIpam(conflist, ({ ipam: _, ...plugin }) => plugin as PluginConf)
}

function mapIpam(conflist: Conflist, change: (plugin: PluginConf) => PluginConf): Conflist {
  return { ...conflist, plugins: conflist.plugins.map((one) => (isObject(one.ipam) ? change(one) : one)) }
}

/** Plugins that do what they do to a link, whatever addresses it has. Others of Debian's fail without any, or make rules for them. */
const heedless: ReadonlySet<string> = new Set(['tuning', 'bandwidth'])

/**
 * Whether an interface can take over another's addresses while that one still has them: the plugins make and tune links
 * without any, and nothing else of the host is made for them.
 */
export function canInherit(conflist: Conflist): boolean {
  const [first, ...others] = conflist.plugins
  const isPlain = first?.type === 'bridge' && isObject(first.ipam) && !isMasqueraded(conflist)
  return isPlain && others.every(({ type }) => heedless.has(type))
}

/** The part of a result that tells of addresses. */
export function givenIn({ ips, ip4, ip6, routes, dns }: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries({ ips, ip4, ip6, routes, dns }).filter(([, value]) => value !== undefined))
}

/**
 * Who goes on with whose addresses, as empty files beside the records of what was added: IPAM hears that they are free when the
 * last of them is deleted.
 */
export class Heirs {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  async note(holder: LeaseHolder, heir: LeaseHolder): Promise<void> {
    await writeFile(join(this.#folder, prefixOf(holder) + nameOf(heir)), '')
  }

  async drop(holder: LeaseHolder, heir: LeaseHolder): Promise<void> {
    await rm(join(this.#folder, prefixOf(holder) + nameOf(heir)), { force: true })
  }

  /** Whether anybody but `except` goes on with an interface's addresses. */
  async has(holder: LeaseHolder, except?: LeaseHolder): Promise<boolean> {
    const prefix = prefixOf(holder)
    const own = except && prefix + nameOf(except)
    const files = await readdir(this.#folder).catch(() => [])
    return files.some((file) => file.startsWith(prefix) && file !== own)
  }
}

function prefixOf(holder: LeaseHolder): string {
  return `lease.${nameOf(holder)}.`
}

function nameOf({ containerId, ifName }: LeaseHolder): string {
  return `${containerId}.${ifName}`
}
