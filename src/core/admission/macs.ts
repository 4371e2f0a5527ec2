import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import type { FieldError } from '#apis/meta/object.ts'
import { normalMac } from '../nic/desired.ts'

/** The default range of assigned addresses: locally administered, 16 million. */
export const defaultMacRange = { start: '02:70:62:00:00:00', end: '02:70:62:ff:ff:ff' } as const

/** A MAC address as a number; NaN for any other text. */
export function macNumber(mac: string): number {
  return /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(normalMac(mac))
    ? Number.parseInt(mac.replace(/[:-]/g, ''), 16)
    : Number.NaN
}

/** The MAC address of a number. */
export function macText(number: number): string {
  return number.toString(16).padStart(12, '0').match(/../g)!.join(':')
}

/** The lowest bit of the first byte marks group addresses, which no interface may have. */
export function isGroupMac(number: number): boolean {
  return Math.floor(number / 2 ** 40) % 2 === 1
}

/** All MACs of a spec, normalized and without duplicates. */
export function macsIn(spec: VmiSpec): string[] {
  const macs = (spec.domain.devices.interfaces ?? []).flatMap(({ macAddress }) =>
    macAddress ? [normalMac(macAddress)] : [],
  )
  return [...new Set(macs)]
}

/**
 * Errors about MACs that two interfaces would have: libvirt accepts them, and the guests lose frames. `holderOf` names another VM
 * that has an address. Addresses that the object had before are not checked again. `path` is the path of the spec in the object.
 */
export function macErrors(
  spec: VmiSpec,
  old: VmiSpec | undefined,
  path: string,
  holderOf: (mac: string) => string | undefined,
): FieldError[] {
  const before = new Set(old && macsIn(old))
  const seen = new Map<string, string>()
  return (spec.domain.devices.interfaces ?? []).flatMap((one, i): FieldError[] => {
    const mac = one.macAddress && normalMac(one.macAddress)
    if (!mac) return []
    const twin = seen.get(mac)
    seen.set(mac, one.name)
    const who =
      twin === undefined ? (before.has(mac) ? undefined : holderOf(mac)) : `interface "${twin}" of this ${nounOf(path)}`
    if (!who) return []
    const message = `interface "${one.name}" cannot have the MAC address ${one.macAddress}: ${who} has it; choose another one, or leave it out to be given one`
    return [{ field: `${path}.domain.devices.interfaces[${i}].macAddress`, message, reason: 'FieldValueDuplicate' }]
  })
}

/** A spec in a template belongs to a VM. */
const nounOf = (path: string) => (path === 'spec' ? 'VMI' : 'VM')

/** The error of a range of addresses; undefined when it is valid. */
export function macRangeProblem({ start, end }: Readonly<{ start: string; end: string }>): string | undefined {
  const [from, to] = [macNumber(start), macNumber(end)]
  if (Number.isNaN(from)) return `rangeStart ${start} is no MAC address; write for example ${defaultMacRange.start}`
  if (Number.isNaN(to)) return `rangeEnd ${end} is no MAC address; write for example ${defaultMacRange.end}`
  if (from > to) return `rangeStart ${start} is above rangeEnd ${end}`
  return isGroupMac(from) || isGroupMac(to)
    ? 'the range has multicast addresses, which no interface can have'
    : undefined
}
