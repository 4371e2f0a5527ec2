import { join } from 'node:path'
import type { DomainEnd, GuestProcesses } from '#core/ports.ts'
import { findProcess, type ProcessIdentity } from '../libvirt/daemon/process.ts'
import { endOf } from '../libvirt/guest-domain.ts'
import { readLogEnds } from './bounded-log.ts'
import { guestProcesses, killGuestProcesses } from './moving.ts'

/** The QEMU processes of this host's sandboxes. */
export class HostGuestProcesses implements GuestProcesses {
  readonly #dirOf: (uid: string) => string
  /** The last found process of each sandbox's guest. */
  readonly #found = new Map<string, ProcessIdentity>()

  /** `dirOf` returns the folder of a sandbox. */
  constructor(dirOf: (uid: string) => string) {
    this.#dirOf = dirOf
  }

  /** Scans all processes only when the last found one has ended: a migration calls this every few milliseconds. */
  async has(uid: string): Promise<boolean> {
    const known = this.#found.get(uid)
    if (known && (await findProcess(known.pid))?.startTime === known.startTime) return true
    this.#found.delete(uid)
    const [found] = await guestProcesses(this.#dirOf(uid))
    if (found) this.#found.set(uid, found)
    return found !== undefined
  }

  kill(uid: string): Promise<void> {
    return killGuestProcesses(this.#dirOf(uid))
  }

  async lastEnd(uid: string, domain: string): Promise<DomainEnd | undefined> {
    return endOf(await readLogEnds(join(this.#dirOf(uid), 'var/log/libvirt/qemu', `${domain}.log`)))
  }

  /** Forgets a sandbox that was removed. */
  forget(uid: string): void {
    this.#found.delete(uid)
  }
}
