import { version } from '#base/version.ts'
import type { Doc } from '../../wire/document.ts'
import { NotFound } from '../../wire/faults.ts'
import { type Call, ok, type Reply } from '../call.ts'
import { blankId, idIn } from '../ids.ts'
import { hrefOf, type Route } from '../routes.ts'
import { link, none } from './collection.ts'

/** The version of oVirt whose API is served. */
const engine = { build: 0, full_version: `4.5.7-1.patchbay${version}`, major: 4, minor: 5, revision: 7 }

/** Top collections by the relation of their link; those that are searched have a second one. */
const collections: Readonly<Record<string, Readonly<{ root: string; isSearched?: boolean; isEmpty?: boolean }>>> = {
  clusters: { root: 'clusters', isSearched: true },
  datacenters: { root: 'data_centers', isSearched: true },
  diskprofiles: { root: 'disk_profiles', isEmpty: true },
  disks: { root: 'disks', isSearched: true, isEmpty: true },
  domains: { root: 'domains', isEmpty: true },
  events: { root: 'events', isSearched: true },
  groups: { root: 'groups', isEmpty: true },
  hosts: { root: 'hosts', isSearched: true },
  instancetypes: { root: 'instance_types', isEmpty: true },
  jobs: { root: 'jobs' },
  macpools: { root: 'mac_pools', isEmpty: true },
  networkfilters: { root: 'network_filters', isEmpty: true },
  networks: { root: 'networks', isSearched: true },
  permissions: { root: 'permissions', isEmpty: true },
  roles: { root: 'roles', isEmpty: true },
  storagedomains: { root: 'storage_domains', isSearched: true, isEmpty: true },
  tags: { root: 'tags', isEmpty: true },
  templates: { root: 'templates', isSearched: true },
  users: { root: 'users', isSearched: true },
  vmpools: { root: 'vm_pools', isSearched: true, isEmpty: true },
  vms: { root: 'vms', isSearched: true },
  vnicprofiles: { root: 'vnic_profiles' },
}

/** The entry point: clients find everything by the relations of its links (facts/ovirt.md §1.4). */
async function entryPoint({ world, account }: Call): Promise<Reply> {
  const [machines, hosts, [place]] = await Promise.all([world.machines(), world.hosts(), world.dataCenters()])
  const links = Object.entries(collections).flatMap(([rel, { isSearched }]) => [
    link(hrefOf(rel), rel),
    ...(isSearched ? [link(`${hrefOf(rel)}?search={query}`, `${rel}/search`)] : []),
  ])
  const active = machines.filter(({ status }) => status === 'up').length
  const count = (total: number, up: number): Doc => ({ active: up, total })
  const { id } = userDoc(account.name)
  const me = { href: hrefOf('users', id), id }
  const doc: Doc = {
    link: links,
    product_info: {
      instance_id: place?.id ?? blankId,
      name: 'oVirt Engine',
      vendor: 'ovirt.org',
      version: engine,
    },
    special_objects: {
      blank_template: { href: hrefOf('templates', blankId), id: blankId },
      root_tag: { href: hrefOf('tags', blankId), id: blankId },
    },
    summary: {
      hosts: count(hosts.length, hosts.length),
      storage_domains: count(0, 0),
      users: count(1, 1),
      vms: count(machines.length, active),
    },
    time: new Date(),
    authenticated_user: me,
    effective_user: me,
  }
  const headers = { link: links.map(({ href, rel }) => `<${href}>; rel=${rel}`).join(',') }
  return { ...ok('api', doc), headers }
}

/** A user: ids of users are the same in every installation, for no object has them. */
export function userDoc(name: string): Doc & Readonly<{ id: string }> {
  const id = idIn(blankId, `user/${name}`)
  const href = hrefOf('users', id)
  const [user = name, domain = ''] = name.split(/@(?=[^@]*$)/)
  return {
    href,
    id,
    name: user,
    link: [],
    domain: { name: domain },
    principal: user,
    user_name: `${user}@${domain}-authz`,
  }
}

const rootTag = { href: hrefOf('tags', blankId), id: blankId, name: 'root', description: 'root' }

export const entryRoutes: readonly Route[] = [
  { path: '', get: entryPoint },
  ...Object.entries(collections).flatMap(([path, { root, isEmpty }]): Route[] =>
    isEmpty ? [{ path, get: none(root) }] : [],
  ),
  // Others are not for everybody to see.
  { path: 'users', get: ({ account }) => ok('users', { user: [userDoc(account.name)] }) },
  {
    path: 'users/:user',
    get: ({ account, params }) => {
      const me = userDoc(account.name)
      if (me.id !== params.user) throw new NotFound()
      return ok('user', me)
    },
  },
  { path: `tags/${blankId}`, get: () => ok('tag', rootTag) },
  {
    path: 'options/:option',
    get: ({ params }) =>
      ok('system_option', {
        href: hrefOf('options', params.option ?? ''),
        id: params.option ?? '',
        name: params.option ?? '',
        values: {},
      }),
  },
]
