import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { DataVolume } from '#apis/cdi/datavolume.ts'
import { Node } from '#apis/core/node.ts'
import { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import { Pod } from '#apis/core/pod.ts'
import { KubeVirt } from '#apis/kubevirt/kubevirt.ts'
import { VirtualMachineInstanceMigration as Migration, type MigrationState } from '#apis/kubevirt/migration.ts'
import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { apiVersionOf } from '#apis/meta/object.ts'
import { eventually } from '#base/wait.ts'
import { noTypes } from '#core/instancetype/matcher.ts'
import { migrationFinalizer } from '#core/migration/admission.ts'
import { workloadUpdateAnnotation } from '#core/migration/required.ts'
import { launcherPod, sandboxFinalizer } from '#core/vm/launcher.ts'
import { openApi } from '#kit/server/memory-api.ts'
import { makeInformer } from '#machinery/client/informer.ts'
import { startAutoMigrationController } from './auto-migration.ts'
import { instanceKeyOf } from './context.ts'
import { movedKeyOf, startMigrationController } from './migration.ts'
import { Scheduler } from './scheduler.ts'

/** An instance `x` that runs in a pod on node1, with node2 beside it. What agents do is done by the tests. */
async function open(t: TestContext) {
  const api = await openApi(t)
  const { client, options, setStatus, recorder } = api
  const byVmi = { byVmi: (pod: Parameters<typeof instanceKeyOf>[0]) => [instanceKeyOf(pod)] }
  const nodes = makeInformer(client, Node, {}, options)
  const pods = makeInformer(client, Pod, {}, { ...options, indexes: byVmi })
  const migrations = makeInformer(
    client,
    Migration,
    {},
    { ...options, indexes: { byVmi: (one: Parameters<typeof movedKeyOf>[0]) => [movedKeyOf(one)] } },
  )
  const context = {
    ...{ client, nodes, pods, migrations, recorder, ...options },
    vms: makeInformer(client, VirtualMachine, {}, options),
    vmis: makeInformer(client, VirtualMachineInstance, {}, { ...options, indexes: { byClaim: () => [] } }),
    claims: makeInformer(client, PersistentVolumeClaim, {}, options),
    dataVolumes: makeInformer(client, DataVolume, {}, options),
    kubevirts: makeInformer(client, KubeVirt, {}, options),
    types: { find: () => noTypes, onChange: () => undefined },
    scheduler: new Scheduler(nodes, pods),
    takeUser: () => 1000,
    onRoom: () => undefined,
  }
  for (const name of ['node1', 'node2']) {
    await client.create(Node, { apiVersion: 'v1', kind: 'Node', metadata: { name } })
    await setStatus(Node, name, { conditions: [{ type: 'Ready', status: 'True' }] })
  }
  const vmi = await client.create(VirtualMachineInstance, {
    apiVersion: apiVersionOf(VirtualMachineInstance),
    kind: VirtualMachineInstance.kind,
    metadata: { namespace: 'ns', name: 'x', labels: { 'kubevirt.io/nodeName': 'node1' } },
    spec: { domain: { devices: {} } },
  })
  const source = await client.create(Pod, launcherPod(vmi, { nodeName: 'node1', user: 4242 }))
  await setStatus(VirtualMachineInstance, 'x', {
    ...{ phase: 'Running', nodeName: 'node1', activePods: { [source.metadata.uid]: 'node1' } },
    conditions: [{ type: 'LiveMigratable', status: 'True' }],
  })
  await Promise.all([pods, nodes, migrations, context.vmis, context.kubevirts].map((one) => one.synced))
  const migrate = (name = 'm') =>
    client.create(Migration, {
      ...{ apiVersion: apiVersionOf(Migration), kind: Migration.kind, spec: { vmiName: 'x' } },
      metadata: { namespace: 'ns', name, finalizers: [migrationFinalizer] },
    })
  const vmiNow = async () => (await client.get(VirtualMachineInstance, { namespace: 'ns', name: 'x' }))!
  const podNow = (name: string) => client.get(Pod, { namespace: 'ns', name })
  const phase = (wanted: string, name = 'm') =>
    eventually(`${name} is ${wanted}`, async () => {
      const one = await client.get(Migration, { namespace: 'ns', name })
      return one?.status?.phase === wanted && one
    })
  const targetPod = () =>
    eventually('the target has a pod', async () =>
      (await client.list(Pod)).items.find(({ metadata }) => metadata.uid !== source.metadata.uid),
    )
  /** What the agents, or the controller by what they publish, write into the instance. */
  const publish = async (change: Partial<MigrationState>) => {
    const { status } = await vmiNow()
    await setStatus(VirtualMachineInstance, 'x', {
      ...status,
      migrationState: { ...status?.migrationState, ...change },
    })
  }
  /** Until the instance is bound to its migration. */
  const bound = async () => {
    const pod = await targetPod()
    await setStatus(Pod, pod.metadata.name, { conditions: [{ type: 'Ready', status: 'True' }] })
    await eventually('it is bound', async () => (await vmiNow()).status?.migrationState)
    return pod
  }
  const start = () => api.stopping(startMigrationController(context))
  return { ...{ ...api, context, start, migrate, vmiNow, podNow, phase, targetPod, publish, bound, source } }
}

test('a migration goes through its phases, and the instance is where its guest is', async (t) => {
  const { start, migrate, phase, bound, vmiNow, publish, source, events, client } = await open(t)
  start()
  await migrate()
  const pod = await bound()
  assert.deepEqual([pod.spec.nodeName, pod.spec.securityContext?.runAsUser], ['node2', 4242])
  const { metadata, status } = await vmiNow()
  assert.equal(metadata.labels?.['kubevirt.io/migrationTargetNodeName'], 'node2')
  assert.deepEqual(status?.activePods, { [source.metadata.uid]: 'node1', [pod.metadata.uid]: 'node2' })
  await phase('PreparingTarget')
  await publish({ targetNodeAddress: '127.0.0.1' })
  await phase('TargetReady')
  await publish({ startTimestamp: '2026-01-01T00:00:00Z' })
  await phase('Running')
  await publish({ completed: true })
  const { status: ended } = await phase('Succeeded')
  assert.deepEqual(
    ended?.phaseTransitionTimestamps?.map((one) => one.phase).join(),
    'Pending,Scheduling,Scheduled,PreparingTarget,TargetReady,Running,Succeeded',
  )
  const after = await vmiNow()
  assert.deepEqual(after.metadata.labels, { 'kubevirt.io/nodeName': 'node2' })
  assert.deepEqual([after.status?.nodeName, after.status?.activePods], ['node2', { [pod.metadata.uid]: 'node2' }])
  assert.ok(events.some((event) => event === 'm SuccessfulMigration: Source node reported migration succeeded'))
  await eventually(
    'nothing holds it any more',
    async () => !(await client.get(Migration, { namespace: 'ns', name: 'm' }))?.metadata.finalizers?.length,
  )
})

test('a migration that failed leaves the instance where it was, and its pod is deleted', async (t) => {
  const { start, migrate, phase, bound, vmiNow, podNow, publish, source, events } = await open(t)
  start()
  await migrate()
  const pod = await bound()
  await publish({ completed: true, failed: true, failureReason: 'the connection broke' })
  await phase('Failed')
  const { metadata, status } = await vmiNow()
  assert.deepEqual(metadata.labels, { 'kubevirt.io/nodeName': 'node1' })
  assert.deepEqual([status?.nodeName, status?.activePods], ['node1', { [source.metadata.uid]: 'node1' }])
  assert.ok(events.includes('m FailedMigration: Migration failed: the connection broke'), events.join('\n'))
  assert.equal((await podNow(source.metadata.name))?.metadata.deletionTimestamp, undefined)
  // The pod of a bound migration is released; the controller of instances deletes it.
  assert.ok(await podNow(pod.metadata.name))
})

test('a migration that is deleted before it is bound is canceled, and its pod goes', async (t) => {
  const { start, migrate, targetPod, client, podNow, source } = await open(t)
  start()
  const { metadata } = await migrate()
  const pod = await targetPod()
  await client.delete(Migration, metadata)
  await eventually('it is gone', async () => (await client.get(Migration, metadata)) === undefined)
  const going = await eventually('its pod is going', async () => {
    const one = await podNow(pod.metadata.name)
    return one?.metadata.deletionTimestamp === undefined ? undefined : one
  })
  assert.deepEqual(going.metadata.finalizers, [sandboxFinalizer])
  assert.equal((await podNow(source.metadata.name))?.metadata.deletionTimestamp, undefined)
})

test('one that is deleted later asks the agents to abort, once, and waits for them', async (t) => {
  const { start, migrate, bound, client, vmiNow, events, publish } = await open(t)
  const controller = start()
  const { metadata } = await migrate()
  await bound()
  await client.delete(Migration, metadata)
  await eventually('it is requested', async () => (await vmiNow()).status?.migrationState?.abortRequested)
  for (let i = 0; i < 3; i++) {
    controller.enqueue('ns/m')
    await controller.settled()
  }
  const going = await client.get(Migration, metadata)
  assert.deepEqual(
    going?.status?.conditions?.map(({ type }) => type),
    ['migrationAbortRequested'],
  )
  const requested = events.filter((event) => event.includes('SuccessfulAbortMigration'))
  assert.deepEqual([requested.length, going?.status?.phase === 'Failed'], [1, false])
  await publish({ completed: true, failed: true, failureReason: 'Live migration aborted' })
  await eventually('it is gone', async () => (await client.get(Migration, metadata)) === undefined)
  assert.match(events.at(-1) ?? '', /^m FailedMigration: .*Live migration aborted$/)
})

test('the oldest finished migrations of an instance are deleted, beyond five', async (t) => {
  const { start, migrate, client, setStatus } = await open(t)
  t.mock.timers.enable({ apis: ['Date'], now: Date.parse('2026-01-01T00:00:00Z') })
  for (let i = 0; i < 7; i++) {
    await migrate(`m${i}`)
    await setStatus(Migration, `m${i}`, { phase: i % 2 ? 'Failed' : 'Succeeded' })
    t.mock.timers.tick(1000)
  }
  start()
  const left = await eventually('two are gone', async () => {
    const names = (await client.list(Migration)).items.map(({ metadata }) => metadata.name)
    return names.length <= 5 && names
  })
  assert.deepEqual(left.toSorted(), ['m2', 'm3', 'm4', 'm5', 'm6'])
})

const required = (lastTransitionTime: string) =>
  ({ type: 'MigrationRequired', status: 'True', reason: 'x', lastTransitionTime }) as const

for (const [what, methods, isMigratable, expected] of [
  ['is migrated', ['LiveMigrate'], true, 'migration'],
  ['is evicted when it cannot be migrated', ['LiveMigrate', 'Evict'], false, 'evicted'],
  ['is left to its owner when the cluster allows neither', [], true, 'left'],
] as const)
  test(`an instance whose interfaces need a migration ${what}`, async (t) => {
    const { client, context, setStatus, stopping, vmiNow } = await open(t)
    const migratable = { type: 'LiveMigratable', status: isMigratable ? 'True' : 'False' } as const
    const { status } = await vmiNow()
    await client.modify(VirtualMachineInstance, { namespace: 'ns', name: 'x' }, (vmi) => ({
      ...vmi,
      metadata: { ...vmi.metadata, finalizers: ['x.io/hold'] },
      spec: {
        domain: { devices: { interfaces: [{ name: 'red', sriov: {} }] } },
        networks: [{ name: 'red', multus: { networkName: 'red' } }],
      },
    }))
    await setStatus(VirtualMachineInstance, 'x', {
      ...status,
      conditions: [migratable, required('2026-01-01T00:00:00Z')],
    })
    await client.create(KubeVirt, {
      ...{ apiVersion: apiVersionOf(KubeVirt), kind: KubeVirt.kind, metadata: { namespace: 'ns', name: 'kubevirt' } },
      spec: {
        configuration: { network: { attachment: 'Migration' } },
        workloadUpdateStrategy: { workloadUpdateMethods: [...methods] },
      },
    })
    await eventually('the caches have it', async () => {
      const cached = context.vmis.get({ namespace: 'ns', name: 'x' })
      return (
        context.kubevirts.list().length &&
        cached?.metadata.resourceVersion === (await vmiNow()).metadata.resourceVersion
      )
    })
    const controller = stopping(startAutoMigrationController(context))
    controller.enqueue('ns/x')
    await controller.settled()
    const { items } = await client.list(Migration)
    const isEvicted = (await vmiNow()).metadata.deletionTimestamp !== undefined
    assert.equal(items.length ? 'migration' : isEvicted ? 'evicted' : 'left', expected)
    if (expected !== 'migration') return
    const [made] = items
    assert.deepEqual([made?.spec.vmiName, made?.metadata.annotations?.[workloadUpdateAnnotation]], ['x', ''])
    await eventually('the cache has it', async () => context.migrations.list().length)
    controller.enqueue('ns/x')
    await controller.settled()
    assert.equal((await client.list(Migration)).items.length, 1, 'one at a time')
  })
