import type { Stored } from '#apis/meta/object.ts'
import { NetworkAttachmentDefinition } from '#apis/net/attachment.ts'
import { isObject, type JsonObject, parsedJson } from '#base/json.ts'
import { sha256Hex } from '#base/sha256.ts'
import { podNetwork } from '#core/nic/nic.ts'
import { EngineFault, incomplete, NotFound, operationFailed, unsupported } from '../wire/faults.ts'
import type { Input } from '../wire/read.ts'
import type { Call } from './call.ts'
import { engineFault } from './kube-faults.ts'
import { descriptionAnnotation, profilesAnnotation } from './names.ts'
import { withAnnotation } from './nics/edit.ts'
import { nicsOf } from './nics/nic.ts'
import { booleanAt } from './nics/wish.ts'
import { type DeclaredProfile, declaredProfiles } from './profiles.ts'
import type { DataCenter, Network, Profile } from './world.ts'

type Nad = Stored<NetworkAttachmentDefinition>

/** Longest name of a link, characters (Linux). */
const maxLink = 15

/** Creates a network: a definition of the plugin `bridge`, with a bridge of its own. Resolves to its id. @throws EngineFault */
export async function createNetwork(call: Call): Promise<string> {
  const { input, world, client } = call
  const name = input.textAt('name')
  const dataCenter = await dataCenterIn(input, await world.dataCenters())
  const missing = [...(name ? [] : ['name']), ...(dataCenter ? [] : ['dataCenter.name|id'])]
  if (!name || !dataCenter) throw incomplete('Network', 'add', ...missing)
  refuseUncarried(input)
  const mtu = mtuIn(input)
  const config = { cniVersion: '1.0.0', name, type: 'bridge', bridge: bridgeOf(name), ...(mtu && { mtu }) }
  const description = input.textAt('description')
  try {
    const made = await client.create(NetworkAttachmentDefinition, {
      apiVersion: 'k8s.cni.cncf.io/v1',
      kind: 'NetworkAttachmentDefinition',
      metadata: {
        namespace: dataCenter.namespace,
        name,
        ...(description && { annotations: { [descriptionAnnotation]: description } }),
      },
      spec: { config: JSON.stringify(config) },
    })
    await note(
      call,
      dataCenter,
      942,
      'NETWORK_ADD_NETWORK',
      `Network ${name} was added to Data Center: ${dataCenter.name}`,
    )
    return made.metadata.uid
  } catch (error) {
    throw engineFault(error)
  }
}

/** Changes the description and the MTU of a network. @throws EngineFault */
export async function updateNetwork(call: Call, network: Network): Promise<void> {
  const { input } = call
  const name = input.textAt('name')
  if (name !== undefined && name !== network.name)
    throw operationFailed(400, 'Cannot edit Network. A network keeps the name it was created with.')
  refuseUncarried(input)
  const mtu = mtuIn(input)
  const description = input.textAt('description')
  await changeNad(call, network, (nad) => {
    const told = description === undefined ? nad : withAnnotation(nad, descriptionAnnotation, description || undefined)
    return mtu === undefined ? told : withMtu(told, mtu)
  })
}

/** Removes a network that no VM has an interface on. @throws EngineFault */
export async function removeNetwork(call: Call, network: Network): Promise<void> {
  const users = await usersOf(call, ({ network: { id } }) => id === network.id)
  if (users.length) throw operationFailed(409, `Cannot remove Network. It is used by these VMs: ${users.join(', ')}.`)
  const { namespace, name } = keyOf(network)
  try {
    await call.client.delete(NetworkAttachmentDefinition, { namespace, name }, { uid: network.id })
  } catch (error) {
    throw engineFault(error)
  }
  const { dataCenter } = network
  await note(
    call,
    dataCenter,
    944,
    'NETWORK_REMOVE_NETWORK',
    `Network ${name} was removed from Data Center: ${dataCenter.name}`,
  )
}

/** Adds a profile to a network. Resolves to its name. @throws EngineFault */
export async function createProfile(call: Call): Promise<Readonly<{ network: string; name: string }>> {
  const { input, world } = call
  const name = input.textAt('name')
  const id = input.textAt('network', 'id')?.toLowerCase() ?? call.params.network?.toLowerCase()
  const missing = [...(name ? [] : ['name']), ...(id ? [] : ['network.id'])]
  if (!name || !id) throw incomplete('VnicProfile', 'add', ...missing)
  const network = (await world.ownNetworks()).find((one) => one.id === id)
  if (!network) throw new EngineFault(404, 'Operation Failed', `Entity not found: Network: id=${id}`)
  requireNad(network)
  const wish = profileIn(input)
  await changeNad(call, network, (nad) => {
    const list = declaredProfiles(nad)
    if (name === network.name || list.some((one) => one.name === name))
      throw operationFailed(
        409,
        'Cannot add VM network interface profile. The VM network interface profile name is already in use.',
      )
    return withProfiles(nad, [...list, { name, isMirroring: false, comment: '', ...wish }])
  })
  await noteProfile(call, network, name, 1122, 'ADD_VNIC_PROFILE', 'added to')
  return { network: network.id, name }
}

/** Changes whether a profile mirrors, and its comment. @throws EngineFault */
export async function updateProfile(call: Call, profile: Profile): Promise<void> {
  const { input } = call
  const { network } = profile
  const name = input.textAt('name')
  if (name !== undefined && name !== profile.name)
    throw operationFailed(
      400,
      'Cannot edit VM network interface profile. A profile keeps the name it was created with.',
    )
  const id = input.textAt('network', 'id')
  if (id !== undefined && id.toLowerCase() !== network.id)
    throw operationFailed(409, 'Cannot edit VM network interface profile. Cannot change the network of a profile.')
  requireNad(network)
  const wish = profileIn(input)
  if (wish.isMirroring !== undefined && wish.isMirroring !== profile.isMirroring) {
    const users = await usersOf(call, (one) => one.id === profile.id)
    if (users.length)
      throw operationFailed(
        409,
        'Cannot edit VM network interface profile. Port mirroring cannot change while the profile is used by VMs.',
      )
  }
  await changeNad(call, network, (nad) => {
    const list = declaredProfiles(nad)
    const old = list.find((one) => one.name === profile.name) ?? { name: profile.name, isMirroring: false, comment: '' }
    return withProfiles(nad, [...list.filter((one) => one.name !== profile.name), { ...old, ...wish }])
  })
  await noteProfile(call, network, profile.name, 1124, 'UPDATE_VNIC_PROFILE', 'updated for')
}

/** Removes a profile that no interface has. The one of a network's own name stays as long as the network. @throws EngineFault */
export async function removeProfile(call: Call, profile: Profile): Promise<void> {
  const { network, name } = profile
  const what = 'Cannot remove VM network interface profile.'
  if (name === network.name) throw operationFailed(409, `${what} It belongs to its network, and goes with it.`)
  const users = await usersOf(call, ({ id }) => id === profile.id)
  if (users.length) throw operationFailed(409, `${what} It is used by these VMs: ${users.join(', ')}.`)
  await changeNad(call, network, (nad) =>
    withProfiles(
      nad,
      declaredProfiles(nad).filter((one) => one.name !== name),
    ),
  )
  await noteProfile(call, network, name, 1126, 'REMOVE_VNIC_PROFILE', 'removed from')
}

/** The data center that a body names; undefined where it names none, unless there is only one. @throws EngineFault 404 */
async function dataCenterIn(input: Input, all: readonly DataCenter[]): Promise<DataCenter | undefined> {
  const id = input.textAt('data_center', 'id')
  const name = input.textAt('data_center', 'name')
  if (id === undefined && name === undefined) return undefined
  const found = all.find((one) => (id === undefined ? one.name === name : one.id === id))
  if (!found) throw new EngineFault(404, 'Operation Failed', `Entity not found: DataCenter: ${id ?? name}`)
  return found
}

function refuseUncarried(input: Input): void {
  if (input.textAt('vlan', 'id') !== undefined) throw unsupported('A VLAN of a network')
  if (booleanAt(input, 'stp')) throw unsupported('STP of a network')
  if (input.at('qos', 'id')) throw unsupported('QoS of a network')
}

/** The MTU in a body; 0 is that of the bridge, and as good as none. */
function mtuIn(input: Input): number | undefined {
  const text = input.textAt('mtu')
  if (text === undefined) return undefined
  if (/^\d{1,5}$/.test(text) && (text === '0' || Number(text) >= 68)) return Number(text)
  throw new EngineFault(
    400,
    'Invalid value',
    `Value "${text}" of mtu isn't a valid MTU, it should be 0 or from 68 to 65535`,
  )
}

function bridgeOf(name: string): string {
  const bridge = `br-${name}`
  return bridge.length <= maxLink ? bridge : `br-${sha256Hex(name).slice(0, maxLink - 3)}`
}

function withMtu(nad: Nad, mtu: number): Nad {
  const config = parsedJson(nad.spec?.config ?? '')
  if (!isObject(config) || config.type === undefined)
    throw operationFailed(
      409,
      'Cannot edit Network. Its configuration is a list of plugins; change the MTU in its NetworkAttachmentDefinition.',
    )
  const { mtu: _, ...others } = config
  return { ...nad, spec: { ...nad.spec, config: JSON.stringify(mtu ? { ...others, mtu } : others) } }
}

function profileIn(input: Input): Partial<DeclaredProfile> {
  if ((input.textAt('pass_through', 'mode') ?? 'disabled') !== 'disabled') throw unsupported('A passthrough profile')
  if (input.textAt('network_filter', 'id')) throw unsupported('A network filter of a profile')
  if (input.textAt('qos', 'id')) throw unsupported('QoS of a profile')
  if (input.at('custom_properties')?.all('custom_property').length) throw unsupported('A custom property of a profile')
  const isMirroring = booleanAt(input, 'port_mirroring')
  const comment = input.textAt('comment') ?? input.textAt('description')
  return { ...(isMirroring !== undefined && { isMirroring }), ...(comment !== undefined && { comment }) }
}

function withProfiles(nad: Nad, profiles: readonly DeclaredProfile[]): Nad {
  const list = profiles.map(
    ({ name, isMirroring, comment }): JsonObject => ({
      name,
      ...(isMirroring && { port_mirroring: true }),
      ...(comment && { comment }),
    }),
  )
  return withAnnotation(nad, profilesAnnotation, list.length ? JSON.stringify(list) : undefined)
}

async function changeNad(call: Call, network: Network, change: (nad: Nad) => Nad): Promise<void> {
  requireNad(network)
  try {
    const changed = await call.client.modify(NetworkAttachmentDefinition, keyOf(network), change)
    if (!changed) throw new NotFound()
  } catch (error) {
    throw engineFault(error)
  }
}

/** @throws EngineFault 409 for the pod network, which no object stands for */
function requireNad({ key }: Network): void {
  if (key === podNetwork) throw operationFailed(409, 'Cannot edit Network. The pod network is as the server made it.')
}

function keyOf({ name, dataCenter }: Network): Readonly<{ namespace: string; name: string }> {
  return { namespace: dataCenter.namespace, name }
}

/** The names of the VMs and templates with an interface of such a profile, whoever may see them. */
async function usersOf({ world }: Call, isSuch: (profile: Profile) => boolean): Promise<readonly string[]> {
  const [vms, profiles] = await Promise.all([world.everyVm(), world.profiles()])
  const uses = vms.filter((vm) =>
    nicsOf({ vm }, profiles).some(({ profile }) => profile !== undefined && isSuch(profile)),
  )
  return uses.map(({ metadata }) => metadata.name)
}

function noteProfile(
  call: Call,
  network: Network,
  name: string,
  code: number,
  reason: string,
  done: string,
): Promise<void> {
  const place = `${network.name} in Data Center: ${network.dataCenter.name}`
  const text = `VM network interface profile ${name} was ${done} network ${place}.`
  return note(call, network.dataCenter, code, reason, `${text} (User: ${call.account.name})`)
}

async function note(call: Call, { namespace }: DataCenter, code: number, reason: string, text: string): Promise<void> {
  const { correlationId, account, gateway } = call
  await gateway.note({ code, reason, severity: 'normal', text, namespace, user: account.name, correlationId })
}
