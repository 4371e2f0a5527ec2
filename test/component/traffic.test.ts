import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type Any, vmisPath, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { linkStates, makeNamespace, run, statePatch, vm } from './manifests.ts'

const group = '/apis/subresources.kubevirt.io/v1'
const pathIn = (ns: string, name = 'a') => `${group}/namespaces/${ns}/virtualmachineinstances/${name}/traffic`

describe('the traffic of an instance', () => {
  let cluster: Cluster
  let ns: string
  before(async () => {
    cluster = await startCluster()
    ns = await makeNamespace(cluster.api, ['red'])
    await run(cluster.api, ns, vm('a', [{ name: 'red' }]))
  })
  after(async () => {
    await cluster?.stop()
    assert.deepEqual(cluster.errors, [])
  })
  const counted = async (): Promise<Record<string, Any>> => {
    const { interfaces } = await cluster.api.get(pathIn(ns))
    return Object.fromEntries(interfaces.map(({ name, ...counts }: Any) => [name, counts]))
  }

  it('is what has gone over each of its interfaces, as its guest sees it', async () => {
    const { interfaces, observedAt, ...rest } = await cluster.api.get(pathIn(ns))
    assert.deepEqual(rest, {
      kind: 'VirtualMachineInstanceTraffic',
      apiVersion: 'subresources.kubevirt.io/v1',
      metadata: { name: 'a', namespace: ns },
    })
    assert.ok(Math.abs(Date.parse(observedAt) - Date.now()) < 60_000)
    assert.match(observedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    const [first, second] = interfaces
    assert.deepEqual(first, {
      ...{ name: 'default', rxBytes: 100, txBytes: 400, rxPackets: 1, txPackets: 2 },
      ...{ rxErrors: 0, txErrors: 0, rxDropped: 0, txDropped: 0 },
    })
    assert.equal(second.name, 'red')
    const { red } = await counted()
    assert.ok(red.rxBytes > second.rxBytes && red.txPackets > second.txPackets)
  })

  it('does not grow while the cable is pulled', async () => {
    await cluster.api.patch(vmsPath(ns, 'a'), statePatch(['up', 'down']))
    await cluster.api.until('red is down', vmisPath(ns, 'a'), (vmi) => linkStates(vmi)[1] === 'red down')
    const before = await counted()
    const now = await counted()
    assert.equal(now.red.rxBytes, before.red.rxBytes)
    assert.ok(now.default.rxBytes > before.default.rxBytes)
  })

  it('is refused where there is no guest: in KubeVirt’s words', async () => {
    assert.equal((await cluster.api.send('GET', pathIn(ns, 'b'))).code, 404)
    await cluster.api.create(vmisPath(ns), {
      ...{ apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachineInstance', metadata: { name: 'waits' } },
      spec: { ...vm('waits').spec.template.spec, nodeSelector: { no: 'such' } },
    })
    const { code, json } = await cluster.api.send('GET', pathIn(ns, 'waits'))
    assert.deepEqual([code, json.reason], [409, 'Conflict'])
    assert.match(json.message, /^Operation cannot be fulfilled on .*"waits": VMI is not running$/)
    assert.equal((await cluster.api.send('PUT', pathIn(ns), { body: {} })).code, 405)
  })

  it('is for those who may get it: viewers, editors and administrators of the namespace', async () => {
    const ann = await cluster.as('ann', [])
    assert.match(
      (await ann.send('GET', pathIn(ns))).json.message,
      /cannot get resource "virtualmachineinstances\/traffic"/,
    )
    for (const role of ['view', 'edit', 'admin', 'kubevirt.io:view']) {
      const user = role.replace(/\W/g, '-')
      await cluster.api.create(`/apis/rbac.authorization.k8s.io/v1/namespaces/${ns}/rolebindings`, {
        metadata: { name: user },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
        subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: user }],
      })
      assert.equal((await (await cluster.as(user, [])).send('GET', pathIn(ns))).code, 200, role)
    }
  })

  it('is found in discovery and described in OpenAPI', async () => {
    const { resources } = await cluster.api.get(group)
    const found = resources.find(({ name }: Any) => name === 'virtualmachineinstances/traffic')
    assert.deepEqual(found.verbs, ['get'])
    const document = await cluster.api.get(`/openapi/v3${group}`)
    const at = `${group}/namespaces/{namespace}/virtualmachineinstances/{name}/traffic`
    const content = document.paths[at].get.responses['200'].content['application/json']
    const { properties } = document.components.schemas[content.schema.$ref.split('/').at(-1)]
    assert.equal(properties.interfaces.items.properties.rxBytes.type, 'integer')
    const paths = (await cluster.api.get('/')).paths
    assert.ok(paths.includes(`/openapi/v3${group}`))
  })

  it('comes as a client wants it', async () => {
    const { headers, text } = await cluster.api.send('GET', pathIn(ns), { headers: { accept: 'application/yaml' } })
    assert.equal(headers['content-type'], 'application/yaml')
    assert.match(text, /^kind: VirtualMachineInstanceTraffic$/m)
  })
})
