import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { path } from '../../tools/stage/api.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { addressedNad, vm } from '../../tools/stage/manifests.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'

// biome-ignore lint/suspicious/noExplicitAny: objects of the API, looked into as they come
type Any = any

/** Three addresses: two guests have one each, and one is left for a third. */
const blue = addressedNad('blue', { subnet: '10.77.0.0/24', rangeStart: '10.77.0.10', rangeEnd: '10.77.0.12' })

describe('addresses of real guests', () => {
  let stage: Stage

  before(async () => {
    stage = await Stage.open()
    await provideDemoGuest(stage)
    await stage.up()
    await stage.apply(blue, vm('x', { secondary: { blue: 'up' } }), vm('y', { secondary: { blue: 'up' } }))
    for (const one of ['x', 'y']) await stage.waitFor(one, 'AgentConnected')
  })
  after(() => stage[Symbol.asyncDispose]())

  const guestAddress = (name: string) => stage.guest(name, "ip -4 -o addr show eth1 | awk '{print $4}' | cut -d/ -f1")
  const statusAddress = async (name: string): Promise<string> => {
    const { body } = await stage.api.call('GET', path.vmi(name))
    return body.status.interfaces.find((one: Any) => one.name === 'blue')?.ipAddress
  }
  /** The address of a guest once its status says the same. */
  const address = (name: string): Promise<string> =>
    eventually(
      `${name} has an address, and its status says so`,
      async () => {
        const [own, told] = [await guestAddress(name), await statusAddress(name)]
        return own !== '' && own === told && own
      },
      { deadlineMs: patienceMs },
    )
  const leases = async () => (await readdir(`${stage.dir}/ipam/blue`)).filter((file) => /^10\./.test(file)).sort()
  const migrate = async (name: string) => {
    const { uid } = (await stage.pod(name)).metadata
    await stage.p('migrate', name)
    await eventually(
      `${name} has moved`,
      async () => (await stage.pods(name)).every((pod) => pod.metadata.uid !== uid),
      { deadlineMs: patienceMs },
    )
  }

  test('a guest keeps its address when it moves, again and again, and nobody else is given it', async () => {
    const [x, y] = [await address('x'), await address('y')]
    for (let i = 0; i < 2; i++) {
      await migrate('x')
      assert.equal(await address('x'), x)
      assert.deepEqual(await leases(), [x, y].sort())
      assert.equal(await stage.guest('y', `ping -c 1 -W 2 ${x} > /dev/null && echo yes`), 'yes')
    }
    await stage.apply(vm('z', { secondary: { blue: 'up' } }))
    await stage.waitFor('z', 'AgentConnected')
    const z = await address('z')
    assert.ok(![x, y].includes(z), `z has ${z}`)
    // Its cable pulled and put in again, it asks anew where it is now.
    await stage.guest('x', 'ip addr flush dev eth1')
    await stage.p('link', 'down', 'x', 'blue')
    await stage.p('link', 'up', 'x', 'blue')
    assert.equal(await address('x'), x)
  })

  test('what a guest had is given back when it goes, wherever it went', async () => {
    const x = await address('x')
    await stage.k('delete', 'vm', 'x', 'z', `--timeout=${patienceMs / 1000}s`)
    assert.deepEqual(await leases(), [await address('y')])
    await stage.apply(vm('a', { secondary: { blue: 'up' } }), vm('b', { secondary: { blue: 'up' } }))
    for (const one of ['a', 'b']) await stage.waitFor(one, 'AgentConnected')
    assert.ok([await address('a'), await address('b')].includes(x), 'its address is free for others')
  })

  test('a bridge or a VLAN that a guest makes of its card takes neither its name nor its address', async () => {
    const own = await address('y')
    await stage.guest(
      'y',
      'ip link add br-ex type bridge; ip link set br-ex address $(cat /sys/class/net/eth1/address)',
    )
    await stage.guest('y', 'ip link set br-ex up; ip addr add 10.99.0.9/24 dev br-ex')
    // What happens to the other interface makes the guest be asked again.
    await stage.p('link', 'down', 'y', 'default')
    await eventually(
      'its link is down',
      async () => {
        const { body } = await stage.api.call('GET', path.vmi('y'))
        const [first, second] = body.status.interfaces
        assert.deepEqual([second.interfaceName, second.ipAddress], ['eth1', own])
        return first.linkState === 'down'
      },
      { deadlineMs: patienceMs },
    )
  })
})
