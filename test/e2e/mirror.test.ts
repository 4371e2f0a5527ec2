import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { path } from '../../tools/stage/api.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { nad, vm } from '../../tools/stage/manifests.ts'
import { Peers } from '../../tools/stage/peers.ts'
import { must } from '../../tools/stage/program.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'
import { type Identity, identityOf } from '../../tools/stage/views.ts'

// biome-ignore lint/suspicious/noExplicitAny: objects of the API, looked into as they come
type Any = any

const knocks = 20

describe('copies of all traffic of a network to a real guest', () => {
  let stage: Stage
  const peers = new Peers()
  let one: string
  let identity: Identity

  before(async () => {
    stage = await Stage.open()
    await provideDemoGuest(stage)
    await stage.up()
    one = await peers.add('br-blue', '192.168.87.1')
    await peers.add('br-blue', '192.168.87.2')
    await stage.apply(nad('red'), nad('blue'), vm('x', { secondary: { red: 'up' }, graceSeconds: 0 }))
    await stage.waitFor('x', 'AgentConnected')
    await stage.guest('x', 'ip link set eth1 up promisc on')
    identity = await identityOf(stage, 'x')
  })
  after(async () => {
    await stage.stop()
    await stage.down()
    assert.deepEqual(await left(), nothing)
    await peers.remove()
    await stage[Symbol.asyncDispose]()
  })

  const nothing = { links: [], clsact: '', promisc: false }
  /** What is on the host of mirrors. */
  const left = async () => {
    const links: Any[] = JSON.parse(await must('ip', ['-j', 'link']))
    return {
      links: links.map(({ ifname }) => ifname).filter((name) => name.startsWith('mir')),
      clsact: (await must('tc', ['qdisc', 'show', 'dev', 'br-blue', 'clsact'])).trim(),
      promisc: links.find(({ ifname }) => ifname === 'br-blue').flags.includes('PROMISC'),
    }
  }
  const received = async () => Number(await stage.guest('x', 'cat /sys/class/net/eth1/statistics/rx_packets'))
  /** What was sent into the tap of the guest's card, which needs no Patchbay to be told. */
  const tapped = async () => {
    const [link]: Any[] = JSON.parse(
      await must('ip', ['-n', `pb-${identity.podUid}`, '-s', '-j', 'link', 'show', 'tapb1f51a511f1']),
    )
    return Number(link.stats64.tx.packets)
  }
  /** Whether the guest's card sees what the two peers say to each other: every question and every answer. */
  const hears = async (count = received): Promise<boolean> => {
    const start = await count()
    // Nobody listens there: a question and a refusal each time.
    const knock = `for i in $(seq ${knocks}); do (echo > /dev/tcp/192.168.87.2/9) 2>/dev/null; done; true`
    await must('ip', ['netns', 'exec', one, 'bash', '-c', knock])
    return (await count()) - start >= 2 * knocks
  }
  const becomesHeard = () => eventually('the peers are heard', () => hears(), { deadlineMs: patienceMs })
  const isEnded = () =>
    eventually('nothing of it is left', async () => JSON.stringify(await left()) === JSON.stringify(nothing), {
      deadlineMs: patienceMs,
    })

  test('begins while the guest runs, without a new card, and is there after kill -9 of Patchbay', async () => {
    assert.equal(await hears(), false)
    await stage.p('mirror', 'x', 'red', '--from', 'blue')
    await becomesHeard()
    assert.deepEqual(await identityOf(stage, 'x'), identity)
    const record = JSON.parse(await readFile(`${stage.dir}/pods/${identity.podUid}/sandbox.json`, 'utf8'))
    assert.deepEqual(
      record.mirrors.map(({ nic, network, bridge }: Any) => [nic, network, bridge]),
      [['red', 'default/blue', 'br-blue']],
    )
    const before = await left()
    await stage.kill()
    assert.equal(await hears(tapped), true, 'it goes on without Patchbay')
    await stage.up()
    await stage.waitFor('x', 'AgentConnected')
    assert.deepEqual(await left(), before)
    assert.equal(await hears(), true)
  })

  test('is found to be cut, and made again, with an Event', async () => {
    const [link] = (await left()).links
    await must('ip', ['link', 'delete', link])
    await becomesHeard()
    const { body } = await stage.api.call('GET', path.events)
    const texts: string[] = body.items.map((one: Any) => one.message)
    assert.ok(texts.some((text) => text.includes('the copy of the traffic of br-blue was cut (interface "red")')))
  })

  test('stays with the card on another network, and in another sandbox; ends without a trace', async () => {
    const at = '/spec/template/spec/networks/1/multus/networkName'
    const onto = JSON.stringify([{ op: 'replace', path: at, value: 'patchbay-none' }])
    const status = async () =>
      (await stage.api.call('GET', path.vmi('x'))).body.status.interfaces.find(({ name }: Any) => name === 'red')
    await stage.k('patch', 'vm', 'x', '--type=json', '-p', onto)
    await eventually('it is off its network', async () => (await status()).linkState === 'down', {
      deadlineMs: patienceMs,
    })
    await stage.k('patch', 'vm', 'x', '--type=json', '-p', onto.replace('patchbay-none', 'red'))
    await eventually('it is back', async () => (await status()).linkState === 'up', { deadlineMs: patienceMs })
    await becomesHeard()
    await stage.p('migrate', 'x')
    await eventually('it has moved', async () => (await stage.pod('x')).metadata.uid !== identity.podUid, {
      deadlineMs: patienceMs,
    })
    await becomesHeard()
    await eventually('one link is left', async () => (await left()).links.length === 1, { deadlineMs: patienceMs })
    await stage.p('mirror', 'x', 'red', '--off')
    await isEnded()
    assert.equal(await hears(), false)
  })

  test('ends with the VM, begins with its next start, and ends with Patchbay', async () => {
    await stage.p('mirror', 'x', 'red', '--from', 'blue')
    await becomesHeard()
    await stage.p('stop', 'x')
    await isEnded()
    await stage.p('start', 'x')
    await stage.waitFor('x', 'AgentConnected')
    await stage.guest('x', 'ip link set eth1 up promisc on')
    await becomesHeard()
    // What `down` leaves is looked at when all tests are over.
  })
})
