import { isList, isObject, type Json, type JsonObject } from '#base/json.ts'
import { isNicType, type NicType } from '../engine/nics/nic.ts'
import { EngineFault } from '../wire/faults.ts'
import { type Input, readInput } from '../wire/read.ts'
import { protocol, RpcError } from './errors.ts'

/** What a client says of a card. What it leaves out stays as it is. */
export type CardParams = Readonly<{
  /** As vdsm has it: `ua-NAME`, or `netN` for the Nth card of the guest. */
  alias?: string
  /** Lower case. */
  mac?: string
  /** The engine's id of the interface. */
  deviceId?: string
  model?: NicType
  /** The network's name; empty for no network. */
  network?: string
  linkActive?: boolean
  /** Names of the networks the card is to see all frames of; empty for none. */
  portMirroring?: readonly string[]
}>

/** The bridge of vdsm that leads nowhere (facts/ovirt.md §4.5). */
const nowhere = ';vdsmdummy;'
/** vdsm's name for a card of type virtio. */
const paravirtual = 'pv'

/** The card that parameters describe, as a map or in `xml`. @throws RpcError */
export function cardIn(params: JsonObject): CardParams {
  const xml = textIn(params, 'xml')
  if (xml === undefined) return cardInMap(params)
  const [card, ...more] = cardsInXml(xml)
  if (!card || more.length) throw wrong('xml does not have one interface in its devices')
  return card
}

/** @throws RpcError */
export function cardInMap(params: JsonObject): CardParams {
  refuseUncarried(params)
  const model = textIn(params, 'nicModel')
  return cardOf({
    alias: textIn(params, 'alias'),
    mac: textIn(params, 'macAddr'),
    deviceId: textIn(params, 'deviceId'),
    model,
    network: textIn(params, 'network'),
    linkActive: switchIn(params, 'linkActive'),
    portMirroring: namesIn(params, 'portMirroring'),
  })
}

/** The interfaces of a document of libvirt with what oVirt adds to it (facts/ovirt.md §3.2). @throws RpcError */
export function cardsInXml(xml: string): readonly CardParams[] {
  const root = xmlIn(xml)
  const devices = root.at('metadata', 'ovirt-vm:vm')?.all('ovirt-vm:device') ?? []
  return (root.at('devices')?.all('interface') ?? []).map((one) => {
    if (one.at('bandwidth')) throw uncarried('a bandwidth')
    if (one.textAt('port', 'isolated') === 'yes') throw uncarried('an isolated port')
    const alias = one.textAt('alias', 'name')
    const mac = one.textAt('mac', 'address')
    const more = devices.find(
      (device) =>
        (alias !== undefined && device.textAt('alias') === alias) ||
        (mac !== undefined && device.textAt('mac_address') === mac),
    )
    const link = one.textAt('link', 'state')
    if (link !== undefined && link !== 'up' && link !== 'down')
      throw wrong('the state of a link is neither up nor down')
    return cardOf({
      ...{
        alias,
        mac,
        deviceId: undefined,
        model: one.textAt('model', 'type'),
        network: one.textAt('source', 'bridge'),
      },
      linkActive: link && link === 'up',
      portMirroring: more
        ?.at('ovirt-vm:portMirroring')
        ?.all('ovirt-vm:network')
        .map(({ text }) => text.trim()),
    })
  })
}

type Given = Readonly<{
  alias: string | undefined
  mac: string | undefined
  deviceId: string | undefined
  model: string | undefined
  network: string | undefined
  linkActive: boolean | '' | undefined
  portMirroring: readonly string[] | undefined
}>

function cardOf({ alias, mac, deviceId, model, network, linkActive, portMirroring }: Given): CardParams {
  const type = model === paravirtual ? 'virtio' : model
  if (type !== undefined && !isNicType(type)) throw wrong(`there is no model ${type} of cards`)
  return {
    ...(alias && { alias }),
    ...(mac && { mac: mac.toLowerCase() }),
    ...(deviceId && { deviceId: deviceId.toLowerCase() }),
    ...(type && { model: type }),
    ...(network !== undefined && { network: network === nowhere ? '' : network }),
    ...(typeof linkActive === 'boolean' && { linkActive }),
    ...(portMirroring && { portMirroring }),
  }
}

function xmlIn(text: string): Input {
  try {
    return readInput(text, false)
  } catch (error) {
    if (error instanceof EngineFault) throw wrong(`xml is not XML: ${error.detail}`)
    throw error
  }
}

/** What would be another card than the one that was asked for, if it were passed over. */
function refuseUncarried(params: JsonObject): void {
  for (const field of ['specParams', 'custom', 'filterParameters']) if (isSet(params[field])) throw uncarried(field)
  if (params.port_isolated === true || params.port_isolated === 'true') throw uncarried('port_isolated')
}

function isSet(value: Json | undefined): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length > 0
}

function uncarried(what: string): RpcError {
  return wrong(`${what} of a card is not supported`)
}

function wrong(reason: string): RpcError {
  return new RpcError(protocol.params, reason)
}

/** @throws RpcError for what is no text */
export function textIn(params: JsonObject, field: string): string | undefined {
  const value = params[field]
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'string') throw wrong(`${field} is no text`)
  return value
}

/** A boolean, or one as vdsm's older clients write it. @throws RpcError */
export function switchIn(params: JsonObject, field: string): boolean | undefined {
  const value = params[field]
  if (value === undefined || value === null) return undefined
  const text = String(value).toLowerCase()
  if (text === 'true' || text === 'false') return text === 'true'
  throw wrong(`${field} is neither true nor false`)
}

/** A list of texts, or one text with commas. @throws RpcError */
export function namesIn(params: JsonObject, field: string): readonly string[] | undefined {
  const value = params[field]
  if (value === undefined || value === null) return undefined
  if (typeof value === 'string') return value.split(',').flatMap((name) => name.trim() || [])
  if (!isList(value)) throw wrong(`${field} is no list`)
  return value.map((name) => {
    if (typeof name !== 'string') throw wrong(`${field} has something that is no text`)
    return name
  })
}

/** @throws RpcError where it is missing or is no object */
export function objectIn(params: JsonObject, field: string): JsonObject {
  const value = params[field]
  if (!isObject(value)) throw wrong(`${field} is no object`)
  return value
}
