import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { path } from '../../tools/stage/api.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { CountingGuest } from '../../tools/stage/migration.ts'
import { type Page, parsePage, patternOf } from '../../tools/stage/page.ts'
import { must, program } from '../../tools/stage/program.ts'
import { patienceMs, root, Stage } from '../../tools/stage/stage.ts'
import { agreement } from '../../tools/stage/views.ts'

// biome-ignore lint/suspicious/noExplicitAny: objects of the API, looked into as they come
type Any = any

const folder = `${root}/docs/examples`
const pages = new Map<string, Page>(
  globSync('*.md', { cwd: folder }).map((name) => [name, parsePage(readFileSync(`${folder}/${name}`, 'utf8'))]),
)

describe('the examples', () => {
  let stage: Stage
  const done = new Set<string>()

  before(async () => {
    stage = await Stage.open()
    await provideDemoGuest(stage)
    await stage.up()
    // The second card of the host that a page speaks of, with somebody at its other end.
    await must('ip', ['link', 'add', 'eno2', 'type', 'veth', 'peer', 'name', 'far'])
    await must('ip', ['addr', 'add', '192.168.77.1/24', 'dev', 'far'])
    await must('ip', ['link', 'set', 'far', 'up'])
  })
  after(async () => {
    for (const link of ['far', 'br-lan']) await program('ip', ['link', 'delete', link])
    await stage[Symbol.asyncDispose]()
  })

  /** Runs the commands of a section as they stand there, and compares what they print with what stands there. */
  const follow = async (file: string, section: string): Promise<void> => {
    const steps = pages.get(file)?.get(section)
    assert.ok(steps, `${file} has no commands in a section ${section}`)
    done.add(`${file} ${section}`)
    for (const { commands, says } of steps) {
      const env = { KUBECONFIG: stage.kubeconfig, PATH: `${root}:${process.env.PATH}` }
      const printed = await must('sh', ['-ec', `cd ${root}\n${commands}`], { env, timeoutMs: patienceMs })
      if (says !== undefined) assert.match(printed, patternOf(says), `${file}, ${section}:\n${commands}`)
    }
  }
  const addressOf = async (vm: string, nic: string): Promise<string> => {
    const { body } = await stage.api.call('GET', path.vmi(vm))
    return body.status.interfaces.find(({ name }: Any) => name === nic)?.ipAddress ?? ''
  }
  /** Waits until a guest tells of an address that it was given; of the one it made itself it tells before. */
  const hasAddress = (vm: string, nic: string, wanted: RegExp) =>
    eventually(`${nic} of ${vm} has its address`, async () => wanted.test(await addressOf(vm, nic)), {
      deadlineMs: patienceMs,
    })
  const answers = async (vm: string, address: string): Promise<boolean> =>
    (await stage.guest(vm, `ping -c 1 -W 1 ${address} >/dev/null && echo yes || echo no`)) === 'yes'
  const reaches = (vm: string, address: () => Promise<string>) =>
    eventually(`${vm} reaches it`, async () => answers(vm, await address()), { deadlineMs: patienceMs })

  test('begin with two VMs, and networks that give addresses', async () => {
    await Promise.all([follow('README.md', 'Begin'), follow('probes.md', 'Start it')])
    await hasAddress('peer', 'red', /^192\.168\.81\./)
    await hasAddress('peer', 'green', /^192\.168\.82\./)
    await follow('addresses.md', 'Networks that give addresses')
    await agreement(stage, 'x', { default: 'up', blue: 'down' }, performance.now())
  })

  test('of a card that is plugged, moved and taken away are true', async () => {
    const lan = () => addressOf('x', 'lan')
    await follow('plug.md', 'Plug a card into a running VM')
    await agreement(stage, 'x', { default: 'up', blue: 'down', lan: 'up' }, performance.now())
    await hasAddress('x', 'lan', /^192\.168\.81\./)
    await reaches('peer', lan)
    const left = await lan()
    await follow('rewire.md', 'Move a card to another network')
    await hasAddress('x', 'lan', /^192\.168\.82\./)
    await reaches('peer', lan)
    assert.equal(await answers('peer', left), false)
    await follow('unplug.md', 'Take a card from a running VM')
    await agreement(stage, 'x', { default: 'up', blue: 'down' }, performance.now())
    assert.equal(await stage.guest('x', 'ls -d /sys/class/net/eth* | wc -l'), '2')
  })

  test('of links that are broken on purpose are true', async () => {
    const changes = async () => Number(await stage.guest('x', 'cat /sys/class/net/eth1/carrier_changes'))
    await follow('drill.md', 'Plug and pull')
    await agreement(stage, 'x', { default: 'up', blue: 'up' }, performance.now())
    await follow('drill.md', 'Pull by the manifest')
    await agreement(stage, 'x', { default: 'up', blue: 'down' }, performance.now())
    const before = await changes()
    await follow('drill.md', 'Flap')
    await agreement(stage, 'x', { default: 'up', blue: 'up' }, performance.now())
    // Up, and then twice down and up.
    assert.equal((await changes()) - before, 5)
    await follow('drill.md', 'See what happened')
  })

  test('of a card that listens to another network are true', async () => {
    const received = async () => Number(await stage.guest('x', 'cat /sys/class/net/eth1/statistics/rx_packets'))
    /** Questions of `peer` for addresses that nobody has. */
    const hears = async () => {
      const before = await received()
      await stage.guest('peer', 'for i in 1 2 3 4 5; do ping -c 1 -W 1 192.168.81.25$i >/dev/null; done; true')
      return (await received()) - before >= 5
    }
    await stage.guest('x', 'ip link set eth1 promisc on')
    assert.equal(await hears(), false)
    await follow('mirror.md', 'Listen to a network')
    await eventually('it hears them', hears, { deadlineMs: patienceMs })
    await follow('mirror.md', 'End it')
    await eventually('it hears nothing any more', async () => !(await hears()), { deadlineMs: patienceMs })
  })

  test('of a bridge with an uplink are true: both guests reach each other and the outside', async () => {
    await follow('uplink.md', 'Make it')
    for (const vm of ['x', 'peer']) await hasAddress(vm, 'outside', /^192\.168\.77\.1[0-5]\d$/)
    await reaches('x', () => addressOf('peer', 'outside'))
    for (const vm of ['x', 'peer']) await reaches(vm, async () => '192.168.77.1')
    await must('ip', ['link', 'set', 'far', 'down'])
    assert.equal(await answers('x', '192.168.77.1'), false)
    await follow('uplink.md', 'Take it away')
  })

  test('of a VM that is ready while its cable is plugged are true', async () => {
    await follow('probes.md', 'Pull its cable')
    await agreement(stage, 'watched', { default: 'down' }, performance.now())
    await follow('probes.md', 'Plug it again')
    await agreement(stage, 'watched', { default: 'up' }, performance.now())
  })

  test('of a guest that moves while it runs are true', async () => {
    await using guest = await CountingGuest.start(stage, 'x')
    const { uid } = (await stage.pod('x')).metadata
    await follow('migration.md', 'Move a guest while it runs')
    await guest.goesOn()
    await guest.verify()
    assert.notEqual((await stage.pod('x')).metadata.uid, uid)
    await agreement(stage, 'x', { default: 'up', blue: 'up' }, performance.now())
  })

  test('end with nothing left, and none of their commands has been left out', async () => {
    await follow('README.md', 'End')
    assert.deepEqual((await stage.api.call('GET', path.pods)).body.items, [])
    const all = [...pages].flatMap(([file, page]) => [...page.keys()].map((section) => `${file} ${section}`))
    assert.deepEqual([...done].toSorted(), all.toSorted())
  })
})
