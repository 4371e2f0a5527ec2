import { lstat, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { GuestAction } from '#apis/kubevirt/guest.ts'
import { Fault, faultKind } from '#base/fault.ts'
import { claimOfFile, type DomainDisk, disksInSandbox } from '#core/disk/disk.ts'
import { isDevice } from '#core/nic/bindings.ts'
import type { Domain, DomainEnd, ObservedDomain } from '#core/ports.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import type { DomainSpec, KernelBoot } from '#core/vm/domain.ts'
import type { Accelerator } from '../host/kvm.ts'
import type { GuestDevices } from './cards.ts'
import type { MadeDisk } from './disk-xml.ts'
import { type DomainFiles, domainXml, fileOfImage, readDomain } from './domain-xml.ts'
import type { DomainHandle } from './handle.ts'
import { createFlags, powerFlags } from './rpc/flags.ts'
import type { Domain as FoundDomain } from './rpc/procedures.ts'
import type { StateAndReason } from './rpc/states.ts'

/** Timeout of a guest's reboot in libvirt, milliseconds: other changes of the guest are blocked meanwhile. */
const rebootMs = 10_000

/** The files of a guest in its sandbox. */
export type GuestFiles = Readonly<{
  /** Makes those of a guest that is about to start: disks and firmware. */
  makeAll: (spec: DomainSpec) => Promise<DomainFiles>
  /** Makes the file of a disk that comes to a running guest, or finds it. */
  make: (disk: DomainDisk) => Promise<MadeDisk>
  /** Removes files of disks by their names. */
  drop: (files: readonly string[]) => Promise<void>
}>

export type GuestDomainOptions = Readonly<{
  /** Folder of the sandbox. */
  dir: string
  accelerator: Accelerator
  attachments: ReadonlyMap<string, Attachment>
  /** Makes a kernel image visible in the sandbox. */
  provideImage: (name: string) => Promise<void>
  files: GuestFiles
  devices: GuestDevices
  /** Called after a guest was started. */
  onCreated: () => Promise<unknown>
  /** Called before each observation of the guest. */
  onObserve: () => void
}>

/** The guest of one sandbox, as a domain of its libvirtd. */
export class GuestDomain implements Domain {
  readonly #handle: DomainHandle
  readonly #options: GuestDomainOptions

  constructor(handle: DomainHandle, options: GuestDomainOptions) {
    this.#handle = handle
    this.#options = options
  }

  async observe(signal: AbortSignal): Promise<ObservedDomain | undefined> {
    const { attachments, onObserve } = this.#options
    onObserve()
    const { libvirt } = this.#handle
    return this.#about(signal, async (domain) => {
      const [xml, state] = await Promise.all([
        libvirt.getXml(domain, 0, { signal }),
        libvirt.getState(domain, { signal }),
      ])
      const isIoError = state.state === 'paused' && state.reason === 'ioError'
      const { uuid, nics, disks, agentConnected, ports, files } = readDomain(xml, attachments)
      const unusedFiles = (await this.#claimFiles()).filter((file) => !files.includes(file))
      return {
        ...{ uuid, nics, disks, agentConnected, ports },
        ...(unusedFiles.length && { unusedFiles }),
        ...(isIoError && { isIoError }),
        state: await this.#stateOf(domain.name, state),
      }
    })
  }

  /** The files of claims in the sandbox. */
  async #claimFiles(): Promise<string[]> {
    const names = await readdir(join(this.#options.dir, disksInSandbox)).catch(() => [])
    return names.filter((name) => claimOfFile(name) !== undefined)
  }

  /** What the guest does; undefined when there is none. @throws Fault Unavailable, Timeout, Aborted */
  async state(signal: AbortSignal): Promise<ObservedDomain['state'] | undefined> {
    return this.#about(signal, async (domain) => {
      return this.#stateOf(domain.name, await this.#handle.libvirt.getState(domain, { signal }))
    })
  }

  /** Asks about the guest where it was last found; undefined when it is not there any more. */
  async #about<T>(signal: AbortSignal, ask: (domain: FoundDomain) => Promise<T>): Promise<T | undefined> {
    const domain = await this.#handle.lastFound(signal)
    if (!domain) return undefined
    try {
      return await ask(domain)
    } catch (error) {
      // It ended since it was last found, or between two calls.
      this.#handle.forget()
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
    const {
      accelerator,
      provideImage,
      files: guestFiles,
      devices: { ready },
      onCreated,
    } = this.#options
    if (await this.#handle.find(signal)) return
    const { kernel } = spec
    if (kernel) {
      await provideImage(kernel.image)
      await this.#requireFiles(kernel)
    }
    const files = await guestFiles.makeAll(spec)
    const devices = new Map<string, string>()
    for (const { name } of spec.nics.filter(({ binding }) => isDevice(binding)))
      devices.set(name, await ready(name, signal))
    const flags = spec.isPaused ? createFlags.paused : createFlags.none
    await this.#handle.libvirt.create(domainXml(spec, accelerator, files, devices), flags, { signal })
    await onCreated()
  }

  /** @throws Fault Invalid for a file that the image does not have */
  async #requireFiles({ image, kernelPath, initrdPath }: KernelBoot): Promise<void> {
    for (const path of [kernelPath, ...(initrdPath === undefined ? [] : [initrdPath])]) {
      const file = await lstat(join(this.#options.dir, 'run/images', image, fileOfImage(path))).catch(() => undefined)
      if (!file?.isFile()) throw new Fault('Invalid', `The image "${image}" has no file ${path}`)
    }
  }

  async shutdown(signal: AbortSignal): Promise<void> {
    const domain = await this.#handle.find(signal)
    if (domain) await this.#handle.libvirt.shutdown(domain, powerFlags.acpi | powerFlags.agent, { signal })
  }

  async destroy(signal: AbortSignal): Promise<void> {
    const domain = await this.#handle.find(signal)
    try {
      if (domain) await this.#handle.libvirt.destroy(domain, undefined, { signal })
    } catch (error) {
      // It has just ended by itself.
      if (faultKind(error) !== 'NotFound') throw error
    }
  }

  async pause(signal: AbortSignal): Promise<void> {
    const domain = await this.#handle.find(signal)
    if (domain) await this.#handle.libvirt.suspend(domain, { signal })
  }

  async resume(signal: AbortSignal): Promise<void> {
    const { libvirt } = this.#handle
    const domain = await this.#handle.find(signal)
    // libvirt refuses to resume a guest that is running or shutting down.
    if (!domain || (await libvirt.getState(domain, { signal })).state !== 'paused') return
    await libvirt.resume(domain, { signal })
  }

  async restart(how: GuestAction, signal: AbortSignal): Promise<void> {
    const { libvirt } = this.#handle
    const domain = await this.#handle.get(signal)
    if (how === 'Reset') return libvirt.reset(domain, { signal })
    await libvirt.reboot(domain, powerFlags.acpi | powerFlags.agent, { signal, timeoutMs: rebootMs })
  }
}

/**
 * The state of a guest, from libvirt's state and its status file. A stopped guest was paused by its owner unless it is migrating.
 * A guest counts as arrived only when libvirt has written that to the file: a libvirtd that dies before would end the guest at
 * its next start.
 */
export function domainState({ state, reason }: StateAndReason, file: string): ObservedDomain['state'] {
  if (state === 'shutdown') return 'shutting-down'
  if (state === 'none' || state === 'shutoff' || state === 'crashed') return 'moving'
  if (state !== 'paused') return 'running'
  if (reason === 'migration' || reason === 'startingUp') return 'moving'
  return !file || /<job [^>]*async='migration /.test(file) ? 'moving' : 'paused'
}

/**
 * How the last guest in a QEMU log ended; undefined when none ran. libvirt writes a line at its start and another when it sees
 * its end. A guest that ended while libvirtd was not running leaves only the first line, and counts as crashed.
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
    // It failed to start.
    case 'failed':
      return undefined
    default:
      return 'crashed'
  }
}
