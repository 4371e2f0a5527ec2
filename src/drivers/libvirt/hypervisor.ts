import { lstat, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { explain, Fault, faultKind } from '#base/fault.ts'
import { isObject, type Json, type JsonObject } from '#base/json.ts'
import { eventually } from '#base/wait.ts'
import { aliasOf } from '#core/nic/names.ts'
import type { Field, Nic } from '#core/nic/nic.ts'
import type { GuestInterface } from '#core/nic/status.ts'
import type { DomainEnd, Hypervisor, MoveProgress, NicTraffic, ObservedDomain } from '#core/ports.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import type { DomainSpec } from '#core/vm/domain.ts'
import { boundedInterfaces, type GuestInfo } from '#core/vm/guest-info.ts'
import { readLogEnds } from '../host/bounded-log.ts'
import type { Accelerator } from '../host/kvm.ts'
import { domainXml, fileOfImage, linkUpdateXml, nicXml, type ReadDomain, readDomain } from './domain-xml.ts'
import { readGuestInfo } from './guest-info.ts'
import { createFlags, powerFlags } from './rpc/flags.ts'
import type { Libvirt } from './rpc/libvirt.ts'
import type { Domain } from './rpc/procedures.ts'
import type { StateAndReason } from './rpc/states.ts'

/** Longest time a guest agent may take to list its interfaces, milliseconds. */
const agentTimeoutMs = 5000

/** Longest time libvirt may wait for a guest to begin its reboot, milliseconds: other changes of the guest wait as long. */
const rebootMs = 10_000

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
  /** Called whenever the guest is about to be looked at. */
  onObserve: () => void
}>

/** The libvirtd of one sandbox, which runs at most one guest. */
export class LibvirtHypervisor implements Hypervisor {
  readonly #options: HypervisorOptions

  constructor(options: HypervisorOptions) {
    this.#options = options
  }

  async observe(signal: AbortSignal): Promise<ObservedDomain | undefined> {
    const { libvirt, attachments, onObserve } = this.#options
    onObserve()
    const domain = await this.#domain(signal)
    if (!domain) return undefined
    try {
      const [xml, state] = await Promise.all([
        libvirt.getXml(domain, 0, { signal }),
        libvirt.getState(domain, { signal }),
      ])
      return { ...readDomain(xml, attachments), state: await this.#stateOf(domain.name, state) }
    } catch (error) {
      // It ended between the two questions.
      if (faultKind(error) === 'NotFound') return undefined
      throw error
    }
  }

  async #stateOf(name: string, state: StateAndReason): Promise<ObservedDomain['state']> {
    if (state.state !== 'paused') return domainState(state, '')
    const file = join(this.#options.dir, 'run/libvirt/qemu', `${name}.xml`)
    return domainState(state, await readFile(file, 'utf8').catch(() => ''))
  }

  async create(spec: DomainSpec, signal: AbortSignal): Promise<void> {
    const { libvirt, accelerator, provideImage, onCreated } = this.#options
    if (await this.#domain(signal)) return
    await provideImage(spec.kernel.image)
    await this.#requireFiles(spec.kernel)
    const flags = spec.isPaused ? createFlags.paused : createFlags.none
    await libvirt.create(domainXml(spec, accelerator), flags, { signal })
    await onCreated()
  }

  /** @throws Fault Invalid for a file that the image does not have */
  async #requireFiles({ image, kernelPath, initrdPath }: DomainSpec['kernel']): Promise<void> {
    for (const path of [kernelPath, ...(initrdPath === undefined ? [] : [initrdPath])]) {
      const file = await lstat(join(this.#options.dir, 'run/images', image, fileOfImage(path))).catch(() => undefined)
      if (!file?.isFile()) throw new Fault('Invalid', `The image "${image}" has no file ${path}`)
    }
  }

  async lastEnd(domain: string): Promise<DomainEnd | undefined> {
    return endOf(await readLogEnds(join(this.#options.dir, 'var/log/libvirt/qemu', `${domain}.log`)))
  }

  async update(nic: Nic, changed: readonly Field[], signal: AbortSignal): Promise<void> {
    if (changed.some((field) => field !== 'link'))
      throw new Fault('Bug', `Cannot change ${changed.join()} of a running interface`)
    await this.setLink(nic.name, nic.link, signal)
  }

  /** Plugs or pulls the cable of a card. */
  async setLink(nic: string, link: Nic['link'], signal: AbortSignal): Promise<void> {
    const { libvirt } = this.#options
    const domain = await this.#domain(signal)
    if (!domain) throw new Fault('Unavailable', `The guest of interface ${nic} is gone`)
    const xml = linkUpdateXml(await libvirt.getXml(domain, 0, { signal }), nic, link)
    if (xml === undefined) throw new Fault('Unavailable', `The guest has no interface ${nic}`)
    await libvirt.updateDevice(domain, xml, undefined, { signal })
  }

  /** Has QEMU tell the network, a few times within a second, whose a card's address is, and the guest do so too. */
  async announce(nic: string, signal: AbortSignal): Promise<void> {
    const domain = await this.#domain(signal)
    if (!domain) return
    const times = { initial: 50, max: 550, rounds: 5, step: 100 }
    const command = { execute: 'announce-self', arguments: { ...times, interfaces: [aliasOf(nic)] } }
    await this.#options.libvirt.monitorCommand(domain, command, { signal })
  }

  async plug(nic: Nic, signal: AbortSignal): Promise<void> {
    const { libvirt, attachments } = this.#options
    const { domain, nics } = await this.#guest(nic.name, signal)
    if (nics.some(({ name }) => name === nic.name)) return
    const attachment = attachments.get(nic.name)
    if (!attachment) throw new Fault('Unavailable', `The sandbox has no network for interface ${nic.name}`)
    // libvirt takes duplicates, and the guest would have two cards that answer for one address.
    const twin = nics.find(({ mac }) => mac === nic.mac)
    if (twin) throw new Fault('Invalid', `Interface ${nic.name} has the MAC address of interface ${twin.name}`)
    try {
      await libvirt.attachDevice(domain, nicXml(nic, attachment), undefined, { signal })
    } catch (cause) {
      if (!/No more available PCI/i.test(explain(cause))) throw cause
      throw new Fault(
        'Unavailable',
        `No more available PCI slots: the guest has no free port for interface ${nic.name}; unplug another one, or restart the VM, which gives it new ports`,
        { cause },
      )
    }
  }

  async unplug(nic: Nic, signal: AbortSignal): Promise<void> {
    const { domain, nics } = await this.#guest(nic.name, signal)
    if (!nics.some(({ name }) => name === nic.name)) return
    await this.#options.libvirt.detachAlias(domain, aliasOf(nic.name), undefined, { signal })
  }

  async #guest(nic: string, signal: AbortSignal): Promise<{ domain: Domain; nics: ReadDomain['nics'] }> {
    const { libvirt, attachments } = this.#options
    const domain = await this.#domain(signal)
    if (!domain) throw new Fault('Unavailable', `The guest of interface ${nic} is gone`)
    return { domain, nics: readDomain(await libvirt.getXml(domain, 0, { signal }), attachments).nics }
  }

  async shutdown(signal: AbortSignal): Promise<void> {
    const domain = await this.#domain(signal)
    if (domain) await this.#options.libvirt.shutdown(domain, powerFlags.acpi | powerFlags.agent, { signal })
  }

  async pause(signal: AbortSignal): Promise<void> {
    const domain = await this.#domain(signal)
    if (domain) await this.#options.libvirt.suspend(domain, { signal })
  }

  async unpause(signal: AbortSignal): Promise<void> {
    const { libvirt } = this.#options
    const domain = await this.#domain(signal)
    // libvirt refuses to have one go on that already does, or that shuts down.
    if (!domain || (await libvirt.getState(domain, { signal })).state !== 'paused') return
    await libvirt.resume(domain, { signal })
  }

  async reset(signal: AbortSignal): Promise<void> {
    await this.#options.libvirt.reset(await this.#there(signal), { signal })
  }

  async softReboot(signal: AbortSignal): Promise<void> {
    await this.#options.libvirt.reboot(await this.#there(signal), powerFlags.acpi | powerFlags.agent, {
      signal,
      timeoutMs: rebootMs,
    })
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

  async moveProgress(signal: AbortSignal): Promise<MoveProgress | undefined> {
    const domain = await this.#domain(signal)
    if (!domain) return undefined
    const job = await this.#options.libvirt.jobInfo(domain, { signal }).catch((error: unknown) => {
      // The guest has left in this moment.
      if (faultKind(error) !== 'NotFound') throw error
      return { type: 'none', memoryRemaining: 0 } as const
    })
    const { type, memoryRemaining } = job
    if (type !== 'bounded' && type !== 'unbounded') return undefined
    return { remainingBytes: Number(memoryRemaining) }
  }

  async abortMove(signal: AbortSignal): Promise<void> {
    const domain = await this.#domain(signal)
    if (!domain || !(await this.moveProgress(signal))) return
    await this.#options.libvirt.abortJob(domain, { signal })
  }

  async traffic(signal: AbortSignal): Promise<readonly NicTraffic[]> {
    const domain = await this.#domain(signal)
    if (!domain) return []
    const one = async ({ name, links }: Attachment) => ({
      name,
      ...(await this.#options.libvirt.interfaceStats(domain, links.tap, { signal })),
    })
    return Promise.all([...this.#options.attachments.values()].map(one))
  }

  async guestInterfaces(signal: AbortSignal): Promise<readonly GuestInterface[] | undefined> {
    const domain = await this.#domain(signal)
    if (!domain) return undefined
    const list = await this.#options.libvirt.interfaceAddresses(domain, undefined, {
      signal,
      timeoutMs: agentTimeoutMs,
    })
    return boundedInterfaces(
      list.map(({ name, mac, addresses }) => ({ name, mac: mac ?? '', ips: addresses.map((one) => one.address) })),
    )
  }

  guestInfo(signal: AbortSignal): Promise<GuestInfo> {
    return readGuestInfo((command) => this.#agent(command, signal))
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
    const domain = await this.#there(signal)
    return this.#options.libvirt.agentCommand(domain, command, { signal, timeoutS: agentTimeoutMs / 1000 })
  }

  /** @throws Fault Unavailable when there is none */
  async #there(signal: AbortSignal): Promise<Domain> {
    const domain = await this.#domain(signal)
    if (!domain) throw new Fault('Unavailable', 'The guest is gone')
    return domain
  }

  /** There is at most one, whatever it is called. */
  async #domain(signal: AbortSignal): Promise<Domain | undefined> {
    const [domain] = await this.#options.libvirt.listDomains(0, { signal })
    return domain
  }
}

/**
 * What a guest does, by libvirt's words and by the file libvirt keeps about it. A guest that stands still is one its owner
 * paused, unless it comes or goes. That one has arrived counts only when libvirt has written it down: a libvirtd that dies
 * before would end the guest when it is started again.
 */
export function domainState({ state, reason }: StateAndReason, file: string): ObservedDomain['state'] {
  if (state === 'shutdown') return 'shutting-down'
  if (state === 'none' || state === 'shutoff' || state === 'crashed') return 'moving'
  if (state !== 'paused') return 'running'
  if (reason === 'migration' || reason === 'startingUp') return 'moving'
  return !file || /<job [^>]*async='migration /.test(file) ? 'moving' : 'paused'
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
