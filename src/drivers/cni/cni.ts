import { access, constants, readdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { Fault } from '#base/fault.ts'
import { readTextIfAny, writeFileAtomic } from '#base/file.ts'
import { isObject, type JsonObject } from '#base/json.ts'
import { type Conflist, type PluginConf, parseConflist, quoted } from './conflist.ts'
import { callPlugin } from './plugin.ts'
import { endStragglers } from './stragglers.ts'

export type CniOptions = Readonly<{
  /** Where results are kept, so that DEL knows what ADD did. */
  cacheDir: string
  /** Where host-local keeps its leases unless a configuration says otherwise. */
  ipamDir: string
  pluginDirs?: readonly string[]
  timeoutMs?: number
  /** Put before every plugin; tests run them in a namespace of their own by it. */
  wrap?: readonly string[]
}>

/** One interface of one container. */
export type CniWhere = Readonly<{ containerId: string; netns: string; ifName: string }>

/** The part of a result that we use. */
export type CniResult = Readonly<{
  ips: readonly Readonly<{ address: string; gateway?: string }>[]
  routes: readonly Readonly<{ dst: string; gw?: string }>[]
}>

/** What is kept of an ADD. `pluginDirs` are where its plugins were found, for a DEL by a process that was told of others. */
type Cached = Readonly<{ conflist: Conflist; netns: string; result?: JsonObject; pluginDirs?: readonly string[] }>

const defaultPluginDirs = ['/usr/lib/cni', '/opt/cni/bin']
const defaultTimeoutMs = 20_000

/** Runs CNI plugins as their specification says: chains, cached results, DEL in reverse order. */
export class Cni {
  readonly #options: Required<Pick<CniOptions, 'pluginDirs' | 'timeoutMs'>> & CniOptions
  /** Once plugins of an earlier process that used the same cache have ended. */
  #alone: Promise<void> | undefined

  constructor(options: CniOptions) {
    this.#options = { pluginDirs: defaultPluginDirs, timeoutMs: defaultTimeoutMs, ...options }
  }

  /** Names of the plugins on this host. */
  async plugins(): Promise<string[]> {
    const found = await Promise.all(this.#options.pluginDirs.map((dir) => readdir(dir).catch(() => [])))
    return [...new Set(found.flat())].sort()
  }

  /** Reads a configuration. @throws Fault Invalid with everything wrong with it; `what` says whose it is. */
  async parse(text: string, what: string): Promise<Conflist> {
    const fallback = what.replace(/.*[/ ]/, '')
    const parsed = parseConflist(text, await this.plugins(), fallback)
    if ('errors' in parsed) throw new Fault('Invalid', `${what} cannot be used: ${parsed.errors.join('; ')}`)
    return parsed.conflist
  }

  /** What ADD answered, if it was done and not undone. */
  async cached(where: CniWhere): Promise<CniResult | undefined> {
    const cached = await this.#read(where)
    return cached?.result && resultOf(cached.result)
  }

  /** The configuration an interface was added by, if it was and is not undone. */
  async addedBy(where: CniWhere): Promise<Conflist | undefined> {
    const cached = await this.#read(where)
    return cached?.result && cached.conflist
  }

  /** Names of a container's interfaces that there are traces of: added, half added, or not yet deleted. */
  async interfacesOf(containerId: string): Promise<string[]> {
    const [prefix, suffix] = [`${containerId}-`, '.json']
    const files = await readdir(this.#options.cacheDir).catch(() => [])
    return files
      .filter((file) => file.startsWith(prefix) && file.endsWith(suffix))
      .map((file) => file.slice(prefix.length, -suffix.length))
  }

  /** Removes what is left of a container whose interfaces are all deleted: files that a crash kept from being finished. */
  async forget(containerId: string): Promise<void> {
    const files = await readdir(this.#options.cacheDir).catch(() => [])
    for (const file of files)
      if (file.startsWith(`${containerId}-`)) await rm(join(this.#options.cacheDir, file), { force: true })
  }

  /** Adds an interface. When a plugin of the chain fails, the whole chain is undone before the fault is thrown. */
  async add(request: CniWhere & Readonly<{ conflist: Conflist }>, signal: AbortSignal): Promise<CniResult> {
    const conflist = withIpamDir(request.conflist, this.#options.ipamDir)
    // Written down first: whatever dies from here on, DEL will know what to undo.
    await this.#write(request, { conflist, netns: request.netns })
    let result: JsonObject | undefined
    try {
      for (const plugin of conflist.plugins) result = await this.#call('ADD', request, conflist, plugin, result, signal)
    } catch (error) {
      await this.#undo(request, conflist, result)
      throw error
    }
    await this.#write(request, { conflist, netns: request.netns, result: result ?? {} })
    return resultOf(result ?? {})
  }

  /** Asks the plugins whether an interface is still as they made it. @throws Fault Unavailable when it is not */
  async check(where: CniWhere, signal: AbortSignal): Promise<void> {
    const cached = await this.#read(where)
    if (!cached?.result) throw new Fault('NotFound', `Interface ${where.ifName} was never added`)
    for (const plugin of cached.conflist.plugins)
      await this.#call('CHECK', where, cached.conflist, plugin, cached.result, signal)
  }

  /** Deletes an interface. One that was never added, or is gone already, is fine. */
  async del(where: CniWhere, signal: AbortSignal): Promise<void> {
    const cached = await this.#read(where)
    if (!cached) return
    const { conflist, result } = cached
    const here = { ...where, pluginDirs: [...new Set([...this.#options.pluginDirs, ...(cached.pluginDirs ?? [])])] }
    for (const plugin of conflist.plugins.toReversed()) await this.#call('DEL', here, conflist, plugin, result, signal)
    await rm(this.#file(where), { force: true })
  }

  /** Tries to undo a failed ADD; what cannot be undone now stays written down for the next DEL. */
  async #undo(where: CniWhere, conflist: Conflist, result: JsonObject | undefined): Promise<void> {
    const signal = AbortSignal.timeout(this.#options.timeoutMs * conflist.plugins.length)
    try {
      for (const plugin of conflist.plugins.toReversed())
        await this.#call('DEL', where, conflist, plugin, result, signal)
      await rm(this.#file(where), { force: true })
    } catch {
      // The fault of the ADD is the one to tell; the record is kept, so nothing is lost.
    }
  }

  async #call(
    command: 'ADD' | 'CHECK' | 'DEL',
    { pluginDirs = this.#options.pluginDirs, ...where }: CniWhere & Readonly<{ pluginDirs?: readonly string[] }>,
    conflist: Conflist,
    plugin: PluginConf,
    prevResult: JsonObject | undefined,
    signal: AbortSignal,
  ): Promise<JsonObject> {
    const { timeoutMs, wrap, cacheDir } = this.#options
    await this.#takeOver()
    const { capabilities: _, ...conf } = plugin
    return callPlugin({
      ...where,
      command,
      type: plugin.type,
      network: conflist.name,
      program: await this.#find(plugin.type, pluginDirs),
      path: pluginDirs.join(':'),
      owner: cacheDir,
      config: { ...conf, cniVersion: conflist.cniVersion, name: conflist.name, ...(prevResult && { prevResult }) },
      timeoutMs,
      signal,
      ...(wrap && { wrap }),
    })
  }

  /** Before the first plugin is run. */
  #takeOver(): Promise<void> {
    this.#alone ??= endStragglers(
      this.#options.cacheDir,
      async (where) => (await this.addedBy(where)) !== undefined,
    ).catch((error: unknown) => {
      this.#alone = undefined
      throw error
    })
    return this.#alone
  }

  async #find(type: string, pluginDirs: readonly string[]): Promise<string> {
    for (const dir of pluginDirs) {
      const program = join(dir, type)
      const usable = await access(program, constants.X_OK).then(
        () => true,
        () => false,
      )
      if (usable) return program
    }
    throw new Fault('Invalid', `CNI plugin "${type}" is not in ${pluginDirs.join(' or ')}; install it there`)
  }

  #file({ containerId, ifName }: CniWhere): string {
    return join(this.#options.cacheDir, `${containerId}-${ifName}.json`)
  }

  async #read(where: CniWhere): Promise<Cached | undefined> {
    const text = await readTextIfAny(this.#file(where))
    return text === undefined ? undefined : (JSON.parse(text) as Cached)
  }

  #write(where: CniWhere, cached: Cached): Promise<void> {
    const { pluginDirs } = this.#options
    return writeFileAtomic(this.#file(where), JSON.stringify({ ...cached, pluginDirs }))
  }
}

/**
 * Gives leases a place of ours. A plugin makes folders and files where it is told to, as root: anywhere else is refused.
 * @throws Fault Invalid
 */
function withIpamDir(conflist: Conflist, ipamDir: string): Conflist {
  const plugins = conflist.plugins.map((plugin): PluginConf => {
    const { ipam } = plugin
    requireBelow(ipamDir, plugin.dataDir, 'dataDir')
    if (!isObject(ipam)) return plugin
    requireBelow(ipamDir, ipam.dataDir, 'ipam.dataDir')
    if (ipam.type !== 'host-local' || ipam.dataDir !== undefined) return plugin
    return { ...plugin, ipam: { ...ipam, dataDir: ipamDir } }
  })
  return { ...conflist, plugins }
}

function requireBelow(folder: string, path: unknown, field: string): void {
  if (path === undefined) return
  if (typeof path === 'string' && !path.includes('\0') && path.startsWith('/')) {
    const whole = resolve(path)
    if (whole === folder || whole.startsWith(`${folder}/`)) return
  }
  throw new Fault('Invalid', `${field}: ${quoted(path)} is not below ${folder}; leave it out, or name a folder there`)
}

/** Results before version 0.3.0 have one address per family instead of a list. */
function resultOf(result: JsonObject): CniResult {
  const routes = (Array.isArray(result.routes) ? result.routes : []) as CniResult['routes']
  if (Array.isArray(result.ips)) return { ips: result.ips as CniResult['ips'], routes }
  const old = [result.ip4, result.ip6].filter(isObject)
  return {
    ips: old.map(({ ip, gateway }) => ({ address: String(ip), ...(typeof gateway === 'string' && { gateway }) })),
    routes,
  }
}
