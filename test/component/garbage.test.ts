import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type Any, nadsPath, vmisPath, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { Kubectl, noKubectl } from './kubectl.ts'
import { makeNamespace, nad, run, vm } from './manifests.ts'

const owner = ({ metadata, kind, apiVersion }: Any, more: Any = {}) => ({
  apiVersion,
  kind,
  name: metadata.name,
  uid: metadata.uid,
  ...more,
})

describe('what an object owned, when it is deleted', { skip: noKubectl }, () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.stop())

  /** NADs `top` and `other`, and `low` that `top` owns (and `other` too when shared). */
  async function family({ shared = false, finalizers = [] as string[] } = {}) {
    const ns = await makeNamespace(cluster.api)
    const make = (name: string, metadata: Any = {}) =>
      cluster.api.create(nadsPath(ns), { ...nad(name), metadata: { name, ...metadata } })
    const [top, other] = [await make('top'), await make('other')]
    const owners = [owner(top, { blockOwnerDeletion: true }), ...(shared ? [owner(other)] : [])]
    await make('low', { ownerReferences: owners, finalizers })
    return { k: new Kubectl(cluster.dir, ns), ns, path: (name: string) => nadsPath(ns, name) }
  }
  const isGone = (path: string) => cluster.api.until(`${path} is gone`, path, (one) => one === undefined)

  it('goes after it by default', async () => {
    const { k, path } = await family()
    assert.match(await k.ok('delete net-attach-def top'), /"top" deleted$/m)
    await isGone(path('low'))
    assert.ok(await cluster.api.get(path('other')))
  })

  it('goes before it in the foreground', async () => {
    const { k, path } = await family({ finalizers: ['x.io/hold'] })
    await k.ok('delete net-attach-def top --cascade=foreground --wait=false')
    await cluster.api.until('low is going', path('low'), (one) => one.metadata.deletionTimestamp)
    const top = await cluster.api.get(path('top'))
    assert.deepEqual(top.metadata.finalizers, ['foregroundDeletion'])
    await cluster.api.patch(path('low'), { metadata: { finalizers: null } })
    await isGone(path('low'))
    await isGone(path('top'))
  })

  it('stays and forgets it when orphaned', async () => {
    const { k, path } = await family()
    assert.match(await k.ok('delete net-attach-def top --cascade=orphan'), /"top" deleted$/m)
    assert.equal((await cluster.api.get(path('low'))).metadata.ownerReferences, undefined)
  })

  it('stays while another owner does', async () => {
    const { k, path } = await family({ shared: true })
    await k.ok('delete net-attach-def top')
    const has = (one: Any) => one.metadata.ownerReferences.map(({ name }: Any) => name).join() === 'other'
    await cluster.api.until('low forgets top', path('low'), has)
    await k.ok('delete net-attach-def other --cascade=foreground')
    await isGone(path('low'))
  })

  it('goes at once when its owner never was, and stays when nobody knows what that is', async () => {
    const { ns, path } = await family()
    const make = (name: string, over: Any) =>
      cluster.api.create(nadsPath(ns), {
        ...nad(name),
        metadata: { name, ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'no', uid: 'no', ...over }] },
      })
    await make('strange', { apiVersion: 'x.io/v1', kind: 'X' })
    await make('lost', {})
    await isGone(path('lost'))
    assert.ok(await cluster.api.get(path('strange')))
  })

  it('runs on when a VM is deleted without its instance, and ends with it in the foreground', async () => {
    const ns = await makeNamespace(cluster.api)
    const k = new Kubectl(cluster.dir, ns)
    const vmi = await run(cluster.api, ns, vm('a'))
    assert.equal(await k.ok('delete vm a --cascade=orphan'), 'virtualmachine.kubevirt.io "a" deleted\n')
    const left = await cluster.api.get(vmisPath(ns, 'a'))
    assert.deepEqual(
      [left.metadata.uid, left.metadata.ownerReferences, left.metadata.deletionTimestamp, left.status.phase],
      [vmi.metadata.uid, undefined, undefined, 'Running'],
    )
    await run(cluster.api, ns, vm('b'))
    assert.equal(await k.ok('delete vm b --cascade=foreground'), 'virtualmachine.kubevirt.io "b" deleted\n')
    assert.equal(await cluster.api.get(vmisPath(ns, 'b')), undefined)
    assert.equal(await cluster.api.get(vmsPath(ns, 'b')), undefined)
  })

  it('is refused when asked for in a way that does not exist', async () => {
    const { path } = await family()
    const { code, json } = await cluster.api.send('DELETE', `${path('top')}?propagationPolicy=Sideways`)
    assert.equal(code, 400)
    assert.match(json.message, /^propagationPolicy: Unsupported value: "Sideways": supported values: "Background"/)
    assert.deepEqual(cluster.errors, [])
  })

  it('leaves events alone: one that is deleted goes, whatever is to become of what it owns', async () => {
    const ns = await makeNamespace(cluster.api)
    const path = `/api/v1/namespaces/${ns}/events`
    for (const propagationPolicy of ['Orphan', 'Foreground', 'Background']) {
      await cluster.api.create(path, { metadata: { name: 'e' }, involvedObject: { namespace: ns }, reason: 'Test' })
      const { code } = await cluster.api.send('DELETE', `${path}/e?propagationPolicy=${propagationPolicy}`)
      assert.equal(code, 200)
      assert.equal(await cluster.api.get(`${path}/e`), undefined, propagationPolicy)
    }
  })

  it('finishes the deletion of roles and bindings, though it holds none of their rules', async () => {
    const ns = await makeNamespace(cluster.api)
    const root = `/apis/rbac.authorization.k8s.io/v1/namespaces/${ns}`
    const rules = [{ apiGroups: ['example.com'], resources: ['things'], verbs: ['get'] }]
    await cluster.api.create(`${root}/roles`, { metadata: { name: 'r' }, rules })
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'r' }
    await cluster.api.create(`${root}/rolebindings`, { metadata: { name: 'b' }, roleRef, subjects: [] })
    for (const path of [`${root}/rolebindings/b`, `${root}/roles/r`]) {
      await cluster.api.delete(`${path}?propagationPolicy=Foreground`)
      await cluster.api.until('gone', path, (one) => one === undefined)
    }
  })
})
