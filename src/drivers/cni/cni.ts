import { access, constants, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { explain, Fault } from '#base/fault.ts'
import { isObject, type JsonObject, sameJson } from '#base/json.ts'
import type { Spawn } from '../process/spare-shells.ts'
import { deleteSharedRules, isMasqueraded, restoreAddresses } from './addresses.ts'
import { type Conflist, type PluginConf, parseConflist, typesOf } from './conflist.ts'
import { unknownFields } from './fields.ts'
import { requireDhcpDaemon, withIpamDir } from './ipam.ts'
import { canInherit, givenIn, InheritedLeases, staticPlugin, withoutIpam, withStatic } from './leases.ts'
import { endOrphanedPlugins } from './orphaned-plugins.ts'
import { callPlugin } from './plugin.ts'
import { type CniRecord, CniRecords, type CniWhere } from './records.ts'
import { type CniResult, resultOf } from './result.ts'
import { argsOf, type CniRuntime, runtimeConfigOf } from './runtime.ts'
import { negotiatedVersion, PluginVersions, supportedVersions } from './versions.ts'

export type CniOptions = Readonly<{
  /** Where results are kept, so that DEL knows what ADD did. */
  cacheDir: string
  /** Where host-local keeps its leases unless a configuration says otherwise. */
  ipamDir: string
  pluginDirs?: readonly string[]
  timeoutMs?: number
  /** Prefix of every plugin command; tests run plugins in a network namespace by it. */
  wrap?: readonly string[]
  /** Starts plugins. */
  spawn?: Spawn
}>

/** An interface to add, and its configuration. */
type AddRequest = CniWhere & Readonly<{ conflist: Conflist; runtime?: CniRuntime }>

const defaultPluginDirs = ['/usr/lib/cni', '/opt/cni/bin']
const defaultTimeoutMs = 20_000
/** How long a plugin's VERSION may take, which needs nothing of the host. */
const versionTimeoutMs = 5000

/** Runs CNI plugins as their specification says: chains, cached results, DEL in reverse order. */
export class Cni {
  readonly #options: Required<Pick<CniOptions, 'pluginDirs' | 'timeoutMs'>> & CniOptions
  /** Resolves once orphaned plugin processes that use this cache have ended. */
  #alone: Promise<void> | undefined
  readonly #versions = new PluginVersions()
  readonly #records: CniRecords
  readonly #inherited: InheritedLeases

  constructor(options: CniOptions) {
    this.#inherited = new InheritedLeases(options.cacheDir)
    this.#options = { pluginDirs: defaultPluginDirs, timeoutMs: defaultTimeoutMs, ...options }
    this.#records = new CniRecords(options.cacheDir, this.#options.pluginDirs)
  }

  /** Names of the plugins on this host. */
  async plugins(): Promise<string[]> {
    const found = await Promise.all(this.#options.pluginDirs.map((dir) => readdir(dir).catch(() => [])))
    return [...new Set(found.flat())].sort()
  }

  /**
   * Reads a configuration, and finds the version of the specification that all of its plugins support.
   * @throws Fault Invalid with all of its errors, Aborted; `what` names its source
   */
  async parse(text: string, what: string, signal: AbortSignal): Promise<Conflist> {
    const refuse = (errors: readonly string[]) => new Fault('Invalid', `${what} cannot be used: ${errors.join('; ')}`)
    const fallback = what.replace(/.*[/ ]/, '')
    const parsed = parseConflist(text, await this.plugins(), fallback)
    if ('errors' in parsed) throw refuse(parsed.errors)
    const { conflist } = parsed
    const unknown = await Promise.all(conflist.plugins.map((plugin) => this.#unknown(plugin)))
    if (unknown.flat().length) throw refuse(unknown.flat())
    const speakers = await Promise.all(
      typesOf(conflist).map(async (type) => ({ type, versions: await this.#spoken(type, signal) })),
    )
    const version = negotiatedVersion(conflist.cniVersion, speakers)
    if (typeof version !== 'string') throw refuse([version.problem])
    return { ...conflist, cniVersion: version }
  }

  /** The configuration and the result of an interface's ADD, unless it has been deleted. */
  async added(where: CniWhere): Promise<Readonly<{ conflist: Conflist; result: CniResult }> | undefined> {
    const cached = await this.#records.read(where)
    return cached?.result && { conflist: cached.conflist, result: resultOf(cached.result) }
  }

  /** Names of a container's interfaces with records: added, partly added, or not yet deleted. */
  interfacesOf(containerId: string): Promise<string[]> {
    return this.#records.interfacesOf(containerId)
  }

  /** Removes the files of a container whose interfaces are all deleted: those that a crash left unfinished. */
  forget(containerId: string): Promise<void> {
    return this.#records.forget(containerId)
  }

  /**
   * Adds an interface. When a plugin of the chain fails, DEL runs for the whole chain before the ADD's fault is thrown; the
   * fault's data lists failed DELs (`notUndone`, sentences). A failed ADD leaves no record.
   */
  async add(request: AddRequest, signal: AbortSignal): Promise<CniResult> {
    return this.#add(request, await this.#recordOf(request), {}, signal)
  }

  /**
   * Adds an interface whose link was lost, with its earlier addresses and without IPAM. On failure nothing changes. With
   * another configuration than before it is deleted and added as a new one; `report` receives what DEL could not undo.
   */
  async addAgain(
    request: AddRequest,
    report: (notUndone: readonly string[]) => void,
    signal: AbortSignal,
  ): Promise<CniResult> {
    const wanted = await this.#recordOf(request)
    const before = await this.#records.read(request)
    const isSame = before?.result && sameJson(before.lease?.conflist ?? before.conflist, wanted.conflist)
    if (!isSame || !(await this.plugins()).includes(staticPlugin)) {
      report(await this.letGo(request, signal))
      return this.add(request, signal)
    }
    const { lease, result: had = {} } = before
    const conflist = lease ? before.conflist : withStatic(wanted.conflist, had)
    const now = { ...before, ...wanted, conflist }
    report(await this.#undo(request, now, signal))
    try {
      const result = await this.#chain(request, now, async () => undefined, signal)
      await this.#records.write(request, {
        ...before,
        ...wanted,
        ...(lease && { conflist }),
        result: { ...result, ...givenIn(had) },
      })
      return resultOf({ ...result, ...givenIn(had) })
    } catch (error) {
      report(await this.#undo(request, now, new AbortController().signal))
      throw error
    }
  }

  /**
   * Adds an interface with the addresses of another one, which keeps them until it is deleted: their guest moves. With
   * another configuration, or where that is impossible, it gets its own addresses.
   */
  async inherit(request: AddRequest, from: CniWhere, signal: AbortSignal): Promise<CniResult> {
    const wanted = await this.#recordOf(request)
    const holder = await this.#records.read(from)
    const { conflist } = wanted
    const isSame = holder?.result && sameJson(holder.lease?.conflist ?? holder.conflist, conflist)
    if (!isSame || !canInherit(conflist)) return this.#add(request, wanted, {}, signal)
    const { containerId, ifName } = from
    const lease = holder.lease ?? { containerId, ifName, conflist }
    await this.#inherited.note(lease, request)
    return this.#add(request, { ...wanted, conflist: withoutIpam(conflist), lease }, givenIn(holder.result!), signal)
  }

  /** The record of an interface before it is added. @throws Fault Invalid, Unavailable */
  async #recordOf(request: AddRequest): Promise<CniRecord & Required<Pick<CniRecord, 'runtime'>>> {
    const conflist = withIpamDir(request.conflist, this.#options.ipamDir)
    await requireDhcpDaemon(conflist)
    const { netns, runtime = {} } = request
    // Invalid parameters are refused before the first effect.
    for (const plugin of conflist.plugins) runtimeConfigOf(plugin, runtime)
    return { conflist, netns, runtime }
  }

  /** Runs the plugins of a chain; `note` receives each result before the next plugin runs. */
  async #chain(
    where: CniWhere,
    record: CniRecord,
    note: (partial: JsonObject) => Promise<void>,
    signal: AbortSignal,
  ): Promise<JsonObject> {
    const { result: _, ...fresh } = record
    let result: JsonObject | undefined
    for (const [i, plugin] of record.conflist.plugins.entries()) {
      if (i > 0) await note(result ?? {})
      result = await this.#call('ADD', where, { ...fresh, ...(result && { result }) }, plugin, signal)
    }
    return result ?? {}
  }

  async #add(request: CniWhere, record: CniRecord, given: JsonObject, signal: AbortSignal): Promise<CniResult> {
    // The record comes first: after a crash from here on, DEL knows what to undo.
    await this.#records.write(request, record)
    let result: JsonObject
    try {
      // When the next plugin fails, DEL of the earlier ones needs this result.
      const note = (partial: JsonObject) => this.#records.write(request, { ...record, partial })
      result = { ...(await this.#chain(request, record, note, signal)), ...given }
    } catch (error) {
      // Not abortable: each plugin has its own timeout.
      const notUndone = await this.letGo(request, new AbortController().signal)
      if (!notUndone.length || !(error instanceof Fault)) throw error
      throw new Fault(error.kind, error.message, { cause: error.cause, data: { ...error.data, notUndone } })
    }
    await this.#records.write(request, { ...record, result })
    return resultOf(result)
  }

  /**
   * Deletes an interface; a failure keeps the record for a retry. An interface that was never added or is already gone is no
   * error, and the rest of a failed ADD is dropped.
   */
  async del(where: CniWhere, signal: AbortSignal): Promise<void> {
    const cached = await this.#records.read(where)
    if (!cached) return
    if (!cached.result) {
      await this.letGo(where, signal)
      return
    }
    const record = await this.#withoutHeritage(where, cached)
    await this.#restore(where, record, signal)
    for (const plugin of record.conflist.plugins.toReversed()) await this.#delOne(where, record, plugin, signal)
    await this.#release(where, record, signal)
    await this.#records.remove(where)
  }

  /**
   * Deletes an interface as far as its plugins can, runs each DEL once, and drops the record. Resolves to what could not be
   * undone, in sentences. Many plugins fail DEL whenever ADD could not work: both need the parent link.
   * @throws Fault Aborted
   */
  async letGo(where: CniWhere, signal: AbortSignal): Promise<readonly string[]> {
    const cached = await this.#records.read(where)
    if (!cached) return []
    const record = await this.#withoutHeritage(where, cached)
    const notUndone = await this.#undo(where, record, signal)
    await this.#release(where, record, signal).catch((error: unknown) => {
      if (signal.aborted) throw error
      notUndone.push(explain(error))
    })
    await this.#records.remove(where)
    return notUndone
  }

  /** Runs each plugin's DEL once. Resolves to what could not be undone. @throws Fault Aborted */
  async #undo(where: CniWhere, record: CniRecord, signal: AbortSignal): Promise<string[]> {
    const notUndone: string[] = []
    const tryTo = async (step: Promise<unknown>) => {
      try {
        await step
      } catch (error) {
        if (signal.aborted) throw error
        notUndone.push(explain(error))
      }
    }
    await tryTo(this.#restore(where, record, signal))
    const { partial, result = partial } = record
    for (const plugin of record.conflist.plugins.toReversed())
      await tryTo(this.#delOne(where, { ...record, ...(result && { result }) }, plugin, signal))
    return notUndone
  }

  /** The record for DEL: addresses that another interface has inherited are not released. */
  async #withoutHeritage(where: CniWhere, record: CniRecord): Promise<CniRecord> {
    if (record.lease || !(await this.#inherited.has(where))) return record
    return { ...record, conflist: withoutIpam(record.conflist) }
  }

  /** Releases inherited addresses of an interface when no other one has them. */
  async #release(where: CniWhere, { lease, netns }: CniRecord, signal: AbortSignal): Promise<void> {
    if (!lease) return
    const { conflist, ...holder } = lease
    const isLast = !(await this.#records.has(holder)) && !(await this.#inherited.has(holder, where))
    if (isLast)
      for (const plugin of conflist.plugins) {
        if (!isObject(plugin.ipam) || typeof plugin.ipam.type !== 'string') continue
        await this.#call(
          'DEL',
          { ...holder, netns },
          { conflist, netns },
          { ...plugin, type: plugin.ipam.type },
          signal,
        )
      }
    await this.#inherited.drop(holder, where)
  }

  /** Shows plugins the addresses whose ipMasq rules DEL removes with a link. */
  async #restore(where: CniWhere, cached: CniRecord, signal: AbortSignal): Promise<void> {
    const { conflist, partial = {}, result = partial } = cached
    if (!isMasqueraded(conflist)) return
    const addresses = resultOf(result).ips.map(({ address }) => address)
    const { wrap = [] } = this.#options
    const isShared = await this.#hasSibling(where, conflist.name)
    const isDone = isShared && (await deleteSharedRules(where.containerId, addresses, wrap, signal))
    await restoreAddresses(where, isDone ? [] : addresses, signal)
  }

  /** Whether another interface of the same container has rules of ipMasq on a network. */
  async #hasSibling(where: CniWhere, network: string): Promise<boolean> {
    for (const ifName of await this.interfacesOf(where.containerId)) {
      const other = ifName === where.ifName ? undefined : (await this.added({ ...where, ifName }))?.conflist
      if (other?.name === network && isMasqueraded(other)) return true
    }
    return false
  }

  #delOne(where: CniWhere, cached: CniRecord, plugin: PluginConf, signal: AbortSignal): Promise<JsonObject> {
    const pluginDirs = [...new Set([...this.#options.pluginDirs, ...(cached.pluginDirs ?? [])])]
    return this.#call('DEL', { ...where, pluginDirs }, cached, plugin, signal)
  }

  async #call(
    command: 'ADD' | 'DEL',
    {
      pluginDirs = this.#options.pluginDirs,
      containerId,
      netns,
      ifName,
    }: CniWhere & Readonly<{ pluginDirs?: readonly string[] }>,
    { conflist, runtime = {}, result: prevResult }: CniRecord,
    plugin: PluginConf,
    signal: AbortSignal,
  ): Promise<JsonObject> {
    const { timeoutMs, wrap, spawn, cacheDir } = this.#options
    await this.#takeOver()
    const { capabilities: _, ...conf } = plugin
    const runtimeConfig = runtimeConfigOf(plugin, runtime)
    return callPlugin({
      containerId,
      netns,
      ifName,
      command,
      args: argsOf(containerId, runtime),
      type: plugin.type,
      network: conflist.name,
      program: await this.#find(plugin.type, pluginDirs),
      path: pluginDirs.join(':'),
      owner: cacheDir,
      config: {
        ...conf,
        cniVersion: conflist.cniVersion,
        name: conflist.name,
        ...(runtimeConfig && { runtimeConfig }),
        ...(prevResult && { prevResult }),
      },
      timeoutMs,
      signal,
      ...(wrap && { wrap }),
      ...(spawn && { spawn }),
    })
  }

  async #unknown(plugin: PluginConf): Promise<readonly string[]> {
    const program = await this.#find(plugin.type, this.#options.pluginDirs)
    const fields = await unknownFields(plugin, program)
    return fields.map(
      (field) =>
        `${field}: ${program} does not know it and would do without; install newer CNI plugins, or take it out`,
    )
  }

  /** The versions a plugin supports, asked once per program file. */
  async #spoken(type: string, signal: AbortSignal): Promise<readonly string[] | undefined> {
    const { wrap, cacheDir, pluginDirs, timeoutMs } = this.#options
    const program = await this.#find(type, pluginDirs)
    return this.#versions.of(program, () =>
      callPlugin({
        ...{ program, type, signal, command: 'VERSION', network: '', args: {}, owner: cacheDir },
        ...{ containerId: '', netns: '', ifName: '', path: pluginDirs.join(':') },
        config: { cniVersion: supportedVersions.at(-1) },
        timeoutMs: Math.min(timeoutMs, versionTimeoutMs),
        ...(wrap && { wrap }),
      }),
    )
  }

  /** Before the first plugin is run. */
  #takeOver(): Promise<void> {
    this.#alone ??= endOrphanedPlugins(
      this.#options.cacheDir,
      async (where) => (await this.added(where)) !== undefined,
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
}
