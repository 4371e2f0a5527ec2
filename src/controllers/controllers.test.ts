import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { DataVolume } from '#apis/cdi/datavolume.ts'
import { Event } from '#apis/core/event.ts'
import { Namespace } from '#apis/core/namespace.ts'
import { Node } from '#apis/core/node.ts'
import { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import { Pod } from '#apis/core/pod.ts'
import { kinds } from '#apis/kinds.ts'
import { KubeVirt } from '#apis/kubevirt/kubevirt.ts'
import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { apiVersionOf } from '#apis/meta/object.ts'
import { silent } from '#base/log.ts'
import { eventually } from '#base/wait.ts'
import { noTypes } from '#core/instancetype/matcher.ts'
import { findCondition } from '#core/vm/conditions.ts'
import { openMemoryStore } from '#kit/machinery/store/memory.ts'
import { makeInformer } from '#machinery/client/informer.ts'
import { LocalClient } from '#machinery/rest/local-client.ts'
import { Registry } from '#machinery/rest/registry.ts'
import { serve } from '#machinery/rest/strategy.ts'
import { instanceKeyOf } from './context.ts'
import { namespaceFinalizer, startNamespaceController } from './namespace.ts'
import { Scheduler } from './scheduler.ts'
import { startVmController, vmFinalizer } from './vm.ts'
import { startVmiController } from './vmi.ts'

const ready = [{ type: 'Ready', status: 'True' }] as const
const key = { namespace: 'default', name: 'a' }

/** The controllers over a store in memory, with one ready node and no agent. */
async function open(t: TestContext) {
  const store = openMemoryStore()
  const client = new LocalClient(
    new Registry(
      store,
      kinds.map((kind) => serve(kind)),
    ),
    { user: { name: 'test', groups: [] }, manager: 'test' },
  )
  const stop = new AbortController()
  const { signal } = stop
  const options = { log: silent, signal }
  const told: string[] = []
  const pods = makeInformer(client, Pod, {}, { ...options, indexes: { byVmi: (pod) => [instanceKeyOf(pod)] } })
  const nodes = makeInformer(client, Node, {}, options)
  const context = {
    client,
    vms: makeInformer(client, VirtualMachine, {}, options),
    vmis: makeInformer(client, VirtualMachineInstance, {}, { ...options, indexes: { byClaim: () => [] } }),
    claims: makeInformer(client, PersistentVolumeClaim, {}, options),
    dataVolumes: makeInformer(client, DataVolume, {}, options),
    pods,
    nodes,
    scheduler: new Scheduler(nodes, pods),
    kubevirts: makeInformer(client, KubeVirt, {}, options),
    types: { find: () => noTypes, onChange: () => undefined },
    onRoom: () => undefined,
    takeUser: () => 1_900_000_000,
    recorder: (_about: unknown, type: string, reason: string) => void told.push(`${type} ${reason}`),
    log: silent,
    signal,
  }
  const namespaces = makeInformer(client, Namespace, {}, options)
  const make = (name: string) => ({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, finalizers: [namespaceFinalizer] },
  })
  for (const name of ['default', 'going']) await client.create(Namespace, make(name))
  await client.create(Node, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'node1' } })
  await client.modify(Node, { name: 'node1' }, (node) => ({ ...node, status: { conditions: ready } }), {
    subresource: 'status',
  })
  const controllers = [
    startVmController(context),
    startVmiController(context),
    startNamespaceController({ client, namespaces, log: silent, signal }),
  ]
  t.after(async () => {
    stop.abort()
    await Promise.all(controllers.map((controller) => controller.stop()))
    await store.close()
  })
  const [vms] = controllers
  return { store, client, context, told, enqueue: () => vms!.enqueue('default/a'), settled: () => vms!.settled() }
}

const vm = (runStrategy: 'Always' | 'Halted' = 'Always'): VirtualMachine => ({
  apiVersion: apiVersionOf(VirtualMachine),
  kind: 'VirtualMachine',
  metadata: key,
  spec: { runStrategy, template: { spec: { domain: { devices: {} } } } },
})

test('a VM is given a finalizer, one instance and one pod, and its owner is told once', async (t) => {
  const { client, told } = await open(t)
  await client.create(VirtualMachine, vm())
  const vmi = await eventually('the instance is being scheduled', async () => {
    const found = await client.get(VirtualMachineInstance, key)
    return found?.status?.phase === 'Scheduling' && found
  })
  const { items: pods } = await client.list(Pod)
  assert.deepEqual(
    pods.map((pod) => [pod.spec.nodeName, pod.metadata.ownerReferences?.[0]?.uid]),
    [['node1', vmi.metadata.uid]],
  )
  assert.deepEqual((await client.get(VirtualMachine, key))?.metadata.finalizers, [vmFinalizer])
  assert.deepEqual(told.toSorted(), ['Normal SuccessfulCreate', 'Normal SuccessfulCreate'])
})

test('a pass over what is as it should be writes nothing', async (t) => {
  const { store, client, enqueue, settled } = await open(t)
  await client.create(VirtualMachine, vm())
  await eventually('all has been said', async () => {
    const [made, vmi] = [await client.get(VirtualMachine, key), await client.get(VirtualMachineInstance, key)]
    const reason = made?.status?.conditions?.find(({ type }) => type === 'Ready')?.reason
    return vmi?.status?.phase === 'Scheduling' && reason === 'GuestNotRunning' && made?.status?.created
  })
  await settled()
  const { revision } = store
  for (let i = 0; i < 20; i++) {
    enqueue()
    await settled()
  }
  assert.equal(store.revision, revision)
})

test('an instance that is somebody else’s is left alone, and the VM is not started over it', async (t) => {
  const { client, enqueue, settled } = await open(t)
  const foreign = await client.create(VirtualMachineInstance, {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: key,
    spec: { domain: { devices: {} } },
  })
  await client.create(VirtualMachine, vm('Halted'))
  await eventually(
    'the VM’s status is told',
    async () => (await client.get(VirtualMachine, key))?.status?.printableStatus === 'Stopped',
  )
  enqueue()
  await settled()
  const after = await client.get(VirtualMachineInstance, key)
  assert.deepEqual([after?.metadata.uid, after?.metadata.deletionTimestamp], [foreign.metadata.uid, undefined])
})

test('an instance whose pod vanished after the hand-over has failed', async (t) => {
  const { client } = await open(t)
  await client.create(VirtualMachine, { ...vm(), spec: { ...vm().spec, runStrategy: 'Once' } })
  const pod = await eventually('the pod is made', async () => (await client.list(Pod)).items[0])
  await client.modify(Pod, pod.metadata, (one) => ({ ...one, status: { conditions: ready } }), {
    subresource: 'status',
  })
  await eventually(
    'the instance is handed over',
    async () => (await client.get(VirtualMachineInstance, key))?.status?.phase === 'Scheduled',
  )
  await client.delete(Pod, pod.metadata)
  await client.modify(Pod, pod.metadata, (one) => ({ ...one, metadata: { ...one.metadata, finalizers: [] } }))
  const failed = await eventually('the instance failed', async () => {
    const found = await client.get(VirtualMachineInstance, key)
    return found?.status?.phase === 'Failed' && found
  })
  assert.equal(failed.status?.reason, 'PodGone')
})

test('a deleted namespace is emptied, also of what is held, before it goes', async (t) => {
  const { client } = await open(t)
  const metadata = { namespace: 'going', name: 'held' }
  await client.create(Event, {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { ...metadata, finalizers: ['x/y'] },
    involvedObject: {},
  })
  await client.create(VirtualMachine, { ...vm('Halted'), metadata: { namespace: 'going', name: 'a' } })
  await client.delete(Namespace, { name: 'going' })
  await eventually('the VM is gone', async () => !(await client.get(VirtualMachine, { namespace: 'going', name: 'a' })))
  const waiting = await eventually('it says that it is going', async () => {
    const found = await client.get(Namespace, { name: 'going' })
    return found?.status?.phase === 'Terminating' && found
  })
  assert.deepEqual(waiting.metadata.finalizers, [namespaceFinalizer])
  await client.modify(Event, metadata, (one) => ({ ...one, metadata: { ...one.metadata, finalizers: [] } }))
  await eventually('the namespace is gone', async () => !(await client.get(Namespace, { name: 'going' })))
  assert.ok(await client.get(Namespace, { name: 'default' }))
})

test('an orphan is adopted by the VM that is to run it, and what belongs to another controller is said to be in the way', async (t) => {
  const { client } = await open(t)
  const create = (name: string, ownerReferences: readonly object[]) =>
    client.create(VirtualMachineInstance, {
      apiVersion: 'kubevirt.io/v1',
      kind: 'VirtualMachineInstance',
      metadata: { ...key, name, ownerReferences } as typeof key,
      spec: { domain: { devices: {} } },
    })
  const orphan = await create(key.name, [])
  const made = await client.create(VirtualMachine, vm('Always'))
  await eventually('the VM has its instance', async () => {
    const now = await client.get(VirtualMachineInstance, key)
    assert.equal(now?.metadata.uid, orphan.metadata.uid)
    return now?.metadata.ownerReferences?.some(({ uid, controller }) => uid === made.metadata.uid && controller)
  })
  const set = {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstanceReplicaSet',
    name: 's',
    uid: 'u',
    controller: true,
  }
  await create('b', [set])
  await client.create(VirtualMachine, { ...vm('Always'), metadata: { ...key, name: 'b' } })
  await eventually('the VM says what is in its way', async () => {
    const { status } = (await client.get(VirtualMachine, { ...key, name: 'b' })) ?? {}
    return /belongs to VirtualMachineInstanceReplicaSet "s"/.test(
      findCondition(status?.conditions, 'Failure')?.message ?? '',
    )
  })
})
