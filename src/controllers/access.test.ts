import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Namespace } from '#apis/core/namespace.ts'
import { Secret } from '#apis/core/secret.ts'
import { ServiceAccount } from '#apis/core/serviceaccount.ts'
import { kinds } from '#apis/kinds.ts'
import type { Stored } from '#apis/meta/object.ts'
import { ClusterRoleBinding } from '#apis/rbac/binding.ts'
import { ClusterRole } from '#apis/rbac/role.ts'
import { silent } from '#base/log.ts'
import { eventually } from '#base/wait.ts'
import { openMemoryStore } from '#kit/machinery/store/memory.ts'
import { makeInformer } from '#machinery/client/informer.ts'
import { LocalClient } from '#machinery/rest/local-client.ts'
import { Registry } from '#machinery/rest/registry.ts'
import { serve } from '#machinery/rest/strategy.ts'
import { repairDefaultRoles, startClusterRoleController } from './cluster-roles.ts'
import { startServiceAccountController } from './service-account.ts'
import { startTokenSecretController } from './token-secret.ts'

function open(t: TestContext) {
  const store = openMemoryStore()
  const served = kinds.map((kind) => serve(kind))
  const client = new LocalClient(new Registry(store, served), { user: { name: 'test', groups: [] }, manager: 'test' })
  const stop = new AbortController()
  t.after(() => store.close())
  t.after(() => stop.abort())
  return { store, client, options: { log: silent, signal: stop.signal } }
}

const verbsOn = (role: ClusterRole | undefined, resource: string) =>
  (role?.rules ?? []).filter((rule) => rule.resources?.includes(resource)).flatMap((rule) => rule.verbs)

test('default roles are there, add up, and are repaired without a needless write', async (t) => {
  const { client, store } = open(t)
  await repairDefaultRoles(client)
  const get = (name: string) => client.get(ClusterRole, { name })
  assert.ok(verbsOn(await get('edit'), 'virtualmachines').includes('patch'))
  assert.deepEqual([...new Set(verbsOn(await get('view'), 'virtualmachines'))], ['get', 'list', 'watch'])
  assert.deepEqual(verbsOn(await get('view'), 'secrets'), [])
  assert.ok(verbsOn(await get('admin'), 'rolebindings').includes('create'))
  assert.ok(verbsOn(await get('admin'), 'secrets').includes('get'))
  for (const role of ['admin', 'edit', 'view']) {
    assert.ok(!verbsOn(await get(role), 'network-attachment-definitions').includes('create'))
    assert.ok(!verbsOn(await get(role), 'virtualmachineinstancemigrations').includes('create'))
  }
  const { revision } = store
  await repairDefaultRoles(client)
  assert.equal(store.revision, revision)

  await client.modify(ClusterRole, { name: 'cluster-admin' }, (role) => ({ ...role, rules: [] }))
  await client.modify(ClusterRoleBinding, { name: 'system:discovery' }, (one) => ({
    ...one,
    subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'jane' }],
  }))
  const off = { 'rbac.authorization.kubernetes.io/autoupdate': 'false' }
  await client.modify(ClusterRole, { name: 'kubevirt.io:migrate' }, (role) => ({
    ...role,
    metadata: { ...role.metadata, annotations: off },
    rules: [],
  }))
  await repairDefaultRoles(client)
  assert.equal((await get('cluster-admin'))?.rules?.length, 2)
  const binding = await client.get(ClusterRoleBinding, { name: 'system:discovery' })
  assert.deepEqual(
    binding?.subjects?.map((subject) => subject.name),
    ['jane', 'system:authenticated'],
  )
  assert.deepEqual((await get('kubevirt.io:migrate'))?.rules, [])
})

test('a role with the label of another becomes a part of it', async (t) => {
  const { client, options } = open(t)
  await repairDefaultRoles(client)
  const roles = makeInformer(client, ClusterRole, {}, options)
  await roles.synced
  const controller = startClusterRoleController({ client, roles, ...options })
  t.after(() => controller.stop())
  const labels = { 'rbac.authorization.k8s.io/aggregate-to-view': 'true' }
  const rules = [{ apiGroups: ['x.io'], resources: ['things'], verbs: ['get'] }]
  const header = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole' }
  await client.create(ClusterRole, { ...header, metadata: { name: 'things', labels }, rules })
  const has = (name: string) => async () =>
    verbsOn(await client.get(ClusterRole, { name }), 'things').includes('get') || undefined
  for (const name of ['view', 'edit', 'admin']) await eventually(name, has(name))
  await client.delete(ClusterRole, { name: 'things' })
  for (const name of ['view', 'edit', 'admin'])
    await eventually(name, async () => verbsOn(await client.get(ClusterRole, { name }), 'things').length === 0)
})

test('every namespace has a ServiceAccount, again after it was deleted', async (t) => {
  const { client, options } = open(t)
  const namespaces = makeInformer(client, Namespace, {}, options)
  const accounts = makeInformer(client, ServiceAccount, {}, options)
  await Promise.all([namespaces.synced, accounts.synced])
  const controller = startServiceAccountController({ client, namespaces, accounts, ...options })
  t.after(() => controller.stop())
  await client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'a' } })
  const key = { namespace: 'a', name: 'default' }
  const first = await eventually('the account', () => client.get(ServiceAccount, key))
  await client.delete(ServiceAccount, key)
  await eventually('another', async () => {
    const now = await client.get(ServiceAccount, key)
    return now && now.metadata.uid !== first.metadata.uid
  })
})

async function openTokenSecrets(t: TestContext) {
  const { client, options, store } = open(t)
  await client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'a' } })
  const accounts = makeInformer(client, ServiceAccount, {}, options)
  await accounts.synced
  const issued: string[] = []
  const issueFor = (account: Stored<ServiceAccount>, secret: Stored<Secret>) => {
    issued.push(`${account.metadata.name} ${account.metadata.uid} ${secret.metadata.uid}`)
    return `token ${issued.length}`
  }
  const source = { authority: () => 'the authority', issueFor }
  const start = () => startTokenSecretController({ client, accounts, source, ...options })
  const account = (name: string) => {
    const metadata = { namespace: 'a', name }
    return client.create(ServiceAccount, { apiVersion: 'v1', kind: 'ServiceAccount', metadata })
  }
  const secret = (name: string, of: string, more: Partial<Secret> = {}, uid?: string) => {
    const type = 'kubernetes.io/service-account-token'
    const annotations = {
      'kubernetes.io/service-account.name': of,
      ...(uid && { 'kubernetes.io/service-account.uid': uid }),
    }
    return client.create(Secret, {
      ...{ apiVersion: 'v1', kind: 'Secret', type, ...more },
      metadata: { namespace: 'a', name, annotations },
    })
  }
  const get = (name: string) => client.get(Secret, { namespace: 'a', name })
  const token = async (name: string) => (await get(name))?.data?.token
  return { client, store, accounts, issued, start, account, secret, get, token }
}
const base64 = (text: string) => Buffer.from(text).toString('base64')

test('a Secret for the token of a ServiceAccount is filled once, and again when the token is taken out', async (t) => {
  const { client, store, issued, start, account, secret, get, token } = await openTokenSecrets(t)
  const bot = await account('bot')
  const { metadata } = await secret('s', 'bot', { data: { mine: base64('x') } })
  await client.create(Secret, { apiVersion: 'v1', kind: 'Secret', metadata: { namespace: 'a', name: 'other' } })
  const first = start()
  t.after(() => first.stop())
  await eventually('it is filled', () => token('s'))
  const filled = (await get('s'))!
  assert.deepEqual(filled.data, {
    mine: base64('x'),
    namespace: base64('a'),
    token: base64('token 1'),
    'ca.crt': base64('the authority'),
  })
  assert.equal(filled.metadata.annotations?.['kubernetes.io/service-account.uid'], bot.metadata.uid)
  assert.deepEqual(issued, [`bot ${bot.metadata.uid} ${metadata.uid}`])
  await first.stop()
  const { revision } = store
  const second = start()
  t.after(() => second.stop())
  await secret('t', 'bot')
  await eventually('another is filled', () => token('t'))
  assert.equal(store.revision, revision + 2, 'the first is left as it is')
  await client.modify(Secret, { namespace: 'a', name: 's' }, (now) => ({ ...now, data: { mine: base64('x') } }))
  await eventually('a new token', async () => (await token('s')) === base64('token 3'))
  assert.equal((await get('other'))?.data, undefined)
})

test('a Secret for a token goes with its ServiceAccount, and when it names one that does not exist', async (t) => {
  const { client, start, account, secret, get, token } = await openTokenSecrets(t)
  await account('bot')
  await account('still')
  await secret('stale', 'bot', {}, 'another uid')
  await secret('before', 'nobody')
  const controller = start()
  t.after(() => controller.stop())
  await eventually('it is gone', async () => !(await get('before')) && !(await get('stale')))
  await secret('later', 'nobody')
  await secret('s', 'bot')
  await secret('stays', 'still')
  await eventually('it is gone', async () => !(await get('later')))
  await eventually('both are filled', async () => (await token('s')) && (await token('stays')))
  await client.delete(ServiceAccount, { namespace: 'a', name: 'bot' })
  await eventually('it went with its account', async () => !(await get('s')))
  assert.ok(await get('stays'))
})

test('a Secret whose ServiceAccount the cache does not know yet is kept', async (t) => {
  const { client, account, secret, get, token } = await openTokenSecrets(t)
  const { options } = open(t)
  const nothing = makeInformer(open(t).client, ServiceAccount, {}, options)
  await nothing.synced
  await account('bot')
  await secret('s', 'bot')
  const source = { authority: () => 'x', issueFor: () => 'y' }
  const controller = startTokenSecretController({ client, accounts: nothing, source, ...options })
  t.after(() => controller.stop())
  assert.equal(await eventually('it is filled', () => token('s')), base64('y'))
  assert.ok(await get('s'))
})
