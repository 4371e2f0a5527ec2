import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { ResourceQuota } from '#apis/core/resourcequota.ts'
import { eventually } from '#base/wait.ts'
import { openApi } from '#kit/server/memory-api.ts'
import { makeInformer } from '#machinery/client/informer.ts'
import { startResourceQuotaController } from './resource-quota.ts'

/** A quota of two VMs, and a count of what the namespace `ns` has of them, thousandths. */
async function open(t: TestContext) {
  const { client, options, stopping, store } = await openApi(t)
  const quotas = makeInformer(client, ResourceQuota, {}, options)
  await quotas.synced
  const counts = { vms: 1000n }
  let report: (namespace: string, hasRoom: boolean) => void = () => undefined
  const usage = {
    used: (namespace: string) => (namespace === 'ns' ? counts.vms : 7000n),
    onChange: (listener: typeof report) => {
      report = listener
    },
  }
  const controller = stopping(startResourceQuotaController({ client, quotas, usage, ...options }))
  const hard = { 'count/virtualmachines.kubevirt.io': '2' }
  const metadata = { namespace: 'ns', name: 'q' }
  const make = () => client.create(ResourceQuota, { apiVersion: 'v1', kind: 'ResourceQuota', metadata, spec: { hard } })
  const statusOf = async () => (await client.get(ResourceQuota, metadata))?.status
  const used = (wanted: string) =>
    eventually(`${wanted} used`, async () => (await statusOf())?.used?.['count/virtualmachines.kubevirt.io'] === wanted)
  return { client, store, controller, counts, make, used, statusOf, metadata, report: (ns: string) => report(ns, true) }
}

test('a quota says what it allows and what is used, again after either has changed', async (t) => {
  const { client, make, used, statusOf, counts, report, metadata } = await open(t)
  await make()
  await used('1')
  assert.deepEqual((await statusOf())?.hard, { 'count/virtualmachines.kubevirt.io': '2' })
  counts.vms = 2000n
  report('ns')
  await used('2')
  await client.modify(ResourceQuota, metadata, (one) => ({
    ...one,
    spec: { hard: { 'count/virtualmachines.kubevirt.io': '5' } },
  }))
  await eventually('its new limit', async () => (await statusOf())?.hard?.['count/virtualmachines.kubevirt.io'] === '5')
})

test('nothing is written for what another namespace uses, for the same again, or for a quota that is gone', async (t) => {
  const { client, store, controller, make, used, report, metadata } = await open(t)
  await make()
  await used('1')
  await controller.settled()
  const { revision } = store
  report('other')
  report('ns')
  await controller.settled()
  assert.equal(store.revision, revision)
  await client.delete(ResourceQuota, metadata)
  controller.enqueue('ns/q')
  await controller.settled()
  assert.equal(await client.get(ResourceQuota, metadata), undefined)
})
