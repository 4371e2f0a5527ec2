import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { Secret } from '#apis/core/secret.ts'
import { ServiceAccount } from '#apis/core/serviceaccount.ts'
import { silent } from '#base/log.ts'
import { defaultNamespaceLimits } from '#core/quota/limits.ts'
import { openMemoryStore } from '#kit/machinery/store/memory.ts'
import { accountTokens } from './account-tokens.ts'
import { startApi } from './api.ts'

test('a token ends in the moment the deletion of its Secret or ServiceAccount is acknowledged, finalizers or not', async (t) => {
  const store = openMemoryStore()
  const stop = new AbortController()
  t.after(() => store.close())
  t.after(() => stop.abort())
  const options = { namespaceLimits: defaultNamespaceLimits, anyNamespaceNetworks: false, log: silent }
  const { own } = (await startApi(store, options, stop.signal)).clients
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const tokens = accountTokens(own, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())
  for (const finalizers of [[], ['example.com/stay']])
    for (const kind of [Secret, ServiceAccount]) {
      const name = `${kind.plural}-${finalizers.length}`
      const metadata = { namespace: 'default', name, finalizers }
      const account = await own.create(ServiceAccount, { apiVersion: 'v1', kind: 'ServiceAccount', metadata })
      const type = 'kubernetes.io/service-account-token'
      const annotations = { 'kubernetes.io/service-account.name': name }
      const empty = { apiVersion: 'v1', kind: 'Secret', type, metadata: { ...metadata, annotations } }
      const { metadata: secret } = await own.create(Secret, empty)
      const token = tokens.issueFor(account.metadata, secret)
      assert.equal(await tokens.userOf(token), undefined, 'the Secret does not hold it yet')
      const data = { token: Buffer.from(token).toString('base64') }
      await own.modify(Secret, secret, (now) => ({ ...now, data }))
      assert.equal((await tokens.userOf(token))?.name, `system:serviceaccount:default:${name}`)
      await own.delete(kind, secret)
      assert.equal(await tokens.userOf(token), undefined, name)
    }
})
