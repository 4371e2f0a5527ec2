import { NetworkAttachmentDefinition } from '#apis/net/attachment.ts'
import { faultKind } from '#base/fault.ts'
import { isList, isObject, type JsonObject } from '#base/json.ts'
import { multusKey } from '#core/nic/desired.ts'
import { sourceOf } from '#core/nic/mirror.ts'
import { podNetwork } from '#core/nic/nic.ts'
import type { Acting } from '../engine/call.ts'
import { type EngineNic, nicsOf } from '../engine/nics/nic.ts'
import type { NicWish } from '../engine/nics/wish.ts'
import { addNic, editNic } from '../engine/nics/write.ts'
import { changePower } from '../engine/vm-write.ts'
import { hasGuest, type Machine } from '../engine/world.ts'
import { type CardParams, cardIn, cardInMap, cardsInXml, objectIn, textIn } from './card-params.ts'
import { type ErrorKind, failureOf, protocol, RpcError, vdsm } from './errors.ts'

/** The name that libvirt knows a card by. */
export function aliasOf({ interface: name }: EngineNic): string {
  return `ua-${name}`
}

/** The VM that runs, of the id in `vmID`. vdsm knows no others. @throws RpcError */
export async function runningVm(acting: Acting, params: JsonObject): Promise<Machine> {
  const machine = await vmWithId(acting, params)
  if (!machine || !hasGuest(machine)) throw new RpcError(vdsm.noVm)
  return machine
}

async function vmWithId({ world }: Acting, params: JsonObject): Promise<Machine | undefined> {
  const inner = isObject(params.params) ? params.params : {}
  const id = textIn(params, 'vmID') ?? textIn(params, 'vmId') ?? textIn(inner, 'vmId')
  if (!id) throw new RpcError(protocol.params, 'vmID is missing')
  return (await world.machines()).find(({ vm }) => vm.metadata.uid === id.toLowerCase())
}

/** `VM.updateDevice`: what is left out of the parameters stays as it is (facts/ovirt.md §4.1). */
export async function updateDevice(acting: Acting, params: JsonObject): Promise<JsonObject> {
  const machine = await runningVm(acting, params)
  const given = objectIn(params, 'params')
  // The feature page has it without one of its letters.
  const type = textIn(given, 'deviceType') ?? textIn(given, 'devicType')
  if (!type) throw new RpcError(vdsm.missing, 'deviceType')
  if (type !== 'interface') throw new RpcError(vdsm.notImplemented, `devices of type ${type} cannot be updated`)
  const card = cardIn(given)
  if (!card.alias) throw new RpcError(vdsm.missing, 'alias')
  await attempt(vdsm.update, async () => {
    const nic = findCard(await pluggedCards(acting, machine), card)
    if (!nic) throw new RpcError(vdsm.update, notFound(card))
    await editNic(acting, machine, nic.id, await wishOf(acting, machine, card, vdsm.update))
  })
  return {}
}

/** `VM.hotplugNic`: plugs a card that is parked as it is described, or adds one. */
export async function hotplugNic(acting: Acting, params: JsonObject): Promise<JsonObject> {
  const machine = await runningVm(acting, params)
  const card = cardIn(plugParams(params))
  requireNoMigration(machine)
  const nic = await attempt(vdsm.plug, async () => {
    const nics = await cardsOf(acting, machine)
    const found = findCard(nics, card)
    if (found?.plugged) throw new RpcError(vdsm.plug, `the card ${aliasOf(found)} is plugged already`)
    const wish = await wishOf(acting, machine, card, vdsm.plug)
    const own = { ...wish, ...(card.model && { type: card.model }), ...(card.mac && { mac: card.mac }) }
    if (found) return editNic(acting, machine, found.id, { ...own, plugged: true })
    return addNic(acting, machine, { ...own, name: newName(card, nics) })
  })
  return { devices: [{ macAddr: nic.mac, alias: aliasOf(nic) }] }
}

/** `VM.hotunplugNic`: the guest lets go of the card, which is parked. As in vdsm nothing is mirrored to it any more. */
export async function hotunplugNic(acting: Acting, params: JsonObject): Promise<JsonObject> {
  const machine = await runningVm(acting, params)
  const card = cardIn(plugParams(params))
  if (!card.alias && !card.mac && !card.deviceId) throw new RpcError(vdsm.missing, 'alias')
  requireNoMigration(machine)
  await attempt(vdsm.unplug, async () => {
    const nic = findCard(await pluggedCards(acting, machine), card)
    if (!nic) throw new RpcError(vdsm.unplug, notFound(card))
    // What its profile mirrors is so again when it is plugged.
    const mirrors = nic.profile?.isMirroring ? {} : { mirrors: [] }
    await editNic(acting, machine, nic.id, { plugged: false, ...mirrors })
  })
  return {}
}

/** `VM.create` of a VM that is there and down: sets its cards as they are described, and starts it. Nothing else is created. */
export async function createVm(acting: Acting, params: JsonObject): Promise<JsonObject> {
  const machine = await vmWithId(acting, params)
  if (!machine) throw new RpcError(vdsm.notImplemented, 'a VM that does not exist is made by the other APIs')
  if (machine.status !== 'down') throw new RpcError(vdsm.notImplemented, 'the VM is not down')
  const nics = await cardsOf(acting, machine)
  const changes: { nic: EngineNic; wish: NicWish }[] = []
  for (const card of describedCards(params)) {
    const nic = findCard(nics, card)
    if (!nic) throw new RpcError(vdsm.notImplemented, notFound(card))
    changes.push({ nic, wish: await attempt(vdsm.create, () => wishOf(acting, machine, card, vdsm.create)) })
  }
  await attempt(vdsm.create, async () => {
    for (const { nic, wish } of changes) await editNic(acting, machine, nic.id, wish)
    await changePower(acting, machine, 'start')
  })
  const { uid, name } = machine.vm.metadata
  return { vmId: uid, vmName: name, status: 'WaitForLaunch' }
}

function describedCards(params: JsonObject): readonly CardParams[] {
  if (params.vmParams === undefined) return []
  const given = objectIn(params, 'vmParams')
  const xml = textIn(given, 'xml')
  if (xml !== undefined) return cardsInXml(xml)
  const { devices = [] } = given
  if (!isList(devices)) throw new RpcError(protocol.params, 'devices is no list')
  return devices
    .filter(isObject)
    .filter(({ type }) => type === 'interface')
    .map(cardInMap)
}

/** A card's parameters, in `nic` where they are a map. */
function plugParams(params: JsonObject): JsonObject {
  const given = objectIn(params, 'params')
  return given.nic === undefined ? given : objectIn(given, 'nic')
}

async function attempt<T>(verb: ErrorKind, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw failureOf(error, verb)
  }
}

function requireNoMigration({ status }: Machine): void {
  if (status === 'migrating') throw new RpcError(vdsm.migrating)
}

async function cardsOf({ world }: Acting, machine: Machine): Promise<readonly EngineNic[]> {
  return nicsOf(machine, await world.profiles())
}

async function pluggedCards(acting: Acting, machine: Machine): Promise<readonly EngineNic[]> {
  return (await cardsOf(acting, machine)).filter(({ plugged }) => plugged)
}

/** By the name that libvirt knows a card by, else by its address or the engine's id. */
function findCard(nics: readonly EngineNic[], { alias, mac, deviceId }: CardParams): EngineNic | undefined {
  if (alias === undefined) return nics.find((one) => one.mac === mac || one.id === deviceId)
  const [, place] = /^net(\d{1,3})$/.exec(alias) ?? []
  if (place !== undefined) return nics.filter(({ plugged }) => plugged)[Number(place)]
  return nics.find((one) => alias === aliasOf(one) || alias.toLowerCase() === `ua-${one.id}`)
}

function notFound({ alias, mac, deviceId }: CardParams): string {
  const by = alias !== undefined ? `alias ${alias}` : mac !== undefined ? `MAC address ${mac}` : `id ${deviceId}`
  return `there is no card with the ${by}`
}

/** The name of a new card: the one in its alias, or the next free one. */
function newName({ alias = '' }: CardParams, nics: readonly EngineNic[]): string {
  const [, given] = /^ua-([\w.-]{1,50})$/.exec(alias) ?? []
  if (given !== undefined) return given
  for (let i = 1; ; i++) {
    const name = `nic${i}`
    if (!nics.some((one) => one.name === name || one.interface === name)) return name
  }
}

async function wishOf(acting: Acting, machine: Machine, card: CardParams, verb: ErrorKind): Promise<NicWish> {
  const { network, linkActive, portMirroring: mirrors } = card
  for (const source of mirrors ?? []) await requireSource(acting, machine, source, verb)
  const said = { ...(linkActive !== undefined && { linked: linkActive }), ...(mirrors && { mirrors }) }
  if (network === undefined) return said
  // On no network the link is down, whatever is said about it.
  if (network === '') return { profile: 'none', ...(mirrors && { mirrors }) }
  return { ...said, profile: { id: await profileOn(acting, machine, network, verb) } }
}

/** What can be seen beforehand not to be copied, its node need not find out. Whether it may be, admission decides. @throws RpcError */
async function requireSource({ client }: Acting, { vm }: Machine, network: string, verb: ErrorKind): Promise<void> {
  const key = multusKey(network, vm.metadata.namespace)
  const [namespace = '', ...rest] = key.split('/')
  let nad: NetworkAttachmentDefinition | undefined
  try {
    nad = await client.get(NetworkAttachmentDefinition, { namespace, name: rest.join('/') })
  } catch (error) {
    if (faultKind(error) === 'Forbidden') return
    throw error
  }
  const source = sourceOf(key, nad?.spec?.config)
  if ('problem' in source) throw new RpcError(verb, source.problem)
}

/** A VM is on networks of its own namespace only. @throws RpcError */
async function profileOn({ world }: Acting, { vm }: Machine, network: string, verb: ErrorKind): Promise<string> {
  const { namespace } = vm.metadata
  const key = network.includes('/') ? network : `${namespace}/${network}`
  const near = (await world.profiles()).filter((one) => one.network.dataCenter.namespace === namespace)
  const own = near.filter((one) => one.name === one.network.name)
  const found = own.find((one) => one.network.key === key) ?? own.find((one) => isPod(one.network.key, network))
  if (!found) throw new RpcError(verb, `there is no network ${network} for this VM`)
  return found.id
}

function isPod(key: string, network: string): boolean {
  return key === podNetwork && network === podNetwork
}
