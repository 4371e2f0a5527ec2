import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type Api, nadsPath, podsPath, vmisPath, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { makeNamespace, run, vm } from './manifests.ts'

describe('the certificate of a node', () => {
  let cluster: Cluster
  let ns: string
  let pod: string
  let own: Api
  let foreign: Api

  before(async () => {
    cluster = await startCluster()
    ns = await makeNamespace(cluster.api, ['red'])
    await run(cluster.api, ns, vm('a', [{ name: 'red' }]))
    pod = (await cluster.api.list(podsPath(ns)))[0].metadata.name
    own = await cluster.as('system:node:node1', ['system:nodes'])
    foreign = await cluster.as('system:node:node2', ['system:nodes'])
  })
  after(() => cluster?.stop())

  const status = (api: Api, path: string, more: object = {}) =>
    api.send('PATCH', path, { body: { status: { note: 'x' }, ...more }, type: 'application/merge-patch+json' })

  it('sees the pods and instances of its node and no others', async () => {
    const own1 = '?fieldSelector=spec.nodeName%3Dnode1'
    assert.equal((await own.list(`/api/v1/pods${own1}`)).length, 1)
    assert.equal((await own.send('GET', podsPath(ns, pod))).code, 200)
    assert.equal((await own.send('GET', vmisPath(ns, 'a'))).code, 200)
    const refused = await own.send('GET', '/api/v1/pods')
    assert.equal(refused.code, 403)
    assert.equal(
      refused.json.message,
      'pods is forbidden: User "system:node:node1" cannot list resource "pods" in API group "" at the cluster scope: can only list/watch pods with spec.nodeName field selector',
    )
    for (const path of [podsPath(ns, pod), vmisPath(ns, 'a'), `/api/v1/pods${own1}`, `/api/v1/pods${own1}&watch=1`])
      assert.equal((await foreign.send('GET', path)).code, 403, path)
  })

  it('writes what is of its node, and nothing of another', async () => {
    const refusals = [
      [`${podsPath(ns, pod)}/status`, `pods "${pod}" is forbidden: node "node2" can only change pods`],
      [
        `${vmisPath(ns, 'a')}/status`,
        'virtualmachineinstances.kubevirt.io "a" is forbidden: node "node2" can only change',
      ],
      ['/api/v1/nodes/node1/status', 'nodes "node1" is forbidden: node "node2" is not allowed to modify node "node1"'],
    ] as const
    for (const [path, message] of refusals) {
      const { code, json } = await status(foreign, path)
      assert.equal(code, 403, path)
      assert.ok(json.message.startsWith(message), json.message)
    }
    assert.equal((await foreign.send('DELETE', podsPath(ns, pod))).code, 403)
    for (const [path] of refusals) assert.equal((await status(own, path)).code, 200, path)
  })

  it('changes no spec, makes no pod, reads no secret and grants nothing', async () => {
    const spec = { spec: { terminationGracePeriodSeconds: 1 } }
    for (const [method, path, body] of [
      ['PATCH', vmsPath(ns, 'a'), spec],
      ['PATCH', vmisPath(ns, 'a'), spec],
      ['DELETE', vmisPath(ns, 'a'), undefined],
      ['POST', podsPath(ns), { metadata: { name: 'p' }, spec: { nodeName: 'node1', containers: [] } }],
      ['GET', `/api/v1/namespaces/${ns}/secrets`, undefined],
      ['POST', nadsPath(ns), { metadata: { name: 'n' } }],
      ['POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', { metadata: { name: 'b' } }],
    ] as const) {
      const type = method === 'PATCH' ? 'application/merge-patch+json' : undefined
      const { code } = await own.send(method, path, { body, ...(type && { type }) })
      assert.equal(code, 403, `${method} ${path}`)
    }
  })

  it('reads networks, whose configurations it runs, and writes none', async () => {
    assert.ok((await own.list(nadsPath(ns))).length)
    for (const [method, path] of [
      ['POST', nadsPath(ns)],
      ['PATCH', nadsPath(ns, 'red')],
      ['DELETE', nadsPath(ns, 'red')],
    ] as const) {
      const body = method === 'DELETE' ? {} : { body: { metadata: { name: 'x' } } }
      const type = method === 'PATCH' ? { type: 'application/merge-patch+json' } : {}
      assert.equal((await own.send(method, path, { ...body, ...type })).code, 403, method)
    }
    for (const resource of ['configmaps', 'serviceaccounts', 'secrets', 'resourcequotas'])
      assert.equal((await own.send('GET', `/api/v1/namespaces/${ns}/${resource}`)).code, 403, resource)
  })

  it('speaks in Events for itself only, and about what is on its node', async () => {
    const about = { kind: 'Pod', namespace: ns, name: pod }
    const event = (host: string, over: object = {}) => ({
      metadata: { generateName: 'e' },
      involvedObject: about,
      reason: 'Test',
      source: { component: 'patchbay-agent', host },
      reportingInstance: host,
      ...over,
    })
    const path = `/api/v1/namespaces/${ns}/events`
    const made = await own.send('POST', path, { body: event('node1') })
    assert.equal(made.code, 201, made.text)
    for (const [api, body] of [
      [foreign, event('node2')],
      [own, event('node2')],
      [own, event('node1', { source: { component: 'patchbay-controller', host: 'node1' } })],
      [own, event('node1', { involvedObject: { kind: 'Secret', namespace: ns, name: 'x' } })],
    ] as const)
      assert.equal((await api.send('POST', path, { body })).code, 403)
    assert.equal((await foreign.send('DELETE', `${path}/${made.json.metadata.name}`)).code, 403)
    const change = { body: { count: 7 }, type: 'application/merge-patch+json' }
    assert.equal((await foreign.send('PATCH', `${path}/${made.json.metadata.name}`, change)).code, 403)
    assert.equal((await own.send('PATCH', `${path}/${made.json.metadata.name}`, change)).code, 200)
    const said = (await cluster.api.list(path)).filter((one) => one.source?.component === 'patchbay-agent')
    assert.ok(said.some((one) => one.reason === 'Started' && one.source.host === 'node1'))
  })

  it('attracts no instances: labels, taints and spec of its node are given to it', async () => {
    const node = '/api/v1/nodes/node1'
    for (const body of [
      { metadata: { labels: { zone: 'a' } } },
      { metadata: { labels: { 'node-restriction.kubernetes.io/team': 'a' } } },
      { metadata: { labels: { 'kubernetes.io/hostname': 'node2' } } },
      { spec: { taints: [{ key: 'a', effect: 'NoSchedule' }] } },
      { spec: { unschedulable: true } },
    ])
      assert.equal((await own.send('PATCH', node, { body, type: 'application/merge-patch+json' })).code, 403)
    await own.patch(node, { metadata: { labels: { 'kubernetes.io/arch': 'amd64' } } })
  })
})

describe('what the controllers rely on', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.stop())

  it('a label that says where an instance runs is changed by nobody else', async () => {
    const ns = await makeNamespace(cluster.api)
    await run(cluster.api, ns, vm('a'))
    const labels = (value: string | null) => ({ metadata: { labels: { 'kubevirt.io/nodeName': value } } })
    for (const value of ['elsewhere', null]) {
      const { code, json } = await cluster.api.send('PATCH', vmisPath(ns, 'a'), {
        body: labels(value),
        type: 'application/merge-patch+json',
      })
      assert.equal(code, 422)
      assert.match(
        json.message,
        /modification of the following reserved kubevirt.io\/ labels on a VMI object is prohibited/,
      )
    }
    await cluster.api.patch(vmisPath(ns, 'a'), { metadata: { labels: { mine: 'yes' } } })
  })

  it('each controller has a role of its own, and lives with it', async () => {
    const roles = (await cluster.api.list('/apis/rbac.authorization.k8s.io/v1/clusterroles')).map(
      ({ metadata }) => metadata.name,
    )
    for (const name of ['virtual-machine-controller', 'namespace-controller', 'generic-garbage-collector'])
      assert.ok(roles.includes(`system:controller:${name}`), name)
    assert.ok(roles.includes('system:node'))
    assert.deepEqual(cluster.errors, [])
  })
})
