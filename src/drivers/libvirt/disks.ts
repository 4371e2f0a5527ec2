import { explain, Fault } from '#base/fault.ts'
import { isObject } from '#base/json.ts'
import type { DomainDisk } from '#core/disk/disk.ts'
import type { Disks } from '#core/ports.ts'
import { diskXml, mediumXml } from './disk-xml.ts'
import { readDomain } from './domain-xml.ts'
import type { GuestFiles } from './guest-domain.ts'
import type { DomainHandle } from './handle.ts'
import type { Domain } from './rpc/procedures.ts'

/** The disks of one sandbox's guest that come and go, identified by their aliases. */
export class LibvirtDisks implements Disks {
  readonly #handle: DomainHandle
  readonly #files: Pick<GuestFiles, 'make' | 'drop'>

  constructor(handle: DomainHandle, files: Pick<GuestFiles, 'make' | 'drop'>) {
    this.#handle = handle
    this.#files = files
  }

  async attach(disk: DomainDisk, alias: string, signal: AbortSignal): Promise<void> {
    const { domain, disks, freeBuses, hasScsi } = await this.#guest(signal)
    if (disks.some((one) => one.alias === alias)) return
    if (disk.bus === 'scsi' && !hasScsi)
      throw new Fault(
        'Unavailable',
        `The guest was started without a SCSI controller for disk ${disk.name}; use bus virtio, or restart the VM`,
      )
    const made = await this.#files.make(disk)
    // Cards take the first port that is free, so that they keep it over the next start; disks take the last one.
    const xml = diskXml(disk, made, { alias, bus: disk.bus === 'virtio' ? freeBuses.at(-1) : undefined })
    try {
      await this.#handle.libvirt.attachDevice(domain, xml, undefined, { signal })
    } catch (cause) {
      throw readable(disk.name, cause)
    }
  }

  async detach(alias: string, signal: AbortSignal): Promise<void> {
    const { domain, disks } = await this.#guest(signal)
    if (!disks.some((one) => one.alias === alias)) return
    try {
      await this.#handle.libvirt.detachAlias(domain, alias, undefined, { signal })
    } catch (cause) {
      // The guest was asked before, and its time is not over.
      if (!/already in the process of unplug/i.test(explain(cause))) throw cause
    }
  }

  async change(disk: DomainDisk, alias: string, signal: AbortSignal): Promise<void> {
    const { domain, xml: live } = await this.#guest(signal)
    const made = disk.file && (await this.#files.make(disk))
    const xml = mediumXml(live, alias, made)
    if (xml === undefined) throw new Fault('Unavailable', `The guest has no drive ${disk.name}`)
    await this.#requireUnlocked(domain, disk.name, alias, signal)
    try {
      await this.#handle.libvirt.updateDevice(domain, xml, undefined, { signal })
    } catch (cause) {
      throw readable(disk.name, cause)
    }
  }

  /** libvirt would wait for seconds, in which nothing else of the guest can be changed. @throws Fault Unavailable */
  async #requireUnlocked(domain: Domain, name: string, alias: string, signal: AbortSignal): Promise<void> {
    const { libvirt } = this.#handle
    const answer = await libvirt.monitorCommand(domain, { execute: 'query-block' }, { signal })
    if (!isLocked(answer, alias)) return
    // The guest opens the tray when it can.
    const ask = { execute: 'blockdev-open-tray', arguments: { id: alias } }
    await libvirt.monitorCommand(domain, ask, { signal }).catch(() => undefined)
    throw lockedTray(name)
  }

  async drop(files: readonly string[]): Promise<void> {
    await this.#files.drop(files)
  }

  async #guest(signal: AbortSignal) {
    const { libvirt } = this.#handle
    const domain: Domain = await this.#handle.get(signal)
    const xml = await libvirt.getXml(domain, 0, { signal })
    return { domain, xml, ...readDomain(xml, new Map()) }
  }
}

/** A refusal of libvirt with what its owner can do about it. */
function readable(name: string, cause: unknown): unknown {
  const text = explain(cause)
  if (/No more available PCI/i.test(text))
    return new Fault(
      'Unavailable',
      `No more available PCI slots: the guest has no free port for disk ${name}; unplug another device, use bus scsi, or restart the VM, which gives it new ports`,
      { cause },
    )
  if (/Failed to get (shared )?"write" lock/i.test(text))
    return new Fault('Unavailable', `Another guest has the disk of volume ${name}; it is tried again`, { cause })
  return /tray|locked/i.test(text) ? lockedTray(name, cause) : cause
}

function lockedTray(name: string, cause?: unknown): Fault {
  const text = `The guest uses drive ${name} and has locked its tray; it was asked to open it, and is asked again`
  return new Fault('Unavailable', text, { cause })
}

/** Whether the guest has locked the tray of a drive, from QEMU's answer to `query-block`. */
function isLocked(answer: unknown, alias: string): boolean {
  const devices: readonly unknown[] = Array.isArray(answer) ? answer : []
  return devices.some((one) => isObject(one) && one.locked === true && `${one.qdev}`.split('/').includes(alias))
}
