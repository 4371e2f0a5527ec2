import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { load } from 'js-yaml'
import { type Any, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { makeNamespace, vm } from './manifests.ts'

const as = (form: string) => `application/json;as=${form};v=v1;g=meta.k8s.io`

describe('a client that accepts', () => {
  let cluster: Cluster
  let ns: string
  let maps: string
  before(async () => {
    cluster = await startCluster()
    ns = await makeNamespace(cluster.api)
    maps = `/api/v1/namespaces/${ns}/configmaps`
    // More of them than a list has in one part.
    for (let i = 0; i < 130; i++)
      await cluster.api.create(maps, { metadata: { name: `m${i}` }, data: { mac: '52:54:00:12:34:56', no: 'no' } })
    await cluster.api.create(vmsPath(ns), vm('a', [], { runStrategy: 'Halted' }))
  })
  after(() => cluster?.stop())

  const get = (path: string, accept: string) => cluster.api.send('GET', path, { headers: { accept } })

  it('metadata alone gets it of one object, of lists and of what is written', async () => {
    const accept = as('PartialObjectMetadata')
    const whole = await cluster.api.get(`${maps}/m1`)
    const meant = { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: whole.metadata }
    assert.deepEqual((await get(`${maps}/m1`, accept)).json, meant)
    const list = (await get(maps, as('PartialObjectMetadataList'))).json
    assert.deepEqual(
      [list.kind, list.apiVersion, list.items.length],
      ['PartialObjectMetadataList', 'meta.k8s.io/v1', 130],
    )
    assert.deepEqual(
      list.items.find((one: Any) => one.metadata.name === 'm1'),
      meant,
    )
    const body = { metadata: { name: 'partly' }, data: { a: 'b' } }
    const made = await cluster.api.send('POST', maps, { body, headers: { accept } })
    assert.deepEqual([made.code, made.json.kind, made.json.data], [201, 'PartialObjectMetadata', undefined])
    await cluster.api.delete(`${maps}/partly`)
  })

  it('metadata alone gets it in a watch, bookmarks too', async () => {
    const query = 'watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=1'
    const watching = await cluster.api.watch(`${maps}?${query}&fieldSelector=metadata.name%3Dm1`, {
      accept: as('PartialObjectMetadata'),
    })
    const [added, bookmark] = [await watching.next(), await watching.next()]
    watching.close()
    assert.deepEqual([added?.type, bookmark?.type], ['ADDED', 'BOOKMARK'])
    for (const one of [added, bookmark]) assert.equal(one?.object.kind, 'PartialObjectMetadata')
    assert.deepEqual(Object.keys(added?.object).toSorted(), ['apiVersion', 'kind', 'metadata'])
  })

  it('YAML gets what JSON says', async () => {
    for (const path of [maps, `${maps}/m1`, vmsPath(ns), vmsPath(ns, 'a'), `/api/v1/namespaces/${ns}/secrets`]) {
      const { code, headers, text } = await get(path, 'application/yaml')
      assert.deepEqual([code, headers['content-type']], [200, 'application/yaml'])
      const { resourceVersion: _, ...meta } = (load(text) as Any).metadata
      const { resourceVersion: _r, ...want } = (await get(path, 'application/json')).json.metadata
      assert.deepEqual(meta, want)
      assert.deepEqual((load(text) as Any).items, (await get(path, 'application/json')).json.items)
      // A long list is written as JSON, which YAML contains.
      assert.equal(/^[{[]/.test(text), path === maps, path)
    }
  })

  it('a table beside something else gets what it likes best', async () => {
    assert.equal((await get(maps, `${as('Table')},application/json`)).json.kind, 'Table')
    assert.equal((await get(maps, `application/json,${as('Table')}`)).json.kind, 'ConfigMapList')
    const old = await get(maps, 'application/json;as=Table;v=v1beta1;g=meta.k8s.io')
    assert.deepEqual(
      [old.json.apiVersion, old.json.rows[0].object.apiVersion],
      ['meta.k8s.io/v1beta1', 'meta.k8s.io/v1beta1'],
    )
  })

  it('nothing that there is gets 406, and nothing is written for it', async () => {
    const headers = { accept: 'text/csv' }
    const body = { metadata: { name: 'unseen' } }
    for (const answer of [
      await get(maps, 'text/csv'),
      await get(`${maps}?watch=1`, 'application/yaml'),
      await get(`${maps}/m1`, as('PartialObjectMetadataList')),
      await cluster.api.send('POST', maps, { body, headers }),
    ]) {
      // A Status is YAML for who accepts that, which contains JSON.
      const status = load(answer.text) as Any
      assert.deepEqual([answer.code, status.reason], [406, 'NotAcceptable'])
      assert.match(status.message, /^only the following media types are accepted: application\/json/)
    }
    assert.equal(await cluster.api.get(`${maps}/unseen`), undefined)
  })
})
