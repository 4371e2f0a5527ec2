import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { path } from '../../tools/stage/api.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { flip, nad, vm } from '../../tools/stage/manifests.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'
import { agreement, type Identity, identityOf } from '../../tools/stage/views.ts'

const blueTap = 'tap16477688c0e'

describe('a status that is always true', () => {
  let stage: Stage
  let identity: Identity

  before(async () => {
    stage = await Stage.open()
    await provideDemoGuest(stage)
    await stage.up()
    await stage.apply(nad('blue'))
    await stage.apply(vm('x', { secondary: { blue: 'down' }, runStrategy: 'Manual' }))
  })
  after(() => stage[Symbol.asyncDispose]())

  const patch = (states: Readonly<Record<number, string>>) =>
    stage.k('patch', 'vm', 'x', '--type=json', '-p', JSON.stringify(flip(states)))
  const setLink = (state: string) => stage.virsh('x', 'domif-setlink', 'default_x', blueTap, state)
  const eventsOf = async (reason: string): Promise<{ message: string; count: number }[]> => {
    const { body } = await stage.api.call('GET', '/api/v1/namespaces/default/events')
    return body.items.filter((event: { reason: string }) => event.reason === reason)
  }
  const conditionOf = async (type: string) => {
    const { body } = await stage.api.call('GET', path.vm('x'))
    return body.status?.conditions?.find((one: { type: string }) => one.type === type)
  }

  test('what was changed while a VM was stopped holds when it starts, and over a restart', async () => {
    await patch({ 1: 'up' })
    await patch({ 1: 'down' })
    await stage.k('patch', 'vm', 'x', '--type=merge', '-p', '{"spec":{"runStrategy":"Always"}}')
    await stage.waitFor('x', 'AgentConnected')
    await agreement(stage, 'x', { default: 'up', blue: 'down' }, performance.now())
    const before = (await stage.pod('x')).metadata.uid
    await stage.k('delete', 'vmi', 'x', `--timeout=${patienceMs / 1000}s`)
    await eventually(
      'another guest runs',
      async () =>
        (await stage.pod('x'))?.metadata.uid !== before && (await conditionOf('AgentConnected')) !== undefined,
      { deadlineMs: patienceMs },
    )
    await agreement(stage, 'x', { default: 'up', blue: 'down' }, performance.now())
    identity = await identityOf(stage, 'x')
  })

  test('taking the state away is up', async () => {
    const remove = [{ op: 'remove', path: '/spec/template/spec/domain/devices/interfaces/1/state' }]
    await stage.k('patch', 'vm', 'x', '--type=json', '-p', JSON.stringify(remove))
    await agreement(stage, 'x', { default: 'up', blue: 'up' }, performance.now())
    const add = [{ ...remove[0], op: 'add', value: 'linkDown' }]
    await stage.k('patch', 'vm', 'x', '--type=json', '-p', JSON.stringify(add))
    await agreement(stage, 'x', { default: 'up', blue: 'down' }, performance.now())
    const { body } = await stage.api.call('GET', path.vm('x'))
    assert.equal(body.spec.template.spec.domain.devices.interfaces[1].state, 'linkDown')
    await patch({ 1: 'up' })
    await agreement(stage, 'x', { default: 'up', blue: 'up' }, performance.now())
    assert.deepEqual(await identityOf(stage, 'x'), identity)
    assert.equal(await conditionOf('RestartRequired'), undefined)
  })

  test('a link cut by virsh is told and put back', async () => {
    await setLink('down')
    await eventually('the drift is told', async () => (await eventsOf('LinkDrift')).length > 0, {
      deadlineMs: patienceMs,
    })
    await agreement(stage, 'x', { default: 'up', blue: 'up' }, performance.now())
    assert.match((await eventsOf('LinkDrift'))[0]?.message ?? '', /"blue" is down, declared up/)
    assert.deepEqual(await identityOf(stage, 'x'), identity)
  })

  test('a link cut by virsh while Patchbay was down is told and put back when it is up again', async () => {
    const before = (await eventsOf('LinkDrift'))[0]?.count ?? 0
    await stage.stop()
    await stage.virshAt(identity.podUid, 'domif-setlink', 'default_x', blueTap, 'down')
    await stage.up()
    await agreement(stage, 'x', { default: 'up', blue: 'up' }, performance.now())
    assert.ok(((await eventsOf('LinkDrift'))[0]?.count ?? 0) > before)
    assert.deepEqual(await identityOf(stage, 'x'), identity)
  })

  test('a link cut by virsh stays cut, and is told, when the VM wants it so', async () => {
    await stage.k('annotate', 'vm', 'x', 'patchbay.dev/link-drift=report')
    await eventually(
      'the instance knows',
      async () =>
        (await stage.api.call('GET', path.vmi('x'))).body.metadata.annotations?.['patchbay.dev/link-drift'] ===
        'report',
      { deadlineMs: patienceMs },
    )
    await setLink('down')
    await eventually('the drift is told', async () => (await conditionOf('LinkDrift'))?.status === 'True', {
      deadlineMs: patienceMs,
    })
    await agreement(stage, 'x', { blue: 'down' }, performance.now())
    await stage.k('annotate', 'vm', 'x', 'patchbay.dev/link-drift-')
    await agreement(stage, 'x', { default: 'up', blue: 'up' }, performance.now())
    await eventually('the drift is over', async () => (await conditionOf('LinkDrift')) === undefined, {
      deadlineMs: patienceMs,
    })
  })

  test('what the guest does to its own device is not reported as a link state', async () => {
    await stage.guest('x', 'ip link set eth1 down')
    await eventually(
      'the guest says so',
      async () => (await stage.guest('x', 'cat /sys/class/net/eth1/operstate')) === 'down',
      { deadlineMs: patienceMs },
    )
    const { body } = await stage.api.call('GET', path.vmi('x'))
    assert.deepEqual(
      body.status.interfaces.map((one: { linkState: string }) => one.linkState),
      ['up', 'up'],
    )
    await stage.guest('x', 'ip link set eth1 up')
    await agreement(stage, 'x', { default: 'up', blue: 'up' }, performance.now())
  })

  test('a primary link that is cut fails the readiness probe, and then the liveness probe brings a new guest', async () => {
    const probes = {
      readinessProbe: { tcpSocket: { port: 80 }, periodSeconds: 1, failureThreshold: 1 },
      livenessProbe: { tcpSocket: { port: 80 }, periodSeconds: 2, failureThreshold: 4, initialDelaySeconds: 40 },
    }
    const manifest = vm('p', { graceSeconds: 0 })
    Object.assign(manifest.spec.template.spec, probes)
    await stage.apply(manifest)
    await stage.waitFor('p', 'AgentConnected')
    const { body: started } = await stage.api.call('GET', path.vmi('p'))
    assert.equal(started.status.conditions.find((one: { type: string }) => one.type === 'Ready').status, 'False')
    await stage.guest('p', '/bin/busybox httpd -p 80 -h /')
    await stage.waitFor('p', 'Ready')
    await stage.k(
      'patch',
      'vm',
      'p',
      '--type=json',
      '-p',
      JSON.stringify(flip({ 0: 'down' }).map((one) => ({ ...one, op: 'add' }))),
    )
    await stage.waitFor('p', 'Ready=False')
    await eventually(
      'the liveness probe has brought a new instance',
      async () => (await stage.api.call('GET', path.vmi('p'))).body.metadata?.uid !== started.metadata.uid,
      { deadlineMs: patienceMs },
    )
    const unhealthy = (await eventsOf('Unhealthy')).map(({ message }) => message)
    assert.ok(
      unhealthy.some((message) => message.startsWith('Readiness probe failed: ')),
      unhealthy.join(),
    )
    assert.ok(
      unhealthy.some((message) => message.startsWith('Liveness probe failed: ')),
      unhealthy.join(),
    )
    await stage.k('delete', 'vm', 'p', `--timeout=${patienceMs / 1000}s`)
  })
})
