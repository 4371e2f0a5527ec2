import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { path } from '../../tools/stage/api.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { flip, nad, vm } from '../../tools/stage/manifests.ts'
import { CountingGuest, migration, migrationOver } from '../../tools/stage/migration.ts'
import { must } from '../../tools/stage/program.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'
import { agreement, identityOf } from '../../tools/stage/views.ts'

// biome-ignore lint/suspicious/noExplicitAny: objects of the API, looked into as they come
type Any = any

const phases = ['Pending', 'Scheduling', 'Scheduled', 'PreparingTarget', 'TargetReady', 'Running', 'Succeeded']

describe('moving real guests to fresh sandboxes', () => {
  let stage: Stage
  let guest: CountingGuest

  before(async () => {
    stage = await Stage.open()
    await provideDemoGuest(stage)
    await stage.up()
    await stage.configure({ configuration: { network: { permitBridgeInterfaceOnPodNetwork: true } } })
    await stage.apply(nad('blue'), nad('green'))
    await stage.apply(
      vm('x', { secondary: { blue: 'up', green: 'down' }, graceSeconds: 0 }),
      vm('y', { secondary: { blue: 'up' }, binding: 'bridge', graceSeconds: 0 }),
    )
    for (const name of ['x', 'y']) await stage.waitFor(name, 'AgentConnected')
    guest = await CountingGuest.start(stage, 'x')
    await stage.guest('x', 'ip addr add 192.168.9.1/24 dev eth1')
    await stage.guest('y', 'ip addr add 192.168.9.2/24 dev eth1')
  })
  after(async () => {
    await guest?.[Symbol.asyncDispose]()
    await stage[Symbol.asyncDispose]()
  })

  const create = (manifest: unknown) => stage.kubectl(['create', '-f', '-'], JSON.stringify(manifest))
  const vmi = async (name = 'x'): Promise<Any> => (await stage.api.call('GET', path.vmi(name))).body
  const vmimOf = async (name: string): Promise<Any> => (await stage.api.call('GET', path.vmim(name))).body
  const configure = (migrations: object) => stage.configure({ configuration: { migrations } })
  const slowly = () => configure({ bandwidthPerMigration: '24Mi' })
  const quickly = () => configure({ bandwidthPerMigration: 0 })
  const reaches = async () =>
    (await stage.guest('y', 'ping -c 1 -W 1 192.168.9.1 > /dev/null && echo yes || echo no')) === 'yes'
  const underway = (name: string) =>
    eventually('the guest is on its way', async () => (await vmimOf(name)).status?.phase === 'Running', {
      deadlineMs: patienceMs,
    })
  /** Everything of the host that belongs to sandboxes: one for each of the two guests. */
  const nothingLeft = () =>
    eventually(
      'nothing is left of other sandboxes',
      async () => {
        const uids = [...(await stage.pods('x')), ...(await stage.pods('y'))].map(({ metadata }) => metadata.uid).sort()
        assert.equal(uids.length, 2)
        assert.deepEqual((await readdir(`${stage.dir}/pods`)).sort(), uids)
        const spaces = [...(await must('ip', ['netns'])).matchAll(/pb-([0-9a-f-]{36})/g)].map(([, uid]) => uid)
        for (const uid of uids) assert.ok(spaces.includes(uid))
        const records = await readdir(`${stage.dir}/cni`)
        assert.deepEqual(
          records.filter((file) => !uids.some((uid) => file.startsWith(uid))),
          [],
        )
        return true
      },
      { deadlineMs: patienceMs },
    )

  test('a migration goes through every phase, and the guest is the same but for where it is', async () => {
    const before = await identityOf(stage, 'x')
    const { status: old } = await vmi()
    assert.equal((await create(migration('x', 'first'))).code, 0)
    const { status, metadata } = await migrationOver(stage, 'first')
    assert.equal(status.phase, 'Succeeded', JSON.stringify(status))
    assert.deepEqual(
      status.phaseTransitionTimestamps.map((one: Any) => one.phase),
      phases,
    )
    assert.equal(metadata.labels['kubevirt.io/vmi-name'], 'x')
    await guest.goesOn()
    await guest.verify()
    const after = await identityOf(stage, 'x')
    assert.notEqual(after.podUid, before.podUid)
    assert.notEqual(after.qemuPid, before.qemuPid)
    assert.deepEqual([after.pciAddresses, after.ifindexes], [before.pciAddresses, before.ifindexes])
    const { status: now } = await vmi()
    const { migrationState: state } = now
    const pod = await stage.pod('x')
    assert.equal(state.completed, true)
    assert.equal(state.targetPod, pod.metadata.name)
    assert.notEqual(state.sourcePod, state.targetPod)
    assert.deepEqual(Object.keys(now.activePods), [pod.metadata.uid])
    const brief = (interfaces: Any[]) => interfaces.map(({ name, mac, linkState }) => ({ name, mac, linkState }))
    assert.deepEqual(brief(now.interfaces), brief(old.interfaces))
    await nothingLeft()
  })

  test('the guest is reached again, links that were down stay down and can be raised', async () => {
    const { mac } = (await vmi()).status.interfaces.find(({ name }: Any) => name === 'blue')
    await eventually(
      'its network was told where it is',
      async () => (await must('bridge', ['fdb', 'show', 'br', 'br-blue'])).includes(mac),
      { deadlineMs: patienceMs },
    )
    await eventually('it is reached', reaches, { deadlineMs: patienceMs })
    await agreement(stage, 'x', { default: 'up', blue: 'up', green: 'down' }, performance.now())
    await stage.k('patch', 'vm', 'x', '--type=json', '-p', JSON.stringify(flip({ 2: 'up' })))
    await agreement(stage, 'x', { default: 'up', blue: 'up', green: 'up' }, performance.now())
  })

  test('what is asked for meanwhile is done afterwards; a second migration and one of a bridge are refused', async () => {
    await slowly()
    assert.equal((await create(migration('x', 'second'))).code, 0)
    await underway('second')
    await stage.k('patch', 'vm', 'x', '--type=json', '-p', JSON.stringify(flip({ 1: 'down' })))
    const refused = await create(migration('x', 'third'))
    assert.match(
      refused.stderr,
      /in-flight migration detected. Active migration job \([0-9a-f-]{36}\) is currently already in progress for VMI x/,
    )
    const bridged = await create(migration('y', 'third'))
    assert.match(
      bridged.stderr,
      /Cannot migrate VMI, Reason: InterfaceNotLiveMigratable, Message: cannot migrate VMI which does not use masquerade/,
    )
    assert.equal((await stage.api.call('GET', path.vm('x'))).body.status.printableStatus, 'Migrating')
    assert.equal((await vmi()).status.interfaces.find((one: Any) => one.name === 'blue').linkState, 'up')
    await quickly()
    const { status } = await migrationOver(stage, 'second')
    assert.equal(status.phase, 'Succeeded', JSON.stringify(status))
    await agreement(stage, 'x', { default: 'up', blue: 'down', green: 'up' }, performance.now())
    await guest.goesOn()
    await guest.verify()
  })

  test('a migration that is deleted is called off, and the guest stays where it is', async () => {
    const before = await identityOf(stage, 'x')
    await slowly()
    assert.equal(await stage.p('migrate', 'x'), 'VM x was scheduled to migrate\n')
    const isOurs = ({ metadata }: Any) => metadata.name.startsWith('kubevirt-migrate-vm-')
    const found = async (): Promise<Any> => (await vmimOf('')).items.find(isOurs)
    const { metadata } = await eventually('it is there', found, { deadlineMs: patienceMs })
    await underway(metadata.name)
    assert.equal(await stage.p('migrate-cancel', 'x'), 'VM x was scheduled to migrate-cancel\n')
    await eventually('it is gone', async () => !(await found()), { deadlineMs: patienceMs })
    assert.deepEqual(await identityOf(stage, 'x'), before)
    const { migrationState: state } = (await vmi()).status
    assert.deepEqual([state.failed, state.abortRequested, state.abortStatus], [true, true, 'Succeeded'])
    await guest.goesOn()
    await guest.verify()
    await nothingLeft()
  })

  test('one that takes too long is given up, with why', async () => {
    const before = await identityOf(stage, 'x')
    await configure({ bandwidthPerMigration: '1Mi', completionTimeoutPerGiB: 2 })
    await create(migration('x', 'fifth'))
    const { status } = await migrationOver(stage, 'fifth')
    assert.equal(status.phase, 'Failed')
    assert.match(status.migrationState.failureReason, /did not come to its end in time/)
    assert.deepEqual(await identityOf(stage, 'x'), before)
    await configure({ bandwidthPerMigration: 0, completionTimeoutPerGiB: 150 })
    await nothingLeft()
  })
})
