import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Lease } from '#apis/coordination/lease.ts'
import { Namespace } from '#apis/core/namespace.ts'
import { Node } from '#apis/core/node.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { apiVersionOf } from '#apis/meta/object.ts'
import { eventually } from '#base/wait.ts'
import { leaseNamespace } from '#core/access/node.ts'
import { findCondition } from '#core/vm/conditions.ts'
import { openApi } from '#kit/server/memory-api.ts'
import { makeInformer } from '#machinery/client/informer.ts'
import { startNodeLifecycleController } from './node-lifecycle.ts'

const ready = { type: 'Ready', status: 'True' } as const

/** A node with a Lease of a minute, by a clock that only a test moves. */
async function open(t: TestContext) {
  let nowMs = 0
  t.mock.method(performance, 'now', () => nowMs)
  const api = await openApi(t)
  const { client, options, events, recorder, setStatus } = api
  const nodes = makeInformer(client, Node, {}, options)
  const leases = makeInformer(client, Lease, { namespace: leaseNamespace }, options)
  const vmis = makeInformer(client, VirtualMachineInstance, {}, options)
  await client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: leaseNamespace } })
  await client.create(Node, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' } })
  await setStatus(Node, 'n', { conditions: [ready] })
  const makeVmi = async (name: string, node: string, phase: 'Running' | 'Scheduling' | 'Succeeded') => {
    await client.create(VirtualMachineInstance, {
      apiVersion: apiVersionOf(VirtualMachineInstance),
      kind: VirtualMachineInstance.kind,
      metadata: { namespace: 'ns', name, labels: { 'kubevirt.io/nodeName': node } },
      spec: { domain: { devices: {} } },
    })
    await setStatus(VirtualMachineInstance, name, { phase, conditions: [ready] })
  }
  const key = { namespace: leaseNamespace, name: 'n' }
  await client.create(Lease, {
    ...{ apiVersion: apiVersionOf(Lease), kind: Lease.kind, metadata: key },
    spec: { leaseDurationSeconds: 60, renewTime: '2026-01-01T00:00:00.000000Z' },
  })
  const renew = async (renewTime: string) => {
    await client.modify(Lease, key, (lease) => ({ ...lease, spec: { ...lease.spec, renewTime } }))
    await eventually('the controller sees it', async () => leases.get(key)?.spec?.renewTime === renewTime)
  }
  const start = async () => {
    await Promise.all([nodes, leases, vmis].map((one) => one.synced))
    const controller = startNodeLifecycleController({ client, nodes, leases, vmis, recorder, ...options })
    const pass = () => {
      controller.enqueue('n')
      return controller.settled()
    }
    await api.stopping(controller).settled()
    await pass()
    return {
      pass,
      /** Lets seconds go by. */
      after: (seconds: number) => {
        nowMs += seconds * 1000
        return pass()
      },
    }
  }
  const nodeReady = async () => findCondition((await client.get(Node, { name: 'n' }))?.status?.conditions, 'Ready')
  const vmiReady = async (name: string) => {
    const vmi = await client.get(VirtualMachineInstance, { namespace: 'ns', name })
    return findCondition(vmi?.status?.conditions, 'Ready')?.reason
  }
  return { ...{ client, events, makeVmi, renew, start, nodeReady, vmiReady, nodes }, store: api.store }
}

test('a node whose Lease expires is unknown, and the guests that its agent ran are not ready', async (t) => {
  const { makeVmi, start, nodeReady, vmiReady, events, store } = await open(t)
  await makeVmi('runs', 'n', 'Running')
  await makeVmi('ended', 'n', 'Succeeded')
  await makeVmi('early', 'n', 'Scheduling')
  await makeVmi('beside', 'another', 'Running')
  const { pass, after } = await start()
  await after(59)
  assert.equal((await nodeReady())?.status, 'True')
  await after(1)
  assert.equal((await nodeReady())?.status, 'Unknown')
  assert.equal(await vmiReady('runs'), 'NodeNotReady')
  for (const name of ['ended', 'early', 'beside']) assert.equal(await vmiReady(name), undefined, name)
  assert.deepEqual(events, ['n NodeNotReady: Node n status is now: NodeNotReady'])
  const { revision } = store
  await pass()
  assert.deepEqual([store.revision, events.length], [revision, 1], 'it is reported once')
})

test('a Lease that is renewed keeps its node ready, whatever the clock of the node says', async (t) => {
  const { start, renew, nodeReady } = await open(t)
  const { after, pass } = await start()
  for (const time of ['2099-01-01T00:00:00.000000Z', '1970-01-01T00:00:00.000000Z']) {
    await after(50)
    await renew(time)
    await pass()
    assert.equal((await nodeReady())?.status, 'True', time)
  }
  await after(60)
  assert.equal((await nodeReady())?.status, 'Unknown')
})

test('a node without a Lease gets the time that Kubernetes gives it, again when it comes back', async (t) => {
  const { client, start, nodeReady, nodes } = await open(t)
  await client.delete(Lease, { namespace: leaseNamespace, name: 'n' })
  const { after } = await start()
  await after(39)
  assert.equal((await nodeReady())?.status, 'True')
  await after(1)
  assert.equal((await nodeReady())?.status, 'Unknown')
  await client.delete(Node, { name: 'n' })
  await eventually('it is seen to be gone', async () => !nodes.get({ name: 'n' }))
  await after(0)
  await client.create(Node, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' } })
  await eventually('it is back', async () => nodes.get({ name: 'n' }))
  await after(0)
  assert.equal(await nodeReady(), undefined)
})
