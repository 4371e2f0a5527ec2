import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type Any, nadsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { Kubectl, noKubectl } from './kubectl.ts'
import { makeNamespace } from './manifests.ts'

describe('reading with stock kubectl', { skip: noKubectl }, () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.stop())

  it('lists in chunks, as a table and as objects', async () => {
    const names = ['a', 'b', 'c', 'd', 'e']
    const ns = await makeNamespace(cluster.api, names)
    const k = new Kubectl(cluster.dir, ns)
    const table = await k.ok('get net-attach-def --chunk-size=2 --no-headers')
    assert.deepEqual(table.match(/^\w+/gm), names)
    const listed = JSON.parse(await k.ok('get net-attach-def --chunk-size=2 -o json'))
    assert.deepEqual(
      listed.items.map((one: { metadata: { name: string } }) => one.metadata.name),
      names,
    )
    const page = await cluster.api.get(`${nadsPath(ns)}?limit=2`)
    assert.equal(page.metadata.remainingItemCount, 3)
    await cluster.store.compact(cluster.store.revision)
    await cluster.api.create(nadsPath(ns), { metadata: { name: 'f' } })
    await cluster.store.compact(cluster.store.revision)
    const old = await cluster.api.send('GET', `${nadsPath(ns)}?limit=2&continue=${page.metadata.continue}`)
    assert.deepEqual([old.code, old.json.reason], [410, 'Expired'])
    const { items } = await cluster.api.get(`${nadsPath(ns)}?continue=${old.json.metadata.continue}`)
    assert.equal(items.length, 4)
  })

  it('gives long lists whole, over both versions of HTTP', async () => {
    const names = Array.from({ length: 250 }, (_, i) => `n${String(i).padStart(3, '0')}`)
    const ns = await makeNamespace(cluster.api, names)
    const namesOf = ({ items }: Any) => items.map((one: Any) => one.metadata.name)
    for (const limit of [100, 101, 200, 201, 250, 0]) {
      const list = await cluster.api.get(`${nadsPath(ns)}?limit=${limit}`)
      assert.deepEqual(namesOf(list), limit ? names.slice(0, limit) : names, `of ${limit}`)
      assert.equal(list.kind, 'NetworkAttachmentDefinitionList')
      assert.equal(list.metadata.remainingItemCount, limit && limit < 250 ? 250 - limit : undefined)
    }
    const json = await new Kubectl(cluster.dir, ns).ok('get net-attach-def --chunk-size=0 -o json')
    assert.deepEqual(namesOf(JSON.parse(json)), names)
  })

  it('discovers everything in two requests', async () => {
    const type = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList'
    const headers = { accept: `${type},application/json` }
    const { json, headers: answered } = await cluster.api.send('GET', '/apis', { headers })
    assert.match(answered['content-type'] ?? '', /g="?apidiscovery.k8s.io"?; ?v="?v2"?; ?as="?APIGroupDiscoveryList/)
    assert.deepEqual([json.kind, json.apiVersion], ['APIGroupDiscoveryList', 'apidiscovery.k8s.io/v2'])
    const resource = json.items
      .find((one: Any) => one.metadata.name === 'kubevirt.io')
      .versions[0].resources.find((one: Any) => one.resource === 'virtualmachines')
    assert.deepEqual(resource.subresources[0].subresource, 'status')
    assert.equal((await cluster.api.send('GET', '/apis')).json.kind, 'APIGroupList')
    const k = new Kubectl(cluster.dir, 'default')
    const { out, err } = await k.run(['api-resources', '-v=6', '--cached=false'])
    const paths = [...err.matchAll(/GET https:\/\/[^/]+(\/[^ ?"]*)/g)].map(([, path]) => path)
    assert.deepEqual([...new Set(paths)].sort(), ['/api', '/apis'])
    assert.match(out, /^virtualmachines +vm,vms +kubevirt.io\/v1 +true +VirtualMachine$/m)
  })
})
