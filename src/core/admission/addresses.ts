import { type Interface, interfaceModels } from '#apis/kubevirt/interface.ts'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { type FieldError, invalidValue } from '#apis/meta/object.ts'
import { isObject } from '#base/json.ts'
import { hasTrait } from '../nic/bindings.ts'
import { isIpv4 } from '../nic/cidr.ts'
import { normalMac } from '../nic/desired.ts'
import { isPrintable, isSayable, maxOptionBytes } from '../sandbox/dhcp.ts'
import { isGroupMac, macNumber } from './macs.ts'

const macPattern = /^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$/
/** A PCI address: domain, bus, slot and function. */
export const pciPattern = /^([\da-fA-F]{4}):([\da-fA-F]{2}):([\da-fA-F]{2})\.([0-7]{1})$/
/** Highest ACPI index (KubeVirt's documentation). */
const maxAcpiIndex = 16 * 1024 - 1
/** KubeVirt detects this only when it starts the guest. */
const unsayable = `must be no more than ${maxOptionBytes} bytes: there is no room for more in DHCP`

/** All errors in model, addresses and DHCP options of an interface, in KubeVirt's words. */
export function addressErrors(one: Interface, field: string): FieldError[] {
  const errors: FieldError[] = []
  if (one.model !== undefined && !(interfaceModels as readonly string[]).includes(one.model))
    errors.push({
      field: `${field}.model`,
      message: `interface ${field}.name uses model ${one.model} that is not supported.`,
      reason: 'FieldValueNotSupported',
    })
  if (one.pciAddress && !pciPattern.test(one.pciAddress))
    errors.push(
      invalidValue(`${field}.pciAddress`, `interface ${field}.name has malformed PCI address (${one.pciAddress}).`),
    )
  const index = one.acpiIndex
  if (index !== undefined && (index < 1 || index > maxAcpiIndex))
    errors.push(invalidValue(`${field}.acpiIndex`, `acpiIndex must be in range 1 to ${maxAcpiIndex}`))
  return [...errors, ...macErrors(one, field), ...dhcpErrors(one, `${field}.dhcpOptions`)]
}

function macErrors(one: Interface, field: string): FieldError[] {
  const { macAddress: mac } = one
  if (mac === undefined || mac === '') return []
  const errors: FieldError[] = []
  const at = `${field}.macAddress`
  if (mac.replace(/[:-]/g, '').length > 12 && /^[0-9A-Fa-f:-]+$/.test(mac))
    errors.push(invalidValue(at, `interface ${field}.name has too long MAC address (${mac}).`))
  else if (!macPattern.test(mac))
    errors.push(invalidValue(at, `interface ${field}.name has malformed MAC address (${mac}).`))
  else if (isGroupMac(macNumber(mac)))
    errors.push(
      invalidValue(
        at,
        `interface ${field}.name has a multicast MAC address (${mac}); choose one whose first byte is even.`,
      ),
    )
  else if (macNumber(mac) === 0)
    errors.push(invalidValue(at, `interface ${field}.name has an all-zero MAC address (${mac}); choose another one.`))
  if (hasTrait(one, ({ reservedMac }) => reservedMac === normalMac(mac)))
    errors.push(
      invalidValue(at, 'The requested MAC address is reserved for the in-pod bridge. Please choose another one.'),
    )
  return errors
}

function dhcpErrors({ dhcpOptions }: Interface, field: string): FieldError[] {
  const errors: FieldError[] = []
  const seen = new Set<number>()
  for (const [i, { option, value }] of (dhcpOptions?.privateOptions ?? []).entries()) {
    const at = `${field}.privateOptions[${i}]`
    if (option < 224 || option > 254)
      errors.push(invalidValue(at, 'provided DHCPPrivateOptions are out of range, must be in range 224 to 254'))
    if (seen.has(option))
      errors.push(invalidValue(at, 'Found Duplicates: you have provided duplicate DHCPPrivateOptions'))
    seen.add(option)
    if (!isSayable(value)) errors.push(invalidValue(at, unsayable))
  }
  for (const [i, server] of (dhcpOptions?.ntpServers ?? []).entries())
    if (!isIpv4(server))
      errors.push(invalidValue(`${field}.ntpServers[${i}]`, 'NTP servers must be a list of valid IPv4 addresses.'))
  for (const name of ['bootFileName', 'tftpServerName'] as const) {
    const text = dhcpOptions?.[name] ?? ''
    if (!isSayable(text)) errors.push(invalidValue(`${field}.${name}`, unsayable))
    else if (!isPrintable(text)) errors.push(invalidValue(`${field}.${name}`, 'must have no control characters'))
  }
  return errors
}

/** Errors of boot orders: invalid ones, and those that two devices have. */
export function bootOrderErrors(spec: VmiSpec, path: string): FieldError[] {
  const { disks = [], interfaces = [] } = spec.domain.devices
  const all = [
    ...disks.map((disk, i) => ({
      order: isObject(disk) ? disk.bootOrder : undefined,
      at: `${path}.domain.devices.disks[${i}].bootOrder`,
      named: `${path}.domain.devices.disks[${i}]`,
    })),
    ...interfaces.map((one, i) => {
      const at = `${path}.domain.devices.interfaces[${i}].bootOrder`
      return { order: one.bootOrder, at, named: at }
    }),
  ]
  const taken = new Set<unknown>()
  return all.flatMap(({ order, at, named }): FieldError[] => {
    if (order === undefined || order === null) return []
    if (Number(order) < 1) return [invalidValue(at, `${named} must have a boot order > 0, if supplied`)]
    if (taken.has(order)) return [invalidValue(at, `Boot order for ${at} already set for a different device.`)]
    taken.add(order)
    return []
  })
}
