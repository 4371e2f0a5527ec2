import { Fault } from '#base/fault.ts'
import type { Libvirt } from './rpc/libvirt.ts'
import type { Domain } from './rpc/procedures.ts'

/** Finds the domain of a sandbox's guest. */
export class DomainHandle {
  readonly libvirt: Libvirt
  readonly #uuid: string | undefined
  #last: Domain | undefined

  /** `uuid` is that of the guest's domain; records of earlier versions lack it, and their sandboxes have only one domain. */
  constructor(libvirt: Libvirt, uuid: string | undefined) {
    this.libvirt = libvirt
    this.#uuid = uuid
  }

  async find(signal: AbortSignal): Promise<Domain | undefined> {
    const all = await this.libvirt.listDomains(0, { signal })
    this.#last = all.find(({ uuid }) => this.#uuid === undefined || uuid === this.#uuid)
    return this.#last
  }

  /** Where the guest was last found, so that libvirt is asked about it at once; it says NotFound when that is gone. */
  async lastFound(signal: AbortSignal): Promise<Domain | undefined> {
    return this.#last ?? this.find(signal)
  }

  /** Has the guest be looked for again. */
  forget(): void {
    this.#last = undefined
  }

  /** @throws Fault Unavailable when there is none */
  async get(signal: AbortSignal): Promise<Domain> {
    const domain = await this.find(signal)
    if (!domain) throw new Fault('Unavailable', 'The guest is gone')
    return domain
  }
}
