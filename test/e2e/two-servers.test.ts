import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { vm } from '../../tools/stage/manifests.ts'
import { must } from '../../tools/stage/program.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'

describe('two servers on one host', () => {
  let first: Stage
  let second: Stage

  before(async () => {
    first = await Stage.open()
    second = await Stage.open()
    for (const stage of [first, second]) await provideDemoGuest(stage)
    await first.up()
    await first.apply(vm('x'))
    await first.waitFor('x', 'AgentConnected')
  })
  after(async () => {
    await second[Symbol.asyncDispose]()
    await first[Symbol.asyncDispose]()
  })

  const gets = (stage: Stage, name: string, address: string) =>
    eventually(
      `${name} reaches ${address}`,
      async () => (await stage.guest(name, `ping -c 1 -W 1 ${address} > /dev/null && echo yes || echo no`)) === 'yes',
      { deadlineMs: patienceMs },
    )
  const tables = async () => (await must('nft', ['list', 'tables'])).trim().split('\n').sort()
  const other = ['--listen', '127.0.0.1:7445', '--node', 'node2']

  test("two servers on one host have a pod network each, and neither takes the other's", async () => {
    const refused = await second.patchbay('up', ...other)
    assert.equal(refused.code, 2)
    assert.match(refused.stderr, /The pod network 10\.244\.0\.0\/23 overlaps .* behind patchbay0; start with another/)
    await second.up([...other, '--pod-cidr', '10.245.0.0/24', '--pod-bridge', 'pods1'])
    await second.apply(vm('y'))
    await second.waitFor('y', 'AgentConnected')
    await gets(first, 'x', '10.244.0.1')
    await gets(second, 'y', '10.245.0.1')
    assert.deepEqual(await tables(), ['table ip patchbay', 'table ip patchbay-pods1'])
    const { body } = await second.api.call('GET', '/api/v1/nodes/node2')
    assert.deepEqual([body.spec.podCIDR, body.status.allocatable.pods], ['10.245.0.0/24', '253'])
  })

  test('a server that goes takes only what is its own', async () => {
    assert.equal((await second.down()).code, 0)
    assert.deepEqual(await tables(), ['table ip patchbay'])
    await gets(first, 'x', '10.244.0.1')
  })
})
