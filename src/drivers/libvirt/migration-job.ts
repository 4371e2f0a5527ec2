import { faultKind } from '#base/fault.ts'
import type { MigrationJob, MigrationOptions, MigrationProgress } from '#core/ports.ts'
import type { DomainHandle } from './handle.ts'
import type { Domain } from './rpc/procedures.ts'

/** Sends a domain to another sandbox. */
export type Send = (domain: Domain, migration: string, to: string, options: MigrationOptions) => Promise<void>

/** The migration of one sandbox's guest, as its libvirtd carries it out. */
export class LibvirtMigrationJob implements MigrationJob {
  readonly #handle: DomainHandle
  readonly #send: Send
  readonly guestState: MigrationJob['guestState']

  constructor(handle: DomainHandle, send: Send, guestState: MigrationJob['guestState']) {
    this.#handle = handle
    this.#send = send
    this.guestState = guestState
  }

  async start(migration: string, to: string, options: MigrationOptions): Promise<void> {
    await this.#send(await this.#handle.get(new AbortController().signal), migration, to, options)
  }

  async progress(signal: AbortSignal): Promise<MigrationProgress | undefined> {
    const domain = await this.#handle.find(signal)
    if (!domain) return undefined
    const job = await this.#handle.libvirt.jobInfo(domain, { signal }).catch((error: unknown) => {
      // The guest has left in this moment.
      if (faultKind(error) !== 'NotFound') throw error
      return { type: 'none', memoryRemaining: 0 } as const
    })
    const { type, memoryRemaining } = job
    if (type !== 'bounded' && type !== 'unbounded') return undefined
    return { remainingBytes: Number(memoryRemaining) }
  }

  async abort(signal: AbortSignal): Promise<void> {
    const domain = await this.#handle.find(signal)
    if (!domain || !(await this.progress(signal))) return
    await this.#handle.libvirt.abortJob(domain, { signal })
  }
}
