import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Namespace } from '#apis/core/namespace.ts'
import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { apiVersionOf } from '#apis/meta/object.ts'
import { silent } from '#base/log.ts'
import { eventually } from '#base/wait.ts'
import { vmFinalizer } from '#controllers/vm.ts'
import { defaultNamespaceLimits } from '#core/quota/limits.ts'
import { defaultUsers } from '#core/sandbox/users.ts'
import { openMemoryStore } from '#kit/machinery/store/memory.ts'
import { startApi } from './api.ts'
import { startControllers } from './controllers.ts'

const vm = (name: string): VirtualMachine => ({
  apiVersion: apiVersionOf(VirtualMachine),
  kind: 'VirtualMachine',
  metadata: { namespace: 'default', name },
  spec: { runStrategy: 'Halted', template: { spec: { domain: { devices: {} } } } },
})

test('controllers pass over all that is there when they start, and over nothing after they were stopped', async (t) => {
  const store = openMemoryStore()
  const stop = new AbortController()
  t.after(() => store.close())
  t.after(() => stop.abort())
  const options = { namespaceLimits: defaultNamespaceLimits, anyNamespaceNetworks: false, log: silent }
  const api = await startApi(store, options, stop.signal)
  const shared = { ...api, tokens: { authority: () => 'authority', issueFor: () => 'token' } }
  const { own } = api.clients
  const passedOver = async (name: string) => {
    const { metadata } = (await own.get(VirtualMachine, { namespace: 'default', name }))!
    return metadata.finalizers?.includes(vmFinalizer) ?? false
  }
  await own.create(VirtualMachine, vm('a'))
  await own.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'going' } })
  await own.delete(Namespace, { name: 'going' })
  await eventually('the copies have them', () => api.objects.vms.list().length === 1)
  const first = await startControllers(api.clients, shared, { guestUsers: defaultUsers, log: silent }, stop.signal)
  await eventually('the VM was passed over', () => passedOver('a'))
  await eventually('the namespace is gone', async () => (await own.get(Namespace, { name: 'going' })) === undefined)
  await first.stop()
  await own.create(VirtualMachine, vm('b'))
  await eventually('the copies have it', () => api.objects.vms.list().length === 2)
  assert.equal(await passedOver('b'), false)
  const second = await startControllers(api.clients, shared, { guestUsers: defaultUsers, log: silent }, stop.signal)
  await eventually('the next ones pass over it', () => passedOver('b'))
  await second.stop()
})
