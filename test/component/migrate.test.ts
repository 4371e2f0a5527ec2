import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { type Any, podsPath, vmisPath, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { condition, makeNamespace, run, vm } from './manifests.ts'

const kubevirt = '/apis/kubevirt.io/v1/namespaces/kubevirt/kubevirts/kubevirt'
const vmimsPath = (ns: string, name = '') =>
  `/apis/kubevirt.io/v1/namespaces/${ns}/virtualmachineinstancemigrations${name && `/${name}`}`

describe('migrations of running VMs', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.stop())

  const start = async (name = 'a', nics: readonly Any[] = [], ns?: string): Promise<string> => {
    const space = ns ?? (await makeNamespace(cluster.api, ['red', 'blue']))
    await run(cluster.api, space, vm(name, nics))
    return space
  }
  const configure = async (spec: Any) => {
    const { code, json } = await cluster.api.send('PATCH', kubevirt, {
      body: { spec },
      type: 'application/merge-patch+json',
    })
    assert.equal(code, 200, JSON.stringify(json))
  }
  const migrate = (ns: string, name: string, vmi = 'a', metadata: Any = {}) =>
    cluster.api.send('POST', vmimsPath(ns), {
      body: {
        apiVersion: 'kubevirt.io/v1',
        kind: 'VirtualMachineInstanceMigration',
        metadata: { name, ...metadata },
        spec: { vmiName: vmi },
      },
    })
  const over = (ns: string, name: string) =>
    cluster.api.until(`${name} is over`, vmimsPath(ns, name), (one) =>
      ['Succeeded', 'Failed'].includes(one.status?.phase),
    )
  const phaseIs = (ns: string, name: string, phase: string) =>
    cluster.api.until(`${name} is ${phase}`, vmimsPath(ns, name), (one) => one.status?.phase === phase)
  const pods = (ns: string) => cluster.api.list(podsPath(ns))
  const onePod = (ns: string) => eventually('one pod is left', async () => (await pods(ns)).length === 1)

  it('go through every phase; the instance is in another pod then, and the old one is gone', async () => {
    const ns = await start()
    const [old] = await pods(ns)
    assert.equal((await migrate(ns, 'm')).code, 201)
    const { status } = await over(ns, 'm')
    assert.deepEqual(
      status.phaseTransitionTimestamps.map((one: Any) => one.phase),
      ['Pending', 'Scheduling', 'Scheduled', 'PreparingTarget', 'TargetReady', 'Running', 'Succeeded'],
    )
    await onePod(ns)
    const [now] = await pods(ns)
    assert.notEqual(now.metadata.uid, old.metadata.uid)
    const vmi = await cluster.api.get(vmisPath(ns, 'a'))
    assert.deepEqual(vmi.status.activePods, { [now.metadata.uid]: 'node1' })
    assert.equal(vmi.status.migrationState.targetPod, now.metadata.name)
    assert.equal(vmi.metadata.labels['kubevirt.io/migrationTargetNodeName'], undefined)
    assert.equal(condition(vmi, 'Ready')?.status, 'True')
  })

  it('that are deleted are called off; the guest stays, and another one may follow', async () => {
    const ns = await start('stall')
    const [old] = await pods(ns)
    await migrate(ns, 'm', 'stall')
    await phaseIs(ns, 'm', 'Running')
    assert.equal((await migrate(ns, 'n', 'stall')).code, 422)
    const vm = await cluster.api.get(vmsPath(ns, 'stall'))
    assert.equal(vm.status.printableStatus, 'Migrating')
    await cluster.api.send('DELETE', vmimsPath(ns, 'm'))
    await eventually('it is gone', async () => (await cluster.api.send('GET', vmimsPath(ns, 'm'))).code === 404)
    await onePod(ns)
    assert.equal((await pods(ns))[0].metadata.uid, old.metadata.uid)
    const { migrationState } = (await cluster.api.get(vmisPath(ns, 'stall'))).status
    assert.deepEqual([migrationState.failed, migrationState.abortStatus], [true, 'Succeeded'])
  })

  it('that are taken away by force are called off too', async () => {
    const ns = await start('stall')
    await migrate(ns, 'm', 'stall')
    await phaseIs(ns, 'm', 'Running')
    await cluster.api.send('DELETE', vmimsPath(ns, 'm'))
    await cluster.api.send('PATCH', vmimsPath(ns, 'm'), {
      body: { metadata: { finalizers: null } },
      type: 'application/merge-patch+json',
    })
    const vmi = await cluster.api.until(
      'it has ended',
      vmisPath(ns, 'stall'),
      (one) => one.status?.migrationState?.completed,
    )
    assert.deepEqual([vmi.status.phase, vmi.status.migrationState.failed], ['Running', true])
    await onePod(ns)
  })

  it('that fail leave the guest where it is, with why', async () => {
    const ns = await start('drop')
    await migrate(ns, 'm', 'drop')
    const { status } = await over(ns, 'm')
    assert.equal(status.phase, 'Failed')
    assert.match(status.migrationState.failureReason, /The connection was lost/)
    await onePod(ns)
    assert.equal((await cluster.api.get(vmisPath(ns, 'drop'))).status.phase, 'Running')
  })

  it('are as many at a time as the cluster allows; the others wait', async () => {
    await configure({ configuration: { migrations: { parallelOutboundMigrationsPerNode: 1 } } })
    const ns = await start('stall')
    await start('b', [], ns)
    await migrate(ns, 'm', 'stall')
    await phaseIs(ns, 'm', 'Running')
    await migrate(ns, 'n', 'b')
    await phaseIs(ns, 'n', 'Pending')
    await cluster.api.send('DELETE', vmimsPath(ns, 'm'))
    assert.equal((await over(ns, 'n')).status.phase, 'Succeeded')
    await configure({ configuration: { migrations: null } })
  })

  it('are never more at a time than may be, though many are made at once and some are called off', async () => {
    await configure({ configuration: { migrations: { parallelOutboundMigrationsPerNode: 2 } } })
    const names = Array.from({ length: 8 }, (_, i) => `stall${i}`)
    const ns = await start(names[0]!)
    for (const name of names.slice(1)) await start(name, [], ns)
    let most = 0
    /** Those that are carried out, by the pods that were made for them. */
    const going = async () => {
      const all = await cluster.api.list(vmimsPath(ns))
      const open = all.filter(({ status }) => status?.phase !== 'Succeeded' && status?.phase !== 'Failed')
      const pods = await cluster.api.list(podsPath(ns))
      const uids = new Set(pods.map(({ metadata }) => metadata.labels?.['kubevirt.io/migrationJobUID']))
      const found = open.filter(({ metadata }) => uids.has(metadata.uid))
      most = Math.max(most, found.length)
      return found
    }
    const twoRun = () =>
      eventually(
        'two are sent',
        async () => {
          const running = (await going()).filter(({ status }) => status?.phase === 'Running')
          return running.length === 2 && running.map(({ metadata }) => metadata.name as string)
        },
        { everyMs: 5 },
      )
    await Promise.all(names.map((name) => migrate(ns, `m-${name}`, name)))
    for (let round = 0; round < 3; round++) {
      const ended = await twoRun()
      await Promise.all(ended.map((name) => cluster.api.send('DELETE', `${vmimsPath(ns)}/${name}`)))
      await eventually(
        'they are over',
        async () => (await going()).every(({ metadata }) => !ended.includes(metadata.name)),
        { everyMs: 5 },
      )
    }
    assert.equal(most, 2)
    await cluster.api.send('DELETE', vmimsPath(ns))
    await eventually('all are over', async () => (await going()).length === 0)
    await configure({ configuration: { migrations: null } })
  })

  it('that are over are kept, five of each instance', async () => {
    const ns = await start()
    for (const name of ['1', '2', '3', '4', '5', '6', '7']) {
      assert.equal((await migrate(ns, `m${name}`)).code, 201)
      await over(ns, `m${name}`)
    }
    await onePod(ns)
    await eventually('five are left', async () => (await cluster.api.list(vmimsPath(ns))).length === 5)
    assert.deepEqual((await cluster.api.list(vmimsPath(ns))).map((one) => one.metadata.name).sort(), [
      'm3',
      'm4',
      'm5',
      'm6',
      'm7',
    ])
  })

  it('end with an instance that is stopped meanwhile, and nothing is left', async () => {
    const ns = await start('stall')
    await migrate(ns, 'm', 'stall')
    await phaseIs(ns, 'm', 'Running')
    await cluster.api.send('PATCH', vmsPath(ns, 'stall'), {
      body: { spec: { running: null, runStrategy: 'Halted' } },
      type: 'application/merge-patch+json',
    })
    assert.equal((await over(ns, 'm')).status.phase, 'Failed')
    await eventually('no pod is left', async () => (await pods(ns)).length === 0)
  })

  it('keep a paused guest paused', async () => {
    const ns = await start()
    await cluster.api.send('PUT', `/apis/subresources.kubevirt.io/v1/namespaces/${ns}/virtualmachineinstances/a/pause`)
    await migrate(ns, 'm')
    assert.equal((await over(ns, 'm')).status.phase, 'Succeeded')
    await onePod(ns)
    await cluster.api.until('still paused', vmisPath(ns, 'a'), (vmi) => condition(vmi, 'Paused')?.status === 'True')
  })
})

describe('networks that come by migration', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
    const autoMigration = { gracePeriodSeconds: 1.5, recheckSeconds: 0.1, updateDelaySeconds: 0.1 }
    const { code } = await cluster.api.send('PATCH', kubevirt, {
      body: {
        spec: {
          configuration: {
            network: { attachment: 'Migration', autoMigration, permitBridgeInterfaceOnPodNetwork: true },
          },
          workloadUpdateStrategy: { workloadUpdateMethods: ['LiveMigrate'] },
        },
      },
      type: 'application/merge-patch+json',
    })
    assert.equal(code, 200)
  })
  after(() => cluster?.stop())

  const start = async (nics: readonly Any[] = []) => {
    const ns = await makeNamespace(cluster.api, ['red', 'blue'])
    await run(cluster.api, ns, vm('a', nics))
    return ns
  }
  const methods = (...workloadUpdateMethods: string[]) =>
    cluster.api.send('PATCH', kubevirt, {
      body: { spec: { workloadUpdateStrategy: { workloadUpdateMethods } } },
      type: 'application/merge-patch+json',
    })
  const edit = async (ns: string, change: (spec: Any) => void) => {
    await eventually('an edit', async () => {
      const object = await cluster.api.get(vmsPath(ns, 'a'))
      change(object.spec.template.spec)
      return (await cluster.api.send('PUT', vmsPath(ns, 'a'), { body: object })).code === 200
    })
  }
  const add = (name: string) => (spec: Any) => {
    spec.domain.devices.interfaces.push({ name, bridge: {} })
    spec.networks.push({ name, multus: { networkName: name } })
  }
  const set = (name: string, state: string) => (spec: Any) => {
    spec.domain.devices.interfaces.find((one: Any) => one.name === name).state = state
  }
  const rewire = (name: string, networkName: string) => (spec: Any) => {
    spec.networks.find((one: Any) => one.name === name).multus.networkName = networkName
  }
  const statusOf = (vmi: Any, name: string) => vmi.status.interfaces.find((one: Any) => one.name === name)
  const required = (ns: string, status: string | undefined) =>
    cluster.api.until(
      `MigrationRequired is ${status}`,
      vmisPath(ns, 'a'),
      (vmi) => condition(vmi, 'MigrationRequired')?.status === status,
    )
  const networkOf = async (ns: string, name: string) => {
    const pods = await cluster.api.list(podsPath(ns))
    const vmi = await cluster.api.get(vmisPath(ns, 'a'))
    const all = JSON.parse(pods[0]?.metadata.annotations['k8s.v1.cni.cncf.io/network-status'] ?? '[]')
    return all.find((one: Any) => one.interface === statusOf(vmi, name)?.podInterfaceName)?.name
  }

  it('an interface that is plugged waits, then the instance is migrated by itself, and has it', async () => {
    const ns = await start()
    await edit(ns, add('red'))
    const pending = await required(ns, 'False')
    assert.equal(condition(pending, 'MigrationRequired')?.reason, 'AutoMigrationPending')
    const due = await required(ns, 'True')
    assert.equal(condition(due, 'MigrationRequired')?.reason, 'AutoMigrationDueToLiveUpdate')
    const vmi = await cluster.api.until('it has it', vmisPath(ns, 'a'), (one) =>
      statusOf(one, 'red')?.infoSource.includes('domain'),
    )
    assert.equal(statusOf(vmi, 'red').linkState, 'up')
    await required(ns, undefined)
    const [migration, ...others] = await cluster.api.list(vmimsPath(ns))
    assert.equal(others.length, 0)
    assert.match(migration.metadata.name, /^kubevirt-workload-update-/)
    assert.equal(migration.spec.priority, 'user-triggered')
    const events = await cluster.api.list(`/api/v1/namespaces/${ns}/events`)
    assert.ok(
      events.some(
        ({ message }) => message === `Created Migration ${migration.metadata.name} for automated workload update`,
      ),
    )
  })

  it('one that is unplugged leaves the guest at once and its pod by migration; absent is final', async () => {
    const ns = await start([{ name: 'red' }, { name: 'blue' }])
    await methods()
    await edit(ns, set('red', 'absent'))
    await cluster.api.until(
      'it left the guest',
      vmisPath(ns, 'a'),
      (vmi) => statusOf(vmi, 'red')?.infoSource === 'multus-status',
    )
    await edit(ns, set('red', 'up'))
    await required(ns, 'True')
    const vmi = await cluster.api.get(vmisPath(ns, 'a'))
    assert.equal(vmi.spec.domain.devices.interfaces.find((one: Any) => one.name === 'red').state, 'absent')
    assert.deepEqual(await cluster.api.list(vmimsPath(ns)), [], 'nobody migrates it')
    await edit(ns, set('red', 'absent'))
    await methods('LiveMigrate')
    await cluster.api.until(
      'it has left the VM',
      vmsPath(ns, 'a'),
      (one) => one.spec.template.spec.networks.length === 2,
    )
    await required(ns, undefined)
  })

  it('another network comes with the next sandbox; where the instance cannot move, with the next start', async () => {
    const ns = await start([{ name: 'red' }])
    await edit(ns, rewire('red', 'blue'))
    await cluster.api.until('it has moved', vmisPath(ns, 'a'), (one) => one.status.migrationState?.completed)
    await eventually('one pod is left', async () => (await cluster.api.list(podsPath(ns))).length === 1)
    assert.equal(await networkOf(ns, 'red'), `${ns}/blue`)
    await required(ns, undefined)
    assert.equal(condition(await cluster.api.get(vmsPath(ns, 'a')), 'RestartRequired'), undefined)

    const fixed = await makeNamespace(cluster.api, ['red', 'blue'])
    const manifest = vm('a', [{ name: 'red' }])
    const [primary] = manifest.spec.template.spec.domain.devices.interfaces as Any[]
    delete primary.masquerade
    primary.bridge = {}
    await run(cluster.api, fixed, manifest)
    await cluster.api.until(
      'it cannot move',
      vmisPath(fixed, 'a'),
      (one) => condition(one, 'LiveMigratable')?.status === 'False',
    )
    await edit(fixed, rewire('red', 'blue'))
    await cluster.api.until(
      'a restart is required',
      vmsPath(fixed, 'a'),
      (one) => condition(one, 'RestartRequired')?.status === 'True',
    )
    const kept = await cluster.api.get(vmisPath(fixed, 'a'))
    assert.equal(kept.spec.networks.find((one: Any) => one.name === 'red').multus.networkName, 'red')
  })
})
