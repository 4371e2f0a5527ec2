import type { Interface } from '#apis/kubevirt/interface.ts'
import { type FieldError, invalidValue } from '#apis/meta/object.ts'
import { hasTrait } from '../nic/bindings.ts'
import type { ClusterConfig } from './config.ts'

/** Most port ranges of an interface (KubeVirt's limit). */
const maxRanges = 10

/** All errors in the ports of an interface, in KubeVirt's words (facts/kubevirt.md §8.8). */
export function portErrors(one: Interface, field: string, { hasGate }: ClusterConfig): FieldError[] {
  return [
    ...singlePorts(one, field),
    ...(one.portRanges?.length ? portRanges(one, field, hasGate('PortRangesSpec')) : []),
  ]
}

function singlePorts({ ports = [] }: Interface, field: string): FieldError[] {
  const names = new Set<string>()
  return ports.flatMap((port, i): FieldError[] => {
    const at = `${field}.ports[${i}]`
    const errors: FieldError[] = []
    if (!port.port) errors.push({ field: at, message: 'Port field is mandatory.', reason: 'FieldValueRequired' })
    else if (!isPort(port.port)) errors.push(invalidValue(at, 'Port field must be in range 0 < x < 65536.'))
    if (port.protocol && !isProtocol(port.protocol))
      errors.push(invalidValue(`${at}.protocol`, 'Unknown protocol, only TCP or UDP allowed'))
    if (port.name === undefined || port.name === '') return errors
    if (names.has(port.name))
      errors.push({
        field: `${at}.name`,
        message: `Duplicate name of the port: ${port.name}`,
        reason: 'FieldValueDuplicate',
      })
    names.add(port.name)
    if (!/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(port.name) || port.name.length > 15 || !/[a-z]/.test(port.name))
      errors.push(invalidValue(`${at}.name`, `Invalid name of the port: ${port.name}`))
    return errors
  })
}

function portRanges(one: Interface, field: string, isOpen: boolean): FieldError[] {
  const ranges = one.portRanges ?? []
  const at = `${field}.portRanges`
  if (!isOpen)
    return [invalidValue(at, 'portRanges is specified on interface but the PortRangesSpec feature gate is not enabled')]
  const errors: FieldError[] = []
  if (!hasTrait(one, ({ takesPortRanges }) => takesPortRanges))
    errors.push(invalidValue(at, 'portRanges are only supported on masquerade interfaces'))
  if (one.ports?.length) errors.push(invalidValue(at, 'Cannot define both ports and portRanges on interface'))
  if (ranges.length > maxRanges) errors.push(invalidValue(at, `No more than ${maxRanges} portRanges are allowed`))
  for (const [i, { protocol, start, end }] of ranges.entries()) {
    if (!isProtocol(protocol ?? 'TCP'))
      errors.push(invalidValue(`${at}[${i}].protocol`, 'Unknown protocol, only TCP or UDP allowed'))
    if (!isPort(start))
      errors.push(invalidValue(`${at}[${i}].start`, 'Start must be a valid port number, 0 < x < 65536'))
    if (!isPort(end)) errors.push(invalidValue(`${at}[${i}].end`, 'End must be a valid port number, 0 < x < 65536'))
    if (start > end) errors.push(invalidValue(`${at}[${i}]`, 'Start must be less than or equal to end'))
    const same = ranges
      .slice(0, i)
      .find((other) => protocolOf(other) === protocolOf({ protocol }) && start <= other.end && other.start <= end)
    if (same)
      errors.push(
        invalidValue(
          `${at}[${i}]`,
          `${protocolOf({ protocol })} portRanges [${same.start}-${same.end}] and [${start}-${end}] overlap`,
        ),
      )
  }
  return errors
}

function protocolOf({ protocol }: Readonly<{ protocol?: string | undefined }>): string {
  return (protocol || 'TCP').toUpperCase()
}

function isProtocol(protocol: string): boolean {
  return /^(tcp|udp)$/i.test(protocol)
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port < 65_536
}
