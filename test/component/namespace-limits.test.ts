import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type Any, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { makeNamespace, running, vm } from './manifests.ts'

const mapsPath = (ns: string, name = '') => `/api/v1/namespaces/${ns}/configmaps${name && `/${name}`}`
const map = (name: string, bytes = 0) => ({ metadata: { name }, data: { text: 'x'.repeat(bytes) } })

describe('a namespace without quotas', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster({ namespaceLimits: { objects: 30, bytes: 200_000 } })
  })
  after(() => cluster?.stop())
  const make = (ns: string, body: Any) => cluster.api.send('POST', mapsPath(ns), { body })

  it('takes so many objects and no more, and one for each that is deleted', async () => {
    const ns = await makeNamespace(cluster.api)
    const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => make(ns, map(`m${i}`))))
    const made = answers.filter(({ code }) => code === 201)
    const refused = answers.find(({ code }) => code === 403)!
    // The namespace's own ServiceAccount may come before, between or after them.
    assert.ok(made.length === 29 || made.length === 30, String(made.length))
    assert.equal(
      refused.json.message.replace(/m\d+/, 'NAME'),
      `configmaps "NAME" is forbidden: namespace ${ns} is full: it has 30 objects, and at most 30 (--namespace-objects) may be there; delete what is not needed, or start the server with a larger limit`,
    )
    await cluster.api.until('it has its ServiceAccount', `/api/v1/namespaces/${ns}/serviceaccounts/default`, Boolean)
    for (const { json } of made.slice(0, 3)) await cluster.api.delete(mapsPath(ns, json.metadata.name))
    assert.equal((await make(ns, map('a'))).code, 201)
    // Others have not noticed.
    assert.equal((await make(await makeNamespace(cluster.api), map('a'))).code, 201)
  })

  it('takes so many bytes and no more; what is small may change, and anything may shrink and go', async () => {
    const ns = await makeNamespace(cluster.api)
    assert.equal((await make(ns, map('large', 150_000))).code, 201)
    const { code, json } = await make(ns, map('x', 60_000))
    assert.equal(code, 403)
    assert.match(json.message, /is full: it has 15\d{4} bytes of objects, and at most 200000 \(--namespace-bytes\)/)
    assert.equal((await make(ns, map('small', 10))).code, 201)
    const patch = (name: string, bytes: number) =>
      cluster.api.send('PATCH', mapsPath(ns, name), {
        body: { data: { text: 'x'.repeat(bytes) } },
        type: 'application/merge-patch+json',
      })
    assert.equal((await patch('small', 100_000)).code, 403)
    assert.equal((await patch('small', 1000)).code, 200)
    assert.equal((await patch('large', 140_000)).code, 200)
    await cluster.api.delete(mapsPath(ns, 'large'))
    assert.equal((await patch('small', 100_000)).code, 200)
  })

  it('that is full still runs, stops and deletes what is there', async () => {
    const ns = await makeNamespace(cluster.api)
    await cluster.api.create(vmsPath(ns), vm('a', [], { runStrategy: 'Halted' }))
    for (let i = 0; (await make(ns, map(`m${i}`))).code === 201; i++);
    await cluster.api.patch(vmsPath(ns, 'a'), { spec: { runStrategy: 'Always' } })
    await running(cluster.api, ns, 'a')
    await cluster.api.patch(vmsPath(ns, 'a'), { spec: { runStrategy: 'Halted' } })
    await cluster.api.until('stopped', vmsPath(ns, 'a'), (one) => one.status.printableStatus === 'Stopped')
    await cluster.api.delete(`/api/v1/namespaces/${ns}`)
    await cluster.api.until('gone', `/api/v1/namespaces/${ns}`, (one) => one === undefined)
    assert.deepEqual(cluster.errors, [])
  })

  it('of the system’s own has no limit', async () => {
    for (let i = 0; i < 40; i++) assert.equal((await make('kube-system', map(`m${i}`))).code, 201)
  })
})
