import { parseQuantity } from '#apis/meta/quantity.ts'
import { isTrue } from '#core/vm/conditions.ts'
import type { Doc } from '../../wire/document.ts'
import { ok } from '../call.ts'
import type { Cluster } from '../clusters.ts'
import { hrefOf, type Route } from '../routes.ts'
import type { Fields } from '../search.ts'
import type { DataCenter, Host } from '../world.ts'
import { link, listed, none } from './collection.ts'
import { theCluster, theDataCenter, theHost } from './find.ts'

/** The version that data centers and clusters have unless a cluster's settings say otherwise. */
const version = { major: 4, minor: 7 }

function dataCenterDoc({ id, name }: DataCenter): Doc {
  const at = (collection: string) => link(hrefOf('datacenters', id, collection), collection)
  return {
    href: hrefOf('datacenters', id),
    id,
    name,
    description: '',
    comment: '',
    link: ['clusters', 'networks', 'permissions', 'quotas', 'storagedomains'].map(at),
    local: true,
    quota_mode: 'disabled',
    status: 'up',
    supported_versions: { version: [version] },
    version,
  }
}

function clusterDoc({ id, name, version, dataCenter }: Cluster): Doc {
  const at = (collection: string) => link(hrefOf('clusters', id, collection), collection)
  return {
    href: hrefOf('clusters', id),
    id,
    name,
    description: '',
    comment: '',
    link: ['affinitygroups', 'cpuprofiles', 'networks', 'permissions'].map(at),
    ballooning_enabled: false,
    cpu: { architecture: 'x86_64', type: '' },
    gluster_service: false,
    switch_type: 'legacy',
    threads_as_cores: false,
    tunnel_migration: false,
    version,
    virt_service: true,
    data_center: { href: hrefOf('datacenters', dataCenter.id), id: dataCenter.id },
  }
}

function hostDoc({ metadata, status }: Host, clusters: readonly Cluster[]): Doc {
  const { uid: id, name } = metadata
  const at = (collection: string) => link(hrefOf('hosts', id, collection), collection)
  const [cluster] = clusters.filter(({ isFirst }) => isFirst)
  const cores = Number(status?.capacity?.cpu ?? 1)
  return {
    href: hrefOf('hosts', id),
    id,
    name,
    comment: '',
    link: [
      'devices',
      'hooks',
      'networkattachments',
      'nics',
      'numanodes',
      'permissions',
      'statistics',
      'storage',
      'tags',
    ].map(at),
    address: status?.addresses?.find(({ type }) => type === 'InternalIP')?.address ?? name,
    cpu: { topology: { cores, sockets: 1, threads: 1 } },
    memory: Number((parseQuantity(String(status?.capacity?.memory ?? 0))?.milli ?? 0n) / 1000n),
    port: 54321,
    protocol: 'stomp',
    status: isTrue(status?.conditions, 'Ready') ? 'up' : 'non_responsive',
    type: 'rhel',
    ...(cluster && { cluster: { href: hrefOf('clusters', cluster.id), id: cluster.id } }),
  }
}

const dataCenterFields =
  (clusters: readonly Cluster[]): Fields<DataCenter> =>
  ({ id, name }, field, of) => {
    if (of === 'cluster')
      return field === 'name' ? clusters.filter((one) => one.dataCenter.id === id).map((one) => one.name) : undefined
    if (of !== undefined && of !== 'datacenter') return undefined
    return { id: [id], name: [name], description: [''], comment: [''], status: ['up'] }[field]
  }

const clusterFields: Fields<Cluster> = ({ id, name, dataCenter }, field, of) => {
  if (of === 'datacenter' && field === 'name') return [dataCenter.name]
  if (of !== undefined && of !== 'cluster') return undefined
  return { id: [id], name: [name], description: [''], comment: [''], datacenter: [dataCenter.name] }[field]
}

const hostFields =
  (clusters: readonly Cluster[]): Fields<Host> =>
  ({ metadata, status }, field, of) => {
    const cluster = clusters.filter(({ isFirst }) => isFirst).map(({ name }) => name)
    if (of === 'cluster' && field === 'name') return cluster
    if (of !== undefined && of !== 'host') return undefined
    const state = isTrue(status?.conditions, 'Ready') ? 'up' : 'non_responsive'
    return { id: [metadata.uid], name: [metadata.name], comment: [''], status: [state], cluster }[field]
  }

export const placeRoutes: readonly Route[] = [
  {
    path: 'datacenters',
    get: async (call) => {
      const fields = dataCenterFields(await call.world.clusters())
      return listed(
        call,
        { root: 'data_centers', item: 'data_center', show: dataCenterDoc },
        await call.world.dataCenters(),
        fields,
      )
    },
  },
  { path: 'datacenters/:datacenter', get: async (call) => ok('data_center', dataCenterDoc(await theDataCenter(call))) },
  {
    path: 'datacenters/:datacenter/clusters',
    get: async (call) => {
      const { id } = await theDataCenter(call)
      const near = (await call.world.clusters()).filter(({ dataCenter }) => dataCenter.id === id)
      return listed(call, { root: 'clusters', item: 'cluster', show: clusterDoc }, near)
    },
  },
  {
    path: 'clusters',
    get: async (call) =>
      listed(call, { root: 'clusters', item: 'cluster', show: clusterDoc }, await call.world.clusters(), clusterFields),
  },
  { path: 'clusters/:cluster', get: async (call) => ok('cluster', clusterDoc(await theCluster(call))) },
  {
    path: 'hosts',
    get: async (call) => {
      const clusters = await call.world.clusters()
      const show = (host: Host) => hostDoc(host, clusters)
      return listed(call, { root: 'hosts', item: 'host', show }, await call.world.hosts(), hostFields(clusters))
    },
  },
  {
    path: 'hosts/:host',
    get: async (call) => ok('host', hostDoc(await theHost(call), await call.world.clusters())),
  },
  ...empty('datacenters/:datacenter', {
    permissions: 'permissions',
    quotas: 'quotas',
    storagedomains: 'storage_domains',
  }),
  ...empty('clusters/:cluster', {
    affinitygroups: 'affinity_groups',
    cpuprofiles: 'cpu_profiles',
    permissions: 'permissions',
  }),
  ...empty('hosts/:host', {
    devices: 'host_devices',
    hooks: 'hooks',
    networkattachments: 'network_attachments',
    nics: 'host_nics',
    numanodes: 'host_numa_nodes',
    permissions: 'permissions',
    statistics: 'statistics',
    storage: 'host_storages',
    tags: 'tags',
  }),
]

/** Routes of collections below a path that are empty here, by their last segment. */
export function empty(below: string, roots: Readonly<Record<string, string>>): Route[] {
  return Object.entries(roots).map(([segment, root]) => ({ path: `${below}/${segment}`, get: none(root) }))
}
