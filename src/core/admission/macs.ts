import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { FieldError } from '#apis/meta/object.ts'
import { normalMac } from '../nic/desired.ts'

/** The addresses that are given unless the cluster configuration says otherwise: locally administered, 16 million. */
export const defaultMacRange = { start: '02:70:62:00:00:00', end: '02:70:62:ff:ff:ff' } as const

/** A MAC address as a number; NaN when it is none. */
export function macNumber(mac: string): number {
  return /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(normalMac(mac))
    ? Number.parseInt(mac.replace(/[:-]/g, ''), 16)
    : Number.NaN
}

/** The MAC address of a number. */
export function macText(number: number): string {
  return number.toString(16).padStart(12, '0').match(/../g)!.join(':')
}

/** All MACs a VM holds, in one spelling. */
export function macsOf(vm: VirtualMachine): string[] {
  return (vm.spec.template.spec.domain.devices.interfaces ?? []).flatMap((one) =>
    one.macAddress ? [normalMac(one.macAddress)] : [],
  )
}

/**
 * MACs that two interfaces would have: libvirt takes them, and the network between the guests fails in ways nobody
 * understands. `holderOf` names another VM that has an address. Addresses a VM has already are not judged again.
 */
export function macErrors(
  vm: VirtualMachine,
  old: VirtualMachine | undefined,
  holderOf: (mac: string) => string | undefined,
): FieldError[] {
  const before = new Set(old ? macsOf(old) : [])
  const seen = new Map<string, string>()
  return (vm.spec.template.spec.domain.devices.interfaces ?? []).flatMap((one, i): FieldError[] => {
    const mac = one.macAddress && normalMac(one.macAddress)
    if (!mac) return []
    const twin = seen.get(mac)
    seen.set(mac, one.name)
    const holder = twin === undefined && !before.has(mac) ? holderOf(mac) : undefined
    const who = twin === undefined ? holder && `VM ${holder}` : `interface "${twin}" of this VM`
    if (!who) return []
    const message = `interface "${one.name}" cannot have the MAC address ${one.macAddress}: ${who} has it; choose another one, or leave it out to be given one`
    return [
      {
        field: `spec.template.spec.domain.devices.interfaces[${i}].macAddress`,
        message,
        reason: 'FieldValueDuplicate',
      },
    ]
  })
}

/** What is wrong with a range of addresses; undefined when nothing is. */
export function macRangeProblem({ start, end }: Readonly<{ start: string; end: string }>): string | undefined {
  const [from, to] = [macNumber(start), macNumber(end)]
  if (Number.isNaN(from)) return `rangeStart ${start} is no MAC address; write for example ${defaultMacRange.start}`
  if (Number.isNaN(to)) return `rangeEnd ${end} is no MAC address; write for example ${defaultMacRange.end}`
  if (from > to) return `rangeStart ${start} is above rangeEnd ${end}`
  // The lowest bit of the first byte marks groups; no interface may have such an address.
  const isGroup = (number: number) => Math.floor(number / 2 ** 40) % 2 === 1
  return isGroup(from) || isGroup(to) ? 'the range has multicast addresses, which no interface can have' : undefined
}
