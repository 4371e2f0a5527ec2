import type { Fault } from '#base/fault.ts'
import type { Json, JsonObject } from '#base/json.ts'
import { type CallOptions, forever } from './calls.ts'
import type { Parameters } from './codec.ts'
import { type Connection, type ConnectionOptions, connect } from './connection.ts'
import { decodeEvent, eventKinds, type LibvirtEvent } from './events.ts'
import {
  addressSource,
  createFlags,
  destroyFlags,
  deviceFlags,
  impactFlags,
  listFlags,
  metadataType,
  powerFlags,
  xmlFlags,
} from './flags.ts'
import { type GuestInterface, type InterfaceStats, toGuestInterface, toReturn } from './guest.ts'
import { type MigrationRequest, migrationArgs } from './migration.ts'
import { Pool } from './pool.ts'
import { type Domain, type Procedure, procedures } from './procedures.ts'
import { type JobType, jobTypeOf, type StateAndReason, stateOf } from './states.ts'

/** Default timeout of a guest agent's command. */
const agentTimeoutS = 10

/** Time of libvirt itself beyond that of a guest agent. */
const agentMarginMs = 2000

/** Timeout of calls that save memory or start devices. */
const createTimeoutMs = 120_000

/**
 * One libvirtd. Events and quick reads share a connection; calls that may wait for QEMU or the guest use others. When the first
 * connection breaks, all are closed: `closed` resolves, and the owner opens another one and lists the domains again.
 */
export class Libvirt {
  readonly closed: Promise<Fault>
  readonly #main: Connection
  readonly #workers: Pool
  readonly #listeners = new Set<(event: LibvirtEvent) => void>()

  /** Used by `openLibvirt`. */
  constructor(main: Connection, workers: Pool) {
    this.#main = main
    this.#workers = workers
    this.closed = main.closed
    main.onMessage((frame) => {
      const event = decodeEvent(frame)
      if (event) for (const listener of this.#listeners) listener(event)
    })
    void main.closed.then(() => workers.close())
  }

  /** Calls the listener with the events of all domains until the returned function is called. The listener must not throw. */
  onEvent(listener: (event: LibvirtEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Closes all connections; pending calls reject with Fault Unavailable. */
  close(): void {
    this.#main.close()
    this.#workers.close()
  }

  /** libvirt's version as `9.0.0`. */
  async libVersion(options?: CallOptions): Promise<string> {
    const { version } = await this.#quick(procedures.libVersion, undefined, 'say its version', options)
    return `${Math.floor(version / 1e6)}.${Math.floor(version / 1e3) % 1e3}.${version % 1e3}`
  }

  /** The capabilities of guests of a machine type, as XML. Slow when libvirt has to probe QEMU first. */
  async domainCapabilities(
    query: Readonly<{ machine?: string; virtType?: 'kvm' | 'qemu' }> = {},
    options?: CallOptions,
  ): Promise<string> {
    const args = { emulator: undefined, arch: undefined, machine: query.machine, virtType: query.virtType, flags: 0 }
    return (await this.#slow(procedures.domainCapabilities, args, 'describe its capabilities', options)).xml
  }

  async listDomains(flags: number = listFlags.all, options?: CallOptions): Promise<readonly Domain[]> {
    const args = { wanted: true, flags }
    return (await this.#quick(procedures.listAllDomains, args, 'list domains', options)).domains
  }

  /** @throws Fault NotFound */
  async getDomain(name: string, options?: CallOptions): Promise<Domain> {
    return (await this.#quick(procedures.lookupByName, { name }, `find domain ${name}`, options)).domain
  }

  /** Creates and starts a transient domain. */
  async create(xml: string, flags: number = createFlags.none, options?: CallOptions): Promise<Domain> {
    const limits = { timeoutMs: createTimeoutMs, ...options }
    return (await this.#slow(procedures.createXml, { xml, flags }, 'create a domain', limits)).domain
  }

  async getState(domain: Domain, options?: CallOptions): Promise<StateAndReason> {
    const what = `read the state of ${domain.name}`
    const { state, reason } = await this.#quick(procedures.getState, { domain, flags: 0 }, what, options)
    return stateOf(state, reason)
  }

  async getXml(domain: Domain, flags: number = xmlFlags.none, options?: CallOptions): Promise<string> {
    return (await this.#quick(procedures.getXml, { domain, flags }, `read the XML of ${domain.name}`, options)).xml
  }

  async attachDevice(
    domain: Domain,
    xml: string,
    flags: number = deviceFlags.live,
    options?: CallOptions,
  ): Promise<void> {
    await this.#slow(procedures.attachDevice, { domain, xml, flags }, `attach a device to ${domain.name}`, options)
  }

  async updateDevice(
    domain: Domain,
    xml: string,
    flags: number = deviceFlags.live,
    options?: CallOptions,
  ): Promise<void> {
    await this.#slow(procedures.updateDevice, { domain, xml, flags }, `change a device of ${domain.name}`, options)
  }

  /** Requests the guest to release a device. The event `deviceRemoved` reports that it was removed. */
  async detachDevice(
    domain: Domain,
    xml: string,
    flags: number = deviceFlags.live,
    options?: CallOptions,
  ): Promise<void> {
    await this.#slow(procedures.detachDevice, { domain, xml, flags }, `detach a device from ${domain.name}`, options)
  }

  /** Like detachDevice, by the device's alias. */
  async detachAlias(
    domain: Domain,
    alias: string,
    flags: number = deviceFlags.live,
    options?: CallOptions,
  ): Promise<void> {
    await this.#slow(procedures.detachAlias, { domain, alias, flags }, `detach ${alias} from ${domain.name}`, options)
  }

  /** Requests the guest to power off; events report the result. */
  async shutdown(domain: Domain, flags: number = powerFlags.any, options?: CallOptions): Promise<void> {
    await this.#slow(procedures.shutdown, { domain, flags }, `ask ${domain.name} to power off`, options)
  }

  async reboot(domain: Domain, flags: number = powerFlags.any, options?: CallOptions): Promise<void> {
    await this.#slow(procedures.reboot, { domain, flags }, `ask ${domain.name} to reboot`, options)
  }

  async reset(domain: Domain, options?: CallOptions): Promise<void> {
    await this.#slow(procedures.reset, { domain, flags: 0 }, `reset ${domain.name}`, options)
  }

  async destroy(domain: Domain, flags: number = destroyFlags.none, options?: CallOptions): Promise<void> {
    await this.#slow(procedures.destroy, { domain, flags }, `stop ${domain.name}`, options)
  }

  async suspend(domain: Domain, options?: CallOptions): Promise<void> {
    await this.#slow(procedures.suspend, { domain }, `pause ${domain.name}`, options)
  }

  async resume(domain: Domain, options?: CallOptions): Promise<void> {
    await this.#slow(procedures.resume, { domain }, `continue ${domain.name}`, options)
  }

  /** The guest's interfaces, by default as its agent reports them. */
  async interfaceAddresses(
    domain: Domain,
    source: number = addressSource.agent,
    options?: CallOptions,
  ): Promise<readonly GuestInterface[]> {
    const what = `read the addresses of ${domain.name}`
    const args = { domain, source, flags: 0 }
    const { interfaces } = await this.#slow(procedures.interfaceAddresses, args, what, options)
    return interfaces.map(toGuestInterface)
  }

  /** Counters of a host device (a tap) of the domain. */
  async interfaceStats(domain: Domain, device: string, options?: CallOptions): Promise<InterfaceStats> {
    return this.#quick(
      procedures.interfaceStats,
      { domain, device },
      `read the counters of ${device} of ${domain.name}`,
      options,
    )
  }

  /**
   * Runs a command of the guest agent; the result is its `return`.
   * @throws Fault Unavailable when the agent does not answer within `timeoutS` seconds.
   */
  async agentCommand(
    domain: Domain,
    command: JsonObject,
    { timeoutS = agentTimeoutS, signal }: Readonly<{ timeoutS?: number; signal?: AbortSignal }> = {},
  ): Promise<Json> {
    const what = `run ${String(command.execute)} in the guest of ${domain.name}`
    const options = { timeoutMs: timeoutS * 1000 + agentMarginMs, ...(signal && { signal }) }
    const args = { domain, command: JSON.stringify(command), timeout: timeoutS, flags: 0 }
    const { result } = await this.#slow(procedures.agentCommand, args, what, options)
    return toReturn(result ?? '{}', what)
  }

  /** Runs a QMP command directly in QEMU; the result is its `return`. */
  async monitorCommand(domain: Domain, command: JsonObject, options?: CallOptions): Promise<Json> {
    const what = `run ${String(command.execute)} in the QEMU of ${domain.name}`
    const args = { domain, command: JSON.stringify(command), flags: 0 }
    return toReturn((await this.#slow(procedures.monitorCommand, args, what, options)).result, what)
  }

  /** Sets, or without `element.xml` removes, Patchbay's element in the metadata of a running domain. */
  async setMetadata(
    domain: Domain,
    element: Readonly<{ uri: string; prefix: string; xml?: string }>,
    options?: CallOptions,
  ): Promise<void> {
    const { uri, prefix: key, xml: metadata } = element
    const args = { domain, type: metadataType.element, metadata, key, uri, flags: impactFlags.live }
    await this.#slow(procedures.setMetadata, args, `set metadata of ${domain.name}`, options)
  }

  /** @throws Fault NotFound when the domain has no such element. */
  async getMetadata(domain: Domain, uri: string, options?: CallOptions): Promise<string> {
    const args = { domain, type: metadataType.element, uri, flags: impactFlags.live }
    return (await this.#quick(procedures.getMetadata, args, `read metadata of ${domain.name}`, options)).metadata
  }

  /**
   * Migrates a guest and resolves when it has been transferred. A timeout or abort of the call does not stop the migration: see
   * abortJob.
   */
  async migrate(domain: Domain, request: MigrationRequest, options?: CallOptions): Promise<void> {
    const args = migrationArgs(domain, request)
    await this.#slow(procedures.migratePerform, args, `migrate ${domain.name}`, { timeoutMs: forever, ...options })
  }

  async setMaxDowntime(domain: Domain, milliseconds: number, options?: CallOptions): Promise<void> {
    const args = { domain, milliseconds, flags: 0 }
    await this.#slow(procedures.migrateSetMaxDowntime, args, `limit the downtime of ${domain.name}`, options)
  }

  /** The running job in libvirt's fixed fields; type `none` when there is none. */
  async jobInfo(domain: Domain, options?: CallOptions) {
    const { type, ...numbers } = await this.#slow(
      procedures.jobInfo,
      { domain },
      `read the job of ${domain.name}`,
      options,
    )
    return { type: jobTypeOf(type), ...numbers }
  }

  /** The running or, by flag, the last completed job with all statistics. */
  async jobStats(
    domain: Domain,
    flags = 0,
    options?: CallOptions,
  ): Promise<Readonly<{ type: JobType; statistics: Parameters }>> {
    const what = `read the job of ${domain.name}`
    const { type, parameters } = await this.#slow(procedures.jobStats, { domain, flags }, what, options)
    return { type: jobTypeOf(type), statistics: parameters }
  }

  async abortJob(domain: Domain, options?: CallOptions): Promise<void> {
    await this.#slow(procedures.abortJob, { domain }, `abort the job of ${domain.name}`, options)
  }

  #quick<A, R>(procedure: Procedure<A, R>, args: A, what: string, options: CallOptions = {}): Promise<R> {
    return this.#main.call(procedure, args, what, options)
  }

  #slow<A, R>(procedure: Procedure<A, R>, args: A, what: string, options: CallOptions = {}): Promise<R> {
    return this.#workers.call(procedure, args, what, options)
  }
}

/**
 * Connects to a libvirtd and registers for its events.
 * @throws Fault Unavailable when it does not answer.
 */
export async function openLibvirt(options: ConnectionOptions & Readonly<{ workerIdleMs?: number }>): Promise<Libvirt> {
  const main = await connect(options)
  const libvirt = new Libvirt(main, new Pool(() => connect(options), options.workerIdleMs))
  try {
    const register = (event: number) =>
      main.call(procedures.registerEvent, { event, domain: undefined }, `report events of kind ${event}`)
    await Promise.all(eventKinds.map(({ event }) => register(event)))
    return libvirt
  } catch (error) {
    libvirt.close()
    throw error
  }
}
