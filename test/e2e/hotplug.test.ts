import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { path } from '../../tools/stage/api.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { vm } from '../../tools/stage/manifests.ts'
import { migration, migrationOver } from '../../tools/stage/migration.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'
import { claim, claimPath } from '../../tools/stage/volumes.ts'

/** The drive of a CD-ROM, without a medium. */
const drive = { name: 'cd', cdrom: { bus: 'sata' } }

describe('volumes of a real guest', () => {
  let stage: Stage

  before(async () => {
    stage = await Stage.open()
    await provideDemoGuest(stage)
    await stage.up()
    const machine = vm('one')
    const { spec } = machine.spec.template
    const devices = { ...spec.domain.devices, disks: [drive] }
    const template = { spec: { ...spec, domain: { ...spec.domain, devices } } }
    await stage.apply(...['data', 'more', 'disc'].map((name) => claim(name, '64Mi')), {
      ...machine,
      spec: { ...machine.spec, template },
    })
    await stage.waitFor('one', 'AgentConnected')
  })
  after(() => stage?.[Symbol.asyncDispose]())

  // biome-ignore lint/suspicious/noExplicitAny: objects of the API, looked into as they come
  type Any = any
  const volume = async (name: string, of = 'one'): Promise<Any> => {
    const { body } = await stage.api.call('GET', path.vmi(of))
    return body.status?.volumeStatus?.find((one: Any) => one.name === name)
  }
  const becomes = (name: string, phase: string | undefined, { of = 'one', why = /./ } = {}) =>
    eventually(
      `volume ${name} is ${phase}`,
      async () => {
        const one = await volume(name, of)
        if (one?.phase === phase && (!one || why.test(one.message))) return { one }
        throw new Error(`it is ${JSON.stringify(one)}`)
      },
      { deadlineMs: patienceMs },
    ).then(({ one }) => one)
  const blocks = () => stage.virsh('one', 'domblklist', 'default_one')
  const uidOf = async (name: string): Promise<string> =>
    (await stage.api.call('GET', claimPath(name))).body.metadata.uid
  const files = async () => readdir(join(await stage.sandbox('one'), 'run/disks'))
  const needsRestart = async () => {
    const { body } = await stage.api.call('GET', path.vm('one'))
    return body.status.conditions.some(({ type }: Any) => type === 'RestartRequired')
  }

  test('come by addvolume on both buses, and are seen by the guest', async () => {
    const said = await stage.p('addvolume', 'one', '--volume-name=data')
    assert.match(said, /Successfully submitted add volume request to VM one for volume data/)
    const { target, message } = await becomes('data', 'Ready')
    assert.deepEqual([target, message], ['sdb', 'Successfully attach hotplugged volume data to VM'])
    assert.match(await blocks(), new RegExp(`sdb +/run/disks/${await uidOf('data')}.img`))
    await stage.p('addvolume', 'one', '--volume-name=more', '--bus=virtio')
    assert.equal((await becomes('more', 'Ready')).target, 'vda')
    await eventually(
      'the guest has it',
      async () => (await stage.guest('one', 'cat /sys/bus/virtio/devices/*/device')).includes('0x0002'),
      { deadlineMs: patienceMs },
    )
    assert.equal(await needsRestart(), false)
  })

  test('stay over a server that is killed, and a migration takes them along', async () => {
    await stage.kill()
    await stage.up()
    await stage.waitFor('one', 'AgentConnected')
    await stage.apply(migration('one', 'move'))
    assert.equal((await migrationOver(stage, 'move')).status.phase, 'Succeeded')
    assert.equal((await becomes('data', 'Ready')).target, 'sdb')
    assert.match(await blocks(), new RegExp(`vda +/run/disks/${await uidOf('more')}.img`))
  })

  test('leave by removevolume, and nothing of them is left in the sandbox', async () => {
    for (const name of ['data', 'more']) {
      const said = await stage.p('removevolume', 'one', `--volume-name=${name}`)
      assert.match(said, new RegExp(`Successfully submitted remove volume request to VM one for volume ${name}`))
    }
    for (const name of ['data', 'more']) await becomes(name, undefined)
    assert.doesNotMatch(await blocks(), /\/run\/disks/)
    await eventually('no file is left', async () => (await files()).length === 0, { deadlineMs: patienceMs })
    assert.equal(await needsRestart(), false)
    const events = await stage.k('get', 'events', '-o', 'jsonpath={.items[*].message}')
    assert.match(events, /Volume more has been unplugged from VM/)
  })

  test('a medium is inserted into an empty drive and ejected from it', async () => {
    const at = '/spec/template/spec/volumes'
    const medium = { name: 'cd', persistentVolumeClaim: { claimName: 'disc', hotpluggable: true } }
    const patch = (operations: object[]) =>
      stage.api.call('PATCH', path.vm('one'), operations, 'application/json-patch+json')
    assert.match(await blocks(), /sda +-/)
    assert.equal((await patch([{ op: 'add', path: at, value: [medium] }])).code, 200)
    await becomes('cd', 'Ready')
    assert.match(await blocks(), new RegExp(`sda +/run/disks/${await uidOf('disc')}.img`))
    assert.equal((await patch([{ op: 'remove', path: at }])).code, 200)
    await becomes('cd', undefined)
    assert.match(await blocks(), /sda +-/)
    assert.equal(await needsRestart(), false)
  })

  test('what was asked of a server that is killed is done by the next one', async () => {
    await stage.p('addvolume', 'one', '--volume-name=data')
    await stage.kill()
    await stage.up()
    await becomes('data', 'Ready')
    await stage.p('removevolume', 'one', '--volume-name=data')
    await stage.kill()
    await stage.up()
    await becomes('data', undefined)
    await eventually('no file is left', async () => (await files()).length === 0, { deadlineMs: patienceMs })
  })

  test('a guest without a free port says so, and gets the disk when one frees', async () => {
    const machine = vm('two')
    const { spec } = machine.spec.template
    const volumes = [{ name: 'more', persistentVolumeClaim: { claimName: 'more', hotpluggable: true } }]
    const devices = { ...spec.domain.devices, disks: [{ name: 'more', disk: { bus: 'virtio' } }] }
    const template = {
      metadata: { annotations: { 'kubevirt.io/placePCIDevicesOnRootComplex': 'true' } },
      spec: { ...spec, domain: { ...spec.domain, devices }, volumes },
    }
    await stage.apply({ ...machine, spec: { ...machine.spec, template } })
    await stage.waitFor('two', 'AgentConnected')
    assert.equal((await becomes('more', 'Ready', { of: 'two' })).target, 'vda')
    await stage.p('addvolume', 'two', '--volume-name=data', '--bus=virtio')
    await becomes('data', 'AttachedToNode', { of: 'two', why: /no free port for volume data; unplug another device/ })
    await stage.p('removevolume', 'two', '--volume-name=more')
    assert.equal((await becomes('data', 'Ready', { of: 'two' })).target, 'vda')
  })

  test('a disk that a guest does not let go of is no other guest’s, and stays its own over a server that is killed', async () => {
    await stage.p('pause', 'vm', 'two')
    await stage.p('removevolume', 'two', '--volume-name=data')
    await becomes('data', 'Detaching', { of: 'two', why: /has not let go of volume data yet; the request is repeated/ })
    await stage.p('addvolume', 'one', '--volume-name=data')
    await becomes('data', 'Bound', { why: /PVC default\/data is used by the instance two, waiting/ })
    await stage.kill()
    await stage.up()
    await becomes('data', 'Detaching', { of: 'two', why: /has not let go of volume data yet/ })
    assert.equal((await volume('data')).phase, 'Bound')
    assert.doesNotMatch(await blocks(), /\/run\/disks/)
    await stage.p('unpause', 'vm', 'two')
    await becomes('data', 'Ready')
    assert.equal(await volume('data', 'two'), undefined)
  })

  test('a VM that starts again has what was plugged', async () => {
    const uid = async () => (await stage.api.call('GET', path.vmi('one'))).body.metadata?.uid
    const before = await uid()
    await stage.p('restart', 'one', '--force', '--grace-period=0')
    await eventually(
      'another instance runs',
      async () => {
        const now = await uid()
        return now !== undefined && now !== before
      },
      { deadlineMs: patienceMs },
    )
    await becomes('data', 'Ready')
    assert.match(await blocks(), new RegExp(`sdb +/run/disks/${await uidOf('data')}.img`))
    assert.equal(await needsRestart(), false)
  })
})
