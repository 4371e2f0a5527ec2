import type { Hypervisor } from '#core/ports.ts'
import { LibvirtCards } from './cards.ts'
import { LibvirtDisks } from './disks.ts'
import { LibvirtGuestAgent } from './guest-agent.ts'
import { GuestDomain, type GuestDomainOptions } from './guest-domain.ts'
import { DomainHandle } from './handle.ts'
import { LibvirtMigrationJob, type Send } from './migration-job.ts'
import type { Libvirt } from './rpc/libvirt.ts'

export type HypervisorOptions = GuestDomainOptions &
  Readonly<{
    libvirt: Libvirt
    /** UUID of the guest's domain, if it is known. */
    uuid: string | undefined
    send: Send
  }>

/** The libvirtd of one sandbox, which runs at most one guest. */
export type LibvirtHypervisor = Hypervisor & Readonly<{ cards: LibvirtCards }>

/** The ports of a sandbox's guest, by its libvirtd. */
export function libvirtHypervisor(options: HypervisorOptions): LibvirtHypervisor {
  const handle = new DomainHandle(options.libvirt, options.uuid)
  const domain = new GuestDomain(handle, options)
  return {
    domain,
    cards: new LibvirtCards(handle, options.attachments, options.devices),
    disks: new LibvirtDisks(handle, options.files),
    guestAgent: new LibvirtGuestAgent(handle),
    job: new LibvirtMigrationJob(handle, options.send, (signal) => domain.state(signal)),
  }
}
