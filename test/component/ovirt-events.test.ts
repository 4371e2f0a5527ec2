import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { type Any, vmsPath } from './api.ts'
import { type Engine, type EngineWorld, startEngine } from './engine.ts'
import { run, vm } from './manifests.ts'

describe('the audit log of oVirt’s API', () => {
  let world: EngineWorld
  let engine: Engine
  before(async () => {
    world = await startEngine()
    engine = world.engine
  })
  after(() => world?.stop())

  const at = () => `vms/${world.vm1}/nics/${world.nic1}`

  it('entries of the audit log are the system’s alone, and only grow', async () => {
    const events = '/api/v1/namespaces/default/events'
    const fake = {
      metadata: { name: 'forged', annotations: { 'ovirt.patchbay.dev/code': '934' } },
      involvedObject: { namespace: 'default' },
    }
    const { code } = await world.cluster.api.send('POST', events, { body: fake })
    assert.equal(code, 403)
    const { event } = await engine.get('events?max=1')
    assert.equal(event.length, 1)
    const since = await engine.get(`events?from=${event[0].id}`)
    assert.deepEqual(since, {})
    await engine.put(at(), { linked: 'false' })
    const gained = (await engine.get(`events?from=${event[0].id}`)).event
    assert.deepEqual(
      gained.map(({ code: of }: Any) => of),
      ['934'],
    )
    assert.equal(gained[0].vm.id, world.vm1)
    assert.ok(Number(gained[0].id) > Number(event[0].id))
    await engine.put(at(), { linked: 'true' })
    assert.deepEqual((await engine.events('type=934 and vm.name=vm1')).length > 1, true)
    assert.deepEqual(await engine.events('type=1'), [['1', 'Starting oVirt Engine.']])
  })

  it('the audit log says what becomes of VMs, whoever has them made and ended', async () => {
    const { api } = world.cluster
    const logged = async (name: string) => (await engine.events(`vm.name=${name}`)).toReversed()
    await run(api, 'default', vm('short'))
    await api.delete(vmsPath('default', 'short'))
    const entries = await eventually('its end is in it', async () => {
      const all = await logged('short')
      return all.some(([code]) => code === '113') && all
    })
    assert.deepEqual(entries, [
      ['34', 'VM short was created by <UNKNOWN>.'],
      ['32', 'VM short started on Host node1'],
      ['61', 'VM short is down.'],
      ['113', 'VM short was successfully removed.'],
    ])
    // One that the engine itself makes has its entry once.
    const { id } = await engine.post('vms', { name: 'own', cluster: { name: 'Default' }, template: { name: 'Blank' } })
    await engine.remove(`vms/${id}`)
    await eventually('its removal is in it', async () => (await logged('own')).length === 2)
    assert.deepEqual(await logged('own'), [
      ['34', 'VM own was created by admin@internal.'],
      ['113', 'VM own was successfully removed.'],
    ])
  })

  it('takes events and correlation ids of clients', async () => {
    const body =
      '<event><custom_id>7</custom_id><description>hello</description><origin>mine</origin><severity>warning</severity></event>'
    const made = await engine.post('events', body)
    assert.deepEqual([made.description, made.origin, made.severity, made.custom_id], ['hello', 'mine', 'warning', '7'])
    assert.equal((await engine.get(`events/${made.id}`)).id, made.id)
    assert.equal(
      (await engine.refused('POST', 'events', '<event/>'))[2],
      'Event [description, severity, origin] required for add',
    )
    await engine.send('PUT', at(), { body: { linked: 'false' }, headers: { 'correlation-id': 'mine-1' } })
    assert.equal((await engine.events('correlation_id=mine-1')).length, 1)
    await engine.put(at(), { linked: 'true' })
  })

  it('meets no bug of the server', () => assert.deepEqual(world.cluster.errors, []))
})
