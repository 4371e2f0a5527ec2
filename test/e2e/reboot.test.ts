import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { path } from '../../tools/stage/api.ts'
import { reboot } from '../../tools/stage/damage.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { addressedNad, vm } from '../../tools/stage/manifests.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'

const blue = addressedNad('blue', { subnet: '10.77.0.0/24' })

describe('a reboot of the host', () => {
  let stage: Stage

  before(async () => {
    stage = await Stage.open()
    await provideDemoGuest(stage)
    await stage.up()
    await stage.apply(
      blue,
      vm('always', { secondary: { blue: 'up' } }),
      vm('manual', { runStrategy: 'Manual' }),
      vm('halted', { runStrategy: 'Halted' }),
    )
    await stage.p('start', 'manual')
    for (const name of ['always', 'manual']) await stage.waitFor(name, 'AgentConnected')
  })
  after(() => stage[Symbol.asyncDispose]())

  const leases = async (network: string) =>
    (await readdir(`${stage.dir}/ipam/${network}`)).filter((file) => /^10\./.test(file))

  test('runs what is to run once, and nothing else; what the old pods had is free', async () => {
    await reboot(stage)
    await stage.up()
    await eventually(
      'it has one pod, and is the only one that runs',
      async () => {
        const { body } = await stage.api.call('GET', path.pods)
        const { body: vmis } = await stage.api.call('GET', path.vmi())
        const running = vmis.items.filter((one: { status: { phase: string } }) => one.status.phase === 'Running')
        assert.deepEqual([body.items.length, running.length, running[0]?.metadata.name], [1, 1, 'always'])
        return true
      },
      { deadlineMs: patienceMs },
    )
    await stage.k('wait', 'vmi/always', '--for=condition=AgentConnected', `--timeout=${patienceMs / 1000}s`)
    assert.equal((await readdir(`${stage.dir}/pods`)).length, 1)
    assert.deepEqual([(await leases('blue')).length, (await leases('patchbay-pod')).length], [1, 1])
    await eventually(
      'it reaches its gateway',
      async () =>
        (await stage.guest('always', 'ping -c 1 -W 1 10.244.0.1 > /dev/null && echo yes || echo no')) === 'yes',
      { deadlineMs: patienceMs },
    )
    // It can be started again by hand.
    await stage.p('start', 'manual')
    await stage.waitFor('manual', 'AgentConnected')
  })
})
