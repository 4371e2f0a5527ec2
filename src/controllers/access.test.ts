import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Namespace } from '#apis/core/namespace.ts'
import { ServiceAccount } from '#apis/core/serviceaccount.ts'
import { kinds } from '#apis/kinds.ts'
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
