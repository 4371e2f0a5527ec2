import { EngineFault, incomplete, operationFailed, unsupported } from '../../wire/faults.ts'
import type { Input } from '../../wire/read.ts'
import { isNicType, type NicType, nicTypes } from './nic.ts'

/** What a client asks of an interface; what it says nothing about stays as it is. */
export type NicWish = Readonly<{
  name?: string
  type?: NicType
  linked?: boolean
  plugged?: boolean
  /** Lower case with colons. */
  mac?: string
  /** `none` is an element without id: no network (facts/ovirt-clients.md §0.9). */
  profile?: Readonly<{ id: string } | 'none'>
  /** The networks whose whole traffic it is to get, and no others; names as in `multus.networkName`. */
  mirrors?: readonly string[]
  /** An id in the body; only the interface's own is accepted. */
  id?: string
}>

/**
 * What a body asks of an interface. `link_state` up or down is the seed's spelling of `linked`. Read-only elements are passed
 * over, because scripts put back what they got. @throws EngineFault 400 with every error of the engine's bean validation
 */
export function nicWish(body: Input): NicWish {
  refuseUncarried(body)
  const name = body.textAt('name')
  const type = typeIn(body)
  const mac = body.textAt('mac', 'address')
  const problems = [...(name === undefined ? [] : nameProblems(name)), ...(mac === undefined ? [] : macProblems(mac))]
  if (problems.length) throw operationFailed(400, ...problems)
  const linked = linkIn(body) ?? booleanAt(body, 'linked')
  const plugged = booleanAt(body, 'plugged')
  const profile = body.at('vnic_profile')
  const id = body.textAt('id')
  return {
    ...(name !== undefined && { name }),
    ...(type && { type }),
    ...(linked !== undefined && { linked }),
    ...(plugged !== undefined && { plugged }),
    ...(mac !== undefined && { mac: mac.toLowerCase() }),
    ...(profile && { profile: profileIn(profile) }),
    ...(id && { id }),
  }
}

/** The same of an interface to add, which needs a name. @throws EngineFault 400 */
export function newNicWish(body: Input): NicWish & Readonly<{ name: string }> {
  const wish = nicWish(body)
  const { name } = wish
  if (name === undefined) throw incomplete('Nic', 'add', 'name')
  return { ...wish, name }
}

function profileIn(profile: Input): NonNullable<NicWish['profile']> {
  const id = profile.textAt('id')
  return id ? { id: id.toLowerCase() } : 'none'
}

function refuseUncarried(body: Input): void {
  if (body.at('network_filter_parameters')?.all('network_filter_parameter').length)
    throw unsupported('A network filter of a network interface')
  if (body.at('custom_properties')?.all('custom_property').length)
    throw unsupported('A custom property of a network interface')
}

function typeIn(body: Input): NicType | undefined {
  const text = body.textAt('interface')?.toLowerCase()
  if (text === undefined) return undefined
  if (isNicType(text)) return text
  const known = Object.keys(nicTypes).join(', ')
  throw new EngineFault(
    400,
    'Invalid Enum value',
    `The value '${text}' isn't a valid NicInterface, it should be one of ${known}`,
  )
}

function nameProblems(name: string): string[] {
  if (!name) return ['Interface name is required.']
  if (/^[\w.-]{1,50}$/.test(name)) return []
  return ['Name must be formed of alphanumeric characters, numbers or "-_.".']
}

function macProblems(mac: string): string[] {
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(mac) || /^(00:){5}00$/.test(mac))
    return [
      'MAC address must be in format "HH:HH:HH:HH:HH:HH" where H is a hexadecimal character (either a digit or A-F, case is insignificant).',
    ]
  return Number.parseInt(mac.slice(0, 2), 16) & 1 ? ['Multi-cast MAC address is not allowed.'] : []
}

function linkIn(body: Input): boolean | undefined {
  const text = body.textAt('link_state')?.toLowerCase()
  if (text === undefined) return undefined
  if (text === 'up' || text === 'down') return text === 'up'
  throw new EngineFault(400, 'Invalid value', `Value "${text}" isn't a valid link state, it should be "up" or "down"`)
}

/** A boolean as the engine reads it. @throws EngineFault 400 */
export function booleanAt(body: Input, ...path: readonly string[]): boolean | undefined {
  const text = body.textAt(...path)?.toLowerCase()
  if (text === undefined) return undefined
  if (text === 'true' || text === '1') return true
  if (text === 'false' || text === '0') return false
  throw new EngineFault(
    400,
    'Invalid value',
    `Value "${text}" isn't a valid boolean, it should be "true" , "false", "0" or "1"`,
  )
}
