import { randomInt } from 'node:crypto'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { Fault } from '#base/fault.ts'
import { macNumber, macsOf, macText } from '#core/admission/macs.ts'
import type { Informer } from '#machinery/client/informer.ts'

/** How long an address that was given is kept for a VM that is not there yet, milliseconds. */
const reservedMs = 60_000
/** Addresses tried at random before the range is gone through in order. */
const luckyTries = 16

/** Gives MAC addresses no VM has. It learns who has which from the VMs themselves, so that one that goes gives its back. */
export class MacPool {
  readonly #holders = new Map<string, Set<string>>()
  readonly #reserved = new Map<string, number>()
  readonly #range: () => Readonly<{ start: string; end: string }>
  readonly #now: () => number

  constructor(range: () => Readonly<{ start: string; end: string }>, now: () => number = Date.now) {
    this.#range = range
    this.#now = now
  }

  /** Learns of VMs as they come, change and go. */
  follow(vms: Informer<VirtualMachine>): void {
    vms.onChange((now, before) => this.note(now, before))
  }

  note(now: VirtualMachine | undefined, before: VirtualMachine | undefined): void {
    if (before) for (const mac of macsOf(before)) this.#release(mac, keyOf(before))
    if (now)
      for (const mac of macsOf(now)) {
        this.#reserved.delete(mac)
        const holders = this.#holders.get(mac)
        if (holders) holders.add(keyOf(now))
        else this.#holders.set(mac, new Set([keyOf(now)]))
      }
  }

  /** Another VM than `own` (`namespace/name`) that has an address. */
  holderOf(mac: string, own: string): string | undefined {
    return [...(this.#holders.get(mac) ?? [])].find((holder) => holder !== own)
  }

  /** An address nobody has. @throws Fault Invalid when none is left */
  take(): string {
    const range = this.#range()
    const [from, to] = [macNumber(range.start), macNumber(range.end)]
    const size = to - from + 1
    this.#forgetOld()
    for (let i = 0; i < luckyTries; i++) {
      const mac = macText(from + randomInt(size))
      if (this.#isFree(mac)) return this.#reserve(mac)
    }
    for (let number = from; number <= to; number++)
      if (this.#isFree(macText(number))) return this.#reserve(macText(number))
    throw new Fault(
      'Invalid',
      `No MAC address is left between ${range.start} and ${range.end}; give the interface one of your own, or extend spec.configuration.network.macPool of the KubeVirt object`,
    )
  }

  #isFree(mac: string): boolean {
    return !this.#holders.has(mac) && !this.#reserved.has(mac)
  }

  /** Two VMs may be admitted before either is known here. */
  #reserve(mac: string): string {
    this.#reserved.set(mac, this.#now() + reservedMs)
    return mac
  }

  #forgetOld(): void {
    // Kept in the order they were given in, so the first that is young ends it.
    for (const [mac, untilMs] of this.#reserved) {
      if (untilMs > this.#now()) return
      this.#reserved.delete(mac)
    }
  }

  #release(mac: string, key: string): void {
    const holders = this.#holders.get(mac)
    holders?.delete(key)
    if (holders?.size === 0) this.#holders.delete(mac)
  }
}

function keyOf({ metadata }: VirtualMachine): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`
}
