import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isObject, type JsonObject } from '#base/json.ts'
import { isMasqueraded } from './addresses.ts'
import type { Conflist, PluginConf } from './conflist.ts'
import { resultOf } from './result.ts'

/** An interface of a container, whatever the name of its network namespace. */
export type LeaseHolder = Readonly<{ containerId: string; ifName: string }>

/** Addresses inherited from another interface, which got them from IPAM: its configuration, and the interface. */
export type Lease = LeaseHolder & Readonly<{ conflist: Conflist }>

/** The plugin that assigns the addresses in its configuration. */
export const staticPlugin = 'static'

/** The same configuration, assigning the addresses and routes of an earlier result without IPAM. */
export function withStatic(conflist: Conflist, result: JsonObject): Conflist {
  const { ips, routes } = resultOf(result)
  const { dns } = result
  const given = { type: staticPlugin, addresses: ips, routes, ...(isObject(dns) && { dns }) }
  return mapIpam(conflist, (plugin) => ({ ...plugin, ipam: given }))
}

/** The same configuration for a link without addresses: another interface has them, and the network must not see them twice. */
export function withoutIpam(conflist: Conflist): Conflist {
  return mapIpam(conflist, ({ ipam: _, ...plugin }) => plugin as PluginConf)
}

function mapIpam(conflist: Conflist, change: (plugin: PluginConf) => PluginConf): Conflist {
  return { ...conflist, plugins: conflist.plugins.map((one) => (isObject(one.ipam) ? change(one) : one)) }
}

/** Plugins that work on a link whatever its addresses. Debian's others fail without addresses, or make rules for them. */
const heedless: ReadonlySet<string> = new Set(['tuning', 'bandwidth'])

/**
 * Whether an interface can inherit another's addresses while that one still has them: the plugins make and tune links
 * without addresses, and make nothing else on the host for them.
 */
export function canInherit(conflist: Conflist): boolean {
  const [first, ...others] = conflist.plugins
  const isPlain = first?.type === 'bridge' && isObject(first.ipam) && !isMasqueraded(conflist)
  return isPlain && others.every(({ type }) => heedless.has(type))
}

/** The address fields of a result. */
export function givenIn({ ips, ip4, ip6, routes, dns }: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries({ ips, ip4, ip6, routes, dns }).filter(([, value]) => value !== undefined))
}

/**
 * Which interfaces inherited whose addresses, as empty files beside the records: IPAM releases the addresses when the last
 * of them is deleted.
 */
export class InheritedLeases {
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

  /** Whether an interface other than `except` has inherited the addresses. */
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
