import { createHash } from 'node:crypto'
import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { ObjectMeta } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import { macNumber, macsIn, macText } from '#core/admission/macs.ts'
import type { ClaimRequest, Claims, Owner } from '#machinery/rest/claims.ts'

type FindVm = (namespace: string, name: string) => VirtualMachine | undefined

/** Random addresses tried before the range is searched from the first of them on. */
const luckyTries = 16

/** Chooses MAC addresses no other VM or instance has. They are claimed when the VM or instance is written. */
export class MacPool {
  readonly #range: () => Readonly<{ start: string; end: string }>
  readonly #vm: FindVm
  #claims: Pick<Claims, 'ownerOf' | 'size'> | undefined

  constructor(range: () => Readonly<{ start: string; end: string }>, vm: FindVm = () => undefined) {
    this.#range = range
    this.#vm = vm
  }

  /** Sets where claims are read; until then no address counts as used. */
  use(claims: Pick<Claims, 'ownerOf' | 'size'>): void {
    this.#claims = claims
  }

  /** The other VM or instance that has an address, as far as a writer in `namespace` may know. */
  holderOf(mac: string, own: Owner): string | undefined {
    const owner = this.#claims?.ownerOf(mac)
    if (!owner || owner.uid === own.uid) return undefined
    const word = owner.kind === VirtualMachine.kind ? 'VM' : 'VMI'
    return owner.namespace === own.namespace ? `${word} ${owner.namespace}/${owner.name}` : `another ${word}`
  }

  /**
   * Chooses addresses for the interfaces of one object by name: repeated calls return the same ones until another object
   * claims them. It claims nothing. The returned function throws Fault Invalid when none is left.
   */
  chooserFor(own: Owner): (interfaceName: string) => string {
    const chosen = new Set<string>()
    return (name) => {
      const mac = this.#choose(own, name, (one) => {
        const owner = this.#claims?.ownerOf(one)
        return !chosen.has(one) && (!owner || owner.uid === own.uid)
      })
      chosen.add(mac)
      return mac
    }
  }

  #choose({ uid }: Owner, name: string, isFree: (mac: string) => boolean): string {
    const range = this.#range()
    const [from, to] = [macNumber(range.start), macNumber(range.end)]
    const size = to - from + 1
    const digest = createHash('sha512').update(`${uid}/${name}`).digest()
    const at = (i: number) => digest.readUIntBE(i * 3, 6) % size
    for (let i = 0; i < luckyTries; i++) {
      const mac = macText(from + at(i))
      if (isFree(mac)) return mac
    }
    // If none of so many addresses is free, the range is full.
    const enough = Math.min(size, (this.#claims?.size ?? 0) + maxInterfaces + 1)
    for (let i = 0; i < enough; i++) {
      const mac = macText(from + ((at(0) + i) % size))
      if (isFree(mac)) return mac
    }
    throw new Fault(
      'Invalid',
      `No MAC address is left between ${range.start} and ${range.end}; give the interface one of your own, or extend spec.configuration.network.macPool of the KubeVirt object`,
    )
  }

  /** What a VM claims. */
  claimsOfVm({ metadata, spec }: VirtualMachine): ClaimRequest {
    const own = ownerOf(VirtualMachine.kind, metadata)
    return { uid: own.uid, owner: own, values: macsIn(spec.template.spec), copied: [] }
  }

  /** What an instance claims: together with its VM if that exists, else for itself. */
  claimsOfInstance({ metadata, spec }: Pick<VirtualMachineInstance, 'metadata' | 'spec'>): ClaimRequest {
    const own = ownerOf(VirtualMachineInstance.kind, metadata)
    const values = macsIn(spec)
    const ref = metadata.ownerReferences?.find(({ kind, name }) => kind === VirtualMachine.kind && name === own.name)
    const vm = ref && this.#vm(own.namespace, own.name)
    if (!vm || vm.metadata.uid !== ref.uid) return { uid: own.uid, owner: own, values, copied: [] }
    return { ...this.claimsOfVm(vm), uid: own.uid, values, copied: macsIn(vm.spec.template.spec) }
  }
}

/** Most interfaces of one object (the limit of its schema): addresses are chosen before they are claimed. */
const maxInterfaces = 256

/** An object as the owner of its addresses. */
export function ownerOf(kind: string, { uid = '', namespace = '', name }: ObjectMeta): Owner {
  return { uid, kind, namespace, name }
}
