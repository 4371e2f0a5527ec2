import { access, constants, readdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { explain, Fault } from '#base/fault.ts'
import { exists, readTextIfAny, writeFileAtomic } from '#base/file.ts'
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

  /**
   * Adds an interface. When a plugin of the chain fails, the whole chain is undone before the fault is thrown: the fault of the
   * ADD, whose data says what could not be undone (`notUndone`, sentences). Nothing is owed for an ADD that failed.
   */
  async add(request: CniWhere & Readonly<{ conflist: Conflist }>, signal: AbortSignal): Promise<CniResult> {
    const conflist = withIpamDir(request.conflist, this.#options.ipamDir)
    await requireDhcpDaemon(conflist)
    // Written down first: whatever dies from here on, DEL will know what to undo.
    await this.#write(request, { conflist, netns: request.netns })
    let result: JsonObject | undefined
    try {
      for (const plugin of conflist.plugins) result = await this.#call('ADD', request, conflist, plugin, result, signal)
    } catch (error) {
      // Not to be interrupted, and each plugin has its own time limit.
      const notUndone = await this.letGo(request, new AbortController().signal)
      if (!notUndone.length || !(error instanceof Fault)) throw error
      throw new Fault(error.kind, error.message, { cause: error.cause, data: { ...error.data, notUndone } })
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

  /**
   * Deletes an interface that was added; a failure keeps the record, so that it can be tried again. One that was never added, or
   * is gone already, is fine, and what an ADD that failed has left is let go.
   */
  async del(where: CniWhere, signal: AbortSignal): Promise<void> {
    const cached = await this.#read(where)
    if (!cached) return
    if (!cached.result) {
      await this.letGo(where, signal)
      return
    }
    for (const plugin of cached.conflist.plugins.toReversed()) await this.#delOne(where, cached, plugin, signal)
    await rm(this.#file(where), { force: true })
  }

  /**
   * Deletes an interface as far as its plugins can, each of which is asked once, and forgets it. Resolves to what could not be
   * undone, in sentences. Many plugins fail DEL whenever ADD could not work: the parent link is not there for either.
   * @throws Fault Aborted
   */
  async letGo(where: CniWhere, signal: AbortSignal): Promise<readonly string[]> {
    const cached = await this.#read(where)
    if (!cached) return []
    const notUndone: string[] = []
    for (const plugin of cached.conflist.plugins.toReversed())
      try {
        await this.#delOne(where, cached, plugin, signal)
      } catch (error) {
        if (signal.aborted) throw error
        notUndone.push(explain(error))
      }
    await rm(this.#file(where), { force: true })
    return notUndone
  }

  #delOne(where: CniWhere, cached: Cached, plugin: PluginConf, signal: AbortSignal): Promise<JsonObject> {
    const { conflist, result } = cached
    const pluginDirs = [...new Set([...this.#options.pluginDirs, ...(cached.pluginDirs ?? [])])]
    return this.#call('DEL', { ...where, pluginDirs }, conflist, plugin, result, signal)
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

const defaultDhcpSocket = '/run/cni/dhcp.sock'

/** @throws Fault Unavailable when addresses are to come from the dhcp plugin's daemon, and it does not run */
async function requireDhcpDaemon({ name, plugins }: Conflist): Promise<void> {
  for (const { ipam } of plugins) {
    if (!isObject(ipam) || ipam.type !== 'dhcp') continue
    const socket = typeof ipam.daemonSocketPath === 'string' ? ipam.daemonSocketPath : defaultDhcpSocket
    if (await exists(socket)) continue
    throw new Fault(
      'Unavailable',
      `network "${name}" takes addresses by DHCP (ipam.type "dhcp"), but no CNI DHCP daemon of this host listens at ${quoted(socket)}; start one ("dhcp daemon", beside the other CNI plugins) or take ipam out of the network's config: then guests ask the network themselves`,
    )
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
