import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Any, Api } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'

const rbac = '/apis/rbac.authorization.k8s.io/v1'

/** How each verb is asked for something that does not exist, so that nothing changes and nothing waits. */
const requests: Readonly<Record<string, readonly [method: string, query: string]>> = {
  get: ['GET', ''],
  list: ['GET', ''],
  watch: ['GET', '?watch=1&resourceVersion=x'],
  create: ['POST', '?dryRun=All'],
  update: ['PUT', '?dryRun=All'],
  patch: ['PATCH', '?dryRun=All'],
  delete: ['DELETE', '?dryRun=All'],
  deletecollection: ['DELETE', '?dryRun=All'],
}
/** Verbs that are asked of a whole collection. */
const ofMany = new Set(['list', 'watch', 'create', 'deletecollection'])

type Resource = Readonly<{ root: string; group: string; name: string; namespaced: boolean; verbs: readonly string[] }>
type Wanted = Readonly<{ verb: string; group: string; resource: string; namespace: string | undefined; name: string }>
type Who = Readonly<{ name: string; groups: readonly string[] }>
type Access = Readonly<{ roles: Any[]; clusterRoles: Any[]; bindings: Any[]; clusterBindings: Any[] }>

const has = (list: readonly string[] | undefined, one: string) => list?.includes('*') || list?.includes(one)

/** What roles and bindings say, worked out without the server's own code. */
function isAllowed({ roles, clusterRoles, bindings, clusterBindings }: Access, who: Who, wanted: Wanted): boolean {
  const everyone = [...who.groups, 'system:authenticated']
  const means = (subject: Any, namespace?: string) =>
    (subject.kind === 'User' && subject.name === who.name) ||
    (subject.kind === 'Group' && everyone.includes(subject.name)) ||
    (subject.kind === 'ServiceAccount' &&
      `system:serviceaccount:${subject.namespace ?? namespace}:${subject.name}` === who.name)
  const rulesOf = (binding: Any): Any[] => {
    const { kind, name } = binding.roleRef
    const from = kind === 'ClusterRole' ? clusterRoles : roles
    const isIt = ({ metadata }: Any) =>
      metadata.name === name && (kind === 'ClusterRole' || metadata.namespace === binding.metadata.namespace)
    return from.find(isIt)?.rules ?? []
  }
  const here = bindings.filter(({ metadata }) => metadata.namespace === wanted.namespace)
  const [, sub] = wanted.resource.split('/')
  return [...clusterBindings, ...here]
    .filter(({ subjects = [], metadata }) => subjects.some((one: Any) => means(one, metadata.namespace)))
    .flatMap(rulesOf)
    .some(
      ({ verbs, apiGroups, resources, resourceNames = [] }) =>
        has(verbs, wanted.verb) &&
        has(apiGroups, wanted.group) &&
        (has(resources, wanted.resource) || (sub && resources?.includes(`*/${sub}`))) &&
        (!resourceNames.length || resourceNames.includes(wanted.name)),
    )
}

/** What agents may not read although their role lets them: here nothing that is asked for is on their node. */
function isKeptFromNodes({ groups }: Who, { verb, resource, namespace }: Wanted): boolean {
  if (!groups.includes('system:nodes')) return false
  if (resource === 'leases') return !(namespace === 'kube-node-lease' && verb === 'create')
  const kept = ['pods', 'virtualmachineinstances', 'persistentvolumeclaims', 'datavolumes', 'secrets', 'configmaps']
  return kept.includes(resource) && ['get', 'list', 'watch'].includes(verb)
}

describe('rights', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.stop())

  const people: readonly (Who & { role?: readonly [role: string, namespace: string] })[] = [
    { name: 'nobody', groups: [] },
    { name: 'vera', groups: [], role: ['view', 'a'] },
    { name: 'alice', groups: [], role: ['edit', 'a'] },
    { name: 'carol', groups: [], role: ['admin', 'a'] },
    { name: 'bob', groups: [], role: ['edit', 'b'] },
    { name: 'mover', groups: [], role: ['kubevirt.io:migrate', 'b'] },
    { name: 'system:serviceaccount:a:bot', groups: ['system:serviceaccounts'], role: ['view', 'a'] },
    { name: 'system:node:node1', groups: ['system:nodes'] },
    { name: 'system:node:node2', groups: ['system:nodes'] },
  ]

  /** Everything the server serves, subresources too. */
  async function resources(): Promise<Resource[]> {
    const { groups } = await cluster.api.get('/apis')
    const roots = ['/api/v1', ...groups.map((one: Any) => `/apis/${one.preferredVersion.groupVersion}`)]
    const lists = await Promise.all(roots.map(async (root) => ({ root, ...(await cluster.api.get(root)) })))
    return lists.flatMap(({ root, resources: all }) =>
      all.map((one: Any) => ({ ...one, root, group: root === '/api/v1' ? '' : root.split('/')[2] })),
    )
  }

  async function grant(): Promise<void> {
    for (const name of ['a', 'b']) await cluster.api.create('/api/v1/namespaces', { metadata: { name } })
    for (const { name, role } of people) {
      if (!role) continue
      const [kind, namespace] = role
      await cluster.api.create(`${rbac}/namespaces/${namespace}/rolebindings`, {
        metadata: { generateName: 'r-' },
        subjects: [{ kind: 'User', name }],
        roleRef: { kind: 'ClusterRole', name: kind },
      })
    }
  }

  function pathOf({ root, name: full, namespaced }: Resource, { verb, namespace }: Wanted): string {
    const [plural, ...parts] = full.split('/')
    const sub = parts.join('/')
    const where = namespaced && namespace ? `/namespaces/${namespace}` : ''
    const isMany = ofMany.has(verb) && !sub
    return `${root}${where}/${plural}${isMany ? '' : `/none${sub ? `/${sub}` : ''}`}${requests[verb]?.[1] ?? ''}`
  }

  /** Every way to ask for a resource. */
  function wishes({ group, name: resource, namespaced, verbs }: Resource): Wanted[] {
    const [, sub] = resource.split('/')
    return verbs.flatMap((verb) => {
      const isMany = ofMany.has(verb) && !sub
      const everywhere = !namespaced || verb === 'list' || verb === 'watch'
      const places = [...(everywhere ? [undefined] : []), ...(namespaced ? ['a', 'b', 'kube-node-lease'] : [])]
      return places.map((namespace) => ({ verb, group, resource, namespace, name: isMany ? '' : 'none' }))
    })
  }

  it('every request is allowed or refused as the roles say, and none fails', async () => {
    await grant()
    const [roles, clusterRoles, bindings, clusterBindings] = await Promise.all(
      ['roles', 'clusterroles', 'rolebindings', 'clusterrolebindings'].map((one) => cluster.api.list(`${rbac}/${one}`)),
    )
    const access = { roles, clusterRoles, bindings, clusterBindings } as Access
    const all = (await resources()).flatMap((one) => wishes(one).map((wanted) => ({ one, wanted })))
    const wrong: string[] = []
    const counts = { allowed: 0, refused: 0 }
    const ask = async (api: Api, who: Who, one: Resource, wanted: Wanted) => {
      const [method = ''] = requests[wanted.verb] ?? []
      const path = pathOf(one, wanted)
      const type = method === 'PATCH' ? 'application/merge-patch+json' : undefined
      const body = method === 'GET' || method === 'DELETE' ? undefined : {}
      const { code, text } = await api.send(method, path, { body, ...(type && { type }) })
      const expected = isAllowed(access, who, wanted) && !isKeptFromNodes(who, wanted)
      counts[expected ? 'allowed' : 'refused']++
      if (code >= 500 || (code !== 403 && code !== 401) !== expected)
        wrong.push(`${who.name}: ${wanted.verb} ${path}: ${code}, expected ${expected}: ${text.slice(0, 200)}`)
    }
    await Promise.all(
      people.map(async (who) => {
        const api = await cluster.as(who.name, who.groups)
        for (let i = 0; i < all.length; i += batch)
          await Promise.all(all.slice(i, i + batch).map(({ one, wanted }) => ask(api, who, one, wanted)))
      }),
    )
    const anonymous: Who = { name: 'system:anonymous', groups: [] }
    for (const { one, wanted } of all.filter((_, i) => i % 5 === 0)) {
      const { code } = await cluster.anonymous.send('GET', pathOf(one, wanted))
      if (code !== 401) wrong.push(`${anonymous.name}: ${pathOf(one, wanted)}: ${code}`)
    }
    assert.deepEqual(wrong.slice(0, 20), [])
    assert.ok(counts.allowed > 500 && counts.refused > 2000, JSON.stringify(counts))
    assert.deepEqual(cluster.errors, [])
  })
})

/** Requests of one user at a time. */
const batch = 20
