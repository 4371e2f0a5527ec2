import { silent } from '#base/log.ts'
import { delay } from '#base/wait.ts'
import { type Libvirt, openLibvirt } from '#drivers/libvirt/rpc/libvirt.ts'
import type { Domain } from '#drivers/libvirt/rpc/procedures.ts'
import type { Stage } from '../tools/stage/stage.ts'

/** Longest time anything measured may take, milliseconds. */
const deadlineMs = 60_000

/** How long an observer rests between two looks, milliseconds; what is measured takes tens of them. */
const restMs = 1

/** A guest as a second connection to its libvirt sees it, none of Patchbay's own in between. */
export class Live implements Disposable {
  /** Where its libvirt listens. */
  readonly socket: string
  readonly #domain: Domain
  readonly #libvirt: Libvirt

  private constructor(socket: string, libvirt: Libvirt, domain: Domain) {
    this.socket = socket
    this.#libvirt = libvirt
    this.#domain = domain
  }

  static async open(stage: Stage, vm: string): Promise<Live> {
    const socket = `${await stage.sandbox(vm)}/run/libvirt/libvirt-sock`
    const libvirt = await openLibvirt({ socketPath: socket, log: silent, callTimeoutMs: 10_000 })
    return new Live(socket, libvirt, await libvirt.getDomain(`default_${vm}`))
  }

  /**
   * Milliseconds from `start` until the live XML is as wanted. It rests between two looks: one that never does takes a core of
   * two, and libvirtd's lock of the domain, from what is measured.
   */
  async until(what: string, start: number, isSo: (xml: string) => boolean): Promise<number> {
    while (!isSo(await this.#libvirt.getXml(this.#domain))) {
      if (performance.now() - start > deadlineMs) throw new Error(`not within ${deadlineMs} ms: ${what}`)
      await delay(restMs)
    }
    return performance.now() - start
  }

  /** Milliseconds from `start` until the guest's own agent tells of a card. */
  async untilGuestHas(mac: string, start: number): Promise<number> {
    while (!(await this.#libvirt.interfaceAddresses(this.#domain)).some((one) => one.mac === mac))
      if (performance.now() - start > deadlineMs) throw new Error(`the guest has no ${mac} within ${deadlineMs} ms`)
    return performance.now() - start
  }

  [Symbol.dispose](): void {
    this.#libvirt.close()
  }
}

/** Lets both sides begin from rest: what a change leaves to be written down is over. */
export function atRest(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 100))
}
