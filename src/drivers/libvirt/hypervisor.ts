import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Fault, faultKind } from '#base/fault.ts'
import { isObject, type Json, type JsonObject } from '#base/json.ts'
import { eventually } from '#base/wait.ts'
import type { Field, Nic } from '#core/nic/nic.ts'
import type { GuestInterface } from '#core/nic/status.ts'
import type { DomainEnd, Hypervisor, ObservedDomain } from '#core/ports.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import type { DomainSpec } from '#core/vm/domain.ts'
import type { Accelerator } from '../host/kvm.ts'
import { domainXml, linkUpdateXml, readDomain } from './domain-xml.ts'
import { powerFlags } from './rpc/flags.ts'
import type { Libvirt } from './rpc/libvirt.ts'
import type { Domain } from './rpc/procedures.ts'

/** Longest time a guest agent may take to list its interfaces, milliseconds. */
const agentTimeoutMs = 5000

export type HypervisorOptions = Readonly<{
  libvirt: Libvirt
  /** Folder of the sandbox. */
  dir: string
  accelerator: Accelerator
  attachments: ReadonlyMap<string, Attachment>
  /** Puts an image where the sandbox can see it. */
  provideImage: (name: string) => Promise<void>
  /** Called after a guest was started. */
  onCreated: () => Promise<unknown>
}>

/** The libvirtd of one sandbox, which runs at most one guest. */
export class LibvirtHypervisor implements Hypervisor {
  readonly #options: HypervisorOptions

  constructor(options: HypervisorOptions) {
    this.#options = options
  }

  async observe(signal: AbortSignal): Promise<ObservedDomain | undefined> {
    const { libvirt, attachments } = this.#options
    const domain = await this.#domain(signal)
    if (!domain) return undefined
    try {
      const [xml, { state }] = await Promise.all([
        libvirt.getXml(domain, 0, { signal }),
        libvirt.getState(domain, { signal }),
      ])
      const read = readDomain(xml, attachments)
      return { ...read, state: state === 'paused' ? 'paused' : state === 'shutdown' ? 'shutting-down' : 'running' }
    } catch (error) {
      // It ended between the two questions.
      if (faultKind(error) === 'NotFound') return undefined
      throw error
    }
  }

  async create(spec: DomainSpec, signal: AbortSignal): Promise<void> {
    const { libvirt, accelerator, provideImage, onCreated } = this.#options
    if (await this.#domain(signal)) return
    await provideImage(spec.kernel.image)
    await libvirt.create(domainXml(spec, accelerator), 0, { signal })
    await onCreated()
  }

  async lastEnd(domain: string): Promise<DomainEnd | undefined> {
    const log = await readFile(join(this.#options.dir, 'var/log/libvirt/qemu', `${domain}.log`), 'utf8').catch(() => '')
    return endOf(log)
  }

  async update(nic: Nic, changed: readonly Field[], signal: AbortSignal): Promise<void> {
    if (changed.some((field) => field !== 'link'))
      throw new Fault('Bug', `Cannot change ${changed.join()} of a running interface`)
    const { libvirt } = this.#options
    const domain = await this.#domain(signal)
    if (!domain) throw new Fault('Unavailable', `The guest of interface ${nic.name} is gone`)
    const xml = linkUpdateXml(await libvirt.getXml(domain, 0, { signal }), nic.name, nic.link)
    if (xml === undefined) throw new Fault('Unavailable', `The guest has no interface ${nic.name}`)
    await libvirt.updateDevice(domain, xml, undefined, { signal })
  }

  async shutdown(signal: AbortSignal): Promise<void> {
    const domain = await this.#domain(signal)
    if (domain) await this.#options.libvirt.shutdown(domain, powerFlags.acpi | powerFlags.agent, { signal })
  }

  async destroy(signal: AbortSignal): Promise<void> {
    const domain = await this.#domain(signal)
    try {
      if (domain) await this.#options.libvirt.destroy(domain, undefined, { signal })
    } catch (error) {
      // It ended by itself in the same moment.
      if (faultKind(error) !== 'NotFound') throw error
    }
  }

  async guestInterfaces(signal: AbortSignal): Promise<readonly GuestInterface[] | undefined> {
    const domain = await this.#domain(signal)
    if (!domain) return undefined
    const list = await this.#options.libvirt.interfaceAddresses(domain, undefined, {
      signal,
      timeoutMs: agentTimeoutMs,
    })
    return list.map(({ name, mac, addresses }) => ({ name, mac: mac ?? '', ips: addresses.map((one) => one.address) }))
  }

  async pingAgent(signal: AbortSignal): Promise<void> {
    await this.#agent({ execute: 'guest-ping' }, signal)
  }

  async execute(command: readonly string[], timeoutMs: number, signal: AbortSignal): Promise<number> {
    const [path = '', ...arg] = command
    const started = await this.#agent({ execute: 'guest-exec', arguments: { path, arg } }, signal)
    const pid = isObject(started) ? started.pid : undefined
    if (pid === undefined) throw new Fault('Unavailable', `The guest agent did not start ${path}`)
    return eventually(
      `${path} ends in the guest`,
      async () => {
        const status = await this.#agent({ execute: 'guest-exec-status', arguments: { pid } }, signal)
        if (!isObject(status) || !status.exited) return undefined
        // A command ended by a signal has no exit code.
        return typeof status.exitcode === 'number' ? status.exitcode : 128 + Number(status.signal ?? 0)
      },
      { deadlineMs: timeoutMs, everyMs: 20, signal },
    )
  }

  async #agent(command: JsonObject, signal: AbortSignal): Promise<Json> {
    const domain = await this.#domain(signal)
    if (!domain) throw new Fault('Unavailable', 'The guest is gone')
    return this.#options.libvirt.agentCommand(domain, command, { signal, timeoutS: agentTimeoutMs / 1000 })
  }

  /** There is at most one, whatever it is called. */
  async #domain(signal: AbortSignal): Promise<Domain | undefined> {
    const [domain] = await this.#options.libvirt.listDomains(0, { signal })
    return domain
  }
}

/**
 * How the last guest in a QEMU log ended; undefined when none ran. libvirt writes a line when it starts one and another when
 * it sees it end; a guest that ended while nobody looked leaves only the first, and may have crashed for all we know.
 */
export function endOf(log: string): DomainEnd | undefined {
  const lines = log.split('\n')
  const end = lines.findLast((line) => /shutting down, reason=/.test(line))
  const reason = end && /reason=([\w-]+)/.exec(end)?.[1]
  switch (reason) {
    case undefined:
      return lines.some((line) => line.includes('starting up libvirt version')) ? 'crashed' : undefined
    case 'shutdown':
      return 'shutdown'
    case 'destroyed':
      return 'destroyed'
    // It never got as far as to run.
    case 'failed':
      return undefined
    default:
      return 'crashed'
  }
}
