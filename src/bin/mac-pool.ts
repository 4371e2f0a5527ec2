import { randomInt } from 'node:crypto'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { macsOf } from '#core/admission/vm.ts'

/** First three bytes of the addresses we give: locally administered, as KubeVirt's MAC pool uses them. */
const prefix = '02:70:62'

/** Gives MAC addresses no VM has. It learns of the others' from the VMs themselves. */
export class MacPool {
  readonly #vms: () => readonly VirtualMachine[]
  readonly #given = new Set<string>()

  constructor(vms: () => readonly VirtualMachine[]) {
    this.#vms = vms
  }

  take(): string {
    const held = new Set(this.#vms().flatMap(macsOf))
    for (;;) {
      const tail = [0, 0, 0].map(() => randomInt(256).toString(16).padStart(2, '0'))
      const mac = [prefix, ...tail].join(':')
      if (held.has(mac) || this.#given.has(mac)) continue
      // Two VMs may be admitted before either is in the cache.
      this.#given.add(mac)
      return mac
    }
  }
}
