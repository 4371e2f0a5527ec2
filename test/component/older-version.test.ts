import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Any } from './api.ts'
import { vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { makeNamespace, vm } from './manifests.ts'

const version = 'kubevirt.io/v1alpha3'

describe('kubevirt.io/v1alpha3', () => {
  let cluster: Cluster
  let ns: string
  before(async () => {
    cluster = await startCluster()
    ns = await makeNamespace(cluster.api)
  })
  after(() => cluster?.stop())

  const old = (name = '') => `/apis/${version}/namespaces/${ns}/virtualmachines${name && `/${name}`}`

  it('shows the same objects as v1, to every verb, and warns of its end', async () => {
    const body = { ...vm('a', [], { runStrategy: 'Halted' }), apiVersion: version }
    const made = await cluster.api.send('POST', old(), { body })
    assert.equal(made.code, 201, made.text)
    assert.match(String(made.headers.warning), /kubevirt.io\/v1alpha3 is now deprecated/)
    const { apiVersion, metadata, spec } = await cluster.api.get(vmsPath(ns, 'a'))
    assert.deepEqual([apiVersion, metadata.uid, spec], ['kubevirt.io/v1', made.json.metadata.uid, made.json.spec])
    const list = await cluster.api.get(old())
    assert.deepEqual([list.kind, list.apiVersion, list.items[0].apiVersion], ['VirtualMachineList', version, version])
    const run = { spec: { runStrategy: 'Manual' } }
    assert.equal((await cluster.api.patch(old('a'), run)).apiVersion, version)
    const config = { apiVersion: version, kind: 'VirtualMachine', metadata: { name: 'a', labels: { x: 'y' } } }
    const applied = await cluster.api.send('PATCH', `${old('a')}?fieldManager=me`, {
      body: config,
      type: 'application/apply-patch+yaml',
    })
    assert.deepEqual([applied.code, applied.json.metadata.labels.x], [200, 'y'], applied.text)
    const now = await cluster.api.get(vmsPath(ns, 'a'))
    assert.deepEqual([now.spec.runStrategy, now.metadata.labels.x], ['Manual', 'y'])
    const watching = await cluster.api.watch(`${old()}?watch=1`)
    assert.equal((await watching.next())?.object.apiVersion, version)
    watching.close()
    await cluster.api.delete(old('a'))
    await cluster.api.until('it is gone', vmsPath(ns, 'a'), (one) => one === undefined)
  })

  it('has the rules of v1, and is not the preferred version', async () => {
    const body: Any = { ...vm('bad'), apiVersion: version }
    body.spec.template.spec.domain.devices.interfaces.push({ name: 'default', bridge: {} })
    const refused = await cluster.api.send('POST', old(), { body })
    assert.equal(refused.code, 422)
    assert.match(refused.json.message, /admission webhook "virtualmachine-validator.kubevirt.io" denied/)
    const group = await cluster.api.get('/apis/kubevirt.io')
    assert.deepEqual(group.preferredVersion.version, 'v1')
    assert.deepEqual(
      group.versions.map((one: Any) => one.version),
      ['v1', 'v1alpha3'],
    )
  })
})
