import type { Doc } from '../../wire/document.ts'
import { NotFound } from '../../wire/faults.ts'
import { type Call, complete, created, ok, type Reply } from '../call.ts'
import * as write from '../network-write.ts'
import { hrefOf, type Route } from '../routes.ts'
import type { Fields } from '../search.ts'
import { type Network, type Profile, World } from '../world.ts'
import { link, listed, none } from './collection.ts'
import { theCluster, theDataCenter, theNetwork, theProfile } from './find.ts'

/** A network. Here all are for VMs; the MTU 0 is that of its bridge, which oVirt shows for a network without one of its own. */
function networkDoc({ id, name, description, dataCenter }: Network): Doc {
  return {
    href: hrefOf('networks', id),
    id,
    name,
    description,
    comment: '',
    link: [
      link(hrefOf('networks', id, 'networklabels'), 'networklabels'),
      link(hrefOf('networks', id, 'permissions'), 'permissions'),
      link(hrefOf('networks', id, 'vnicprofiles'), 'vnicprofiles'),
    ],
    mtu: 0,
    stp: false,
    usages: { usage: ['vm'] },
    data_center: { href: hrefOf('datacenters', dataCenter.id), id: dataCenter.id },
  }
}

/** A network as its cluster shows it. */
function clusterNetworkDoc(network: Network, cluster: string): Doc {
  return {
    ...networkDoc(network),
    href: hrefOf('clusters', cluster, 'networks', network.id),
    display: false,
    required: false,
    status: 'operational',
    cluster: { href: hrefOf('clusters', cluster), id: cluster },
  }
}

function profileDoc({ id, name, comment, isMirroring, network }: Profile): Doc {
  return {
    href: hrefOf('vnicprofiles', id),
    id,
    name,
    description: '',
    comment,
    link: [link(hrefOf('vnicprofiles', id, 'permissions'), 'permissions')],
    pass_through: { mode: 'disabled' },
    port_mirroring: isMirroring,
    network: { href: hrefOf('networks', network.id), id: network.id },
  }
}

const networkFields: Fields<Network> = ({ id, name, description, dataCenter }, field, of) => {
  if (of === 'datacenter' && field === 'name') return [dataCenter.name]
  if (of !== undefined && of !== 'network') return undefined
  return {
    id: [id],
    name: [name],
    description: [description],
    comment: [''],
    datacenter: [dataCenter.name],
    usages: ['vm'],
  }[field]
}

const networks = { root: 'networks', item: 'network', show: networkDoc }
const profiles = { root: 'vnic_profiles', item: 'vnic_profile', show: profileDoc }

/** The networks of a cluster: all of its data center, or those its settings name. */
async function clusterNetworks(call: Call): Promise<readonly Network[]> {
  const cluster = await theCluster(call)
  const near = (await call.world.ownNetworks()).filter(({ dataCenter }) => dataCenter.id === cluster.dataCenter.id)
  return near.filter(({ name }) => cluster.networks === undefined || cluster.networks.has(name))
}

/** A call that reads anew what a write has changed. */
function afresh(call: Call): Call {
  return { ...call, world: new World(call.client, call.gateway.own) }
}

async function createdProfile(call: Call): Promise<Reply> {
  const { network, name } = await write.createProfile(call)
  const made = (await afresh(call).world.profiles()).find((one) => one.network.id === network && one.name === name)
  if (!made) throw new NotFound()
  return created('vnic_profile', profileDoc(made))
}

export const networkRoutes: readonly Route[] = [
  {
    path: 'networks',
    get: async (call) => listed(call, networks, await call.world.ownNetworks(), networkFields),
    post: async (call) => {
      const params = { ...call.params, network: await write.createNetwork(call) }
      return created('network', networkDoc(await theNetwork(afresh({ ...call, params }))))
    },
  },
  {
    path: 'networks/:network',
    get: async (call) => ok('network', networkDoc(await theNetwork(call))),
    put: async (call) => {
      await write.updateNetwork(call, await theNetwork(call))
      return ok('network', networkDoc(await theNetwork(afresh(call))))
    },
    remove: async (call) => {
      await write.removeNetwork(call, await theNetwork(call))
      return complete()
    },
  },
  {
    path: 'networks/:network/vnicprofiles',
    get: async (call) => {
      const { id } = await theNetwork(call)
      return listed(
        call,
        profiles,
        (await call.world.profiles()).filter(({ network }) => network.id === id),
      )
    },
  },
  { path: 'networks/:network/networklabels', get: none('network_labels') },
  { path: 'networks/:network/permissions', get: none('permissions') },
  {
    path: 'datacenters/:datacenter/networks',
    get: async (call) => {
      const { id } = await theDataCenter(call)
      return listed(
        call,
        networks,
        (await call.world.ownNetworks()).filter(({ dataCenter }) => dataCenter.id === id),
      )
    },
  },
  {
    path: 'datacenters/:datacenter/networks/:network',
    get: async (call) => ok('network', networkDoc(await theNetwork(call))),
  },
  {
    path: 'clusters/:cluster/networks',
    get: async (call) => {
      const { id } = await theCluster(call)
      const show = (network: Network) => clusterNetworkDoc(network, id)
      return listed(call, { ...networks, show }, await clusterNetworks(call))
    },
  },
  {
    path: 'clusters/:cluster/networks/:network',
    get: async (call) => {
      const { id } = await theCluster(call)
      return ok('network', clusterNetworkDoc(await theNetwork(call), id))
    },
  },
  {
    path: 'vnicprofiles',
    get: async (call) => listed(call, profiles, await ownProfiles(call)),
    post: createdProfile,
  },
  {
    path: 'vnicprofiles/:profile',
    get: async (call) => ok('vnic_profile', profileDoc(await theProfile(call))),
    put: async (call) => {
      await write.updateProfile(call, await theProfile(call))
      return ok('vnic_profile', profileDoc(await theProfile(afresh(call))))
    },
    remove: async (call) => {
      await write.removeProfile(call, await theProfile(call))
      return complete()
    },
  },
  { path: 'vnicprofiles/:profile/permissions', get: none('permissions') },
]

/** The profiles of the networks that the user may list. */
async function ownProfiles({ world }: Call): Promise<readonly Profile[]> {
  const own = new Set((await world.ownNetworks()).map(({ id }) => id))
  return (await world.profiles()).filter(({ network }) => own.has(network.id))
}
