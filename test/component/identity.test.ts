import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { makeNamespace } from './manifests.ts'

describe('the server', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.stop())

  it('lets those with the right count as another with uid and extra values', async () => {
    const self = '/apis/authentication.k8s.io/v1/selfsubjectreviews'
    const headers = { 'impersonate-user': 'eve', 'impersonate-uid': 'u-7', 'impersonate-extra-scopes': 'view' }
    const { code, json } = await cluster.api.send('POST', self, { body: {}, headers })
    assert.equal(code, 201)
    const { username, uid, extra } = json.status.userInfo
    assert.deepEqual([username, uid, extra], ['eve', 'u-7', { scopes: ['view'] }])
    const stranger = await cluster.as('mallory', [])
    assert.equal((await stranger.send('POST', self, { body: {}, headers })).code, 403)
  })

  it('says whose a token is to those who may ask, for the audiences they name', async () => {
    const ns = await makeNamespace(cluster.api)
    await cluster.api.until('default', `/api/v1/namespaces/${ns}/serviceaccounts/default`, Boolean)
    const tokenFor = async (audiences: readonly string[]): Promise<string> => {
      const path = `/api/v1/namespaces/${ns}/serviceaccounts/default/token`
      return (await cluster.api.create(path, { spec: { audiences } })).status.token
    }
    const reviews = '/apis/authentication.k8s.io/v1/tokenreviews'
    const review = async (token: string, audiences?: readonly string[]) =>
      (await cluster.api.create(reviews, { spec: { token, ...(audiences && { audiences }) } })).status
    const own = await tokenFor([])
    const { authenticated, user, audiences } = await review(own)
    assert.deepEqual([authenticated, user.username], [true, `system:serviceaccount:${ns}:default`])
    assert.deepEqual(user.groups, ['system:serviceaccounts', `system:serviceaccounts:${ns}`, 'system:authenticated'])
    assert.ok(user.uid && audiences.length === 1)
    const vault = await tokenFor(['vault', 'store'])
    assert.deepEqual((await review(vault, ['vault', 'other', 'store'])).audiences, ['vault', 'store'])
    const none = { authenticated: false, user: {}, error: 'invalid bearer token' }
    for (const status of [
      await review(vault),
      await review(own, ['vault']),
      await review('x.y.z'),
      await review('nonsense'),
    ])
      assert.deepEqual(status, none)
    assert.equal((await cluster.api.send('POST', reviews, { body: { spec: {} } })).code, 400)
    const many = { spec: { token: own, audiences: Array.from({ length: 17 }, (_, i) => `a${i}`) } }
    assert.equal((await cluster.api.send('POST', reviews, { body: many })).code, 422)
    const proxy = await cluster.as('proxy', [])
    const asked = () => proxy.send('POST', reviews, { body: { spec: { token: own } } })
    assert.equal((await asked()).code, 403)
    await cluster.api.create('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      metadata: { name: 'proxy' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'system:auth-delegator' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'proxy' }],
    })
    await eventually('the right to ask', async () => (await asked()).code === 201)
  })
})
