import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { primaryLinkNames } from '#core/nic/names.ts'
import { path } from '../../tools/stage/api.ts'
import { damagesTo } from '../../tools/stage/damage.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { addressedNad, vm } from '../../tools/stage/manifests.ts'
import { must } from '../../tools/stage/program.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'
import { pick, randomOf } from '../component/random.ts'

// biome-ignore lint/suspicious/noExplicitAny: objects of the API, looked into as they come
type Any = any

/** A network that gives its guests addresses, so that they are theirs without anybody's help. */
const blue = addressedNad('blue', { subnet: '10.77.0.0/24' })

/** How many rounds of anything there are, and what they begin with: `npm run soak host` has 200. */
const rounds = Number(process.env.ROUNDS ?? 2)
const seed = Number(process.env.SEED ?? Date.now() % 100_000)
const all = ['x', 'y', 'z'] as const

describe('what is done to the host under real guests', () => {
  let stage: Stage

  before(async () => {
    stage = await Stage.open()
    await provideDemoGuest(stage)
    await stage.up()
    await stage.apply(blue, ...all.map((one) => vm(one, { secondary: { blue: 'up' } })))
    for (const one of all) await stage.waitFor(one, 'AgentConnected')
    await heals('the guests reach each other')
  })
  after(() => stage[Symbol.asyncDispose]())

  const vmi = async (name: string): Promise<Any> => (await stage.api.call('GET', path.vmi(name))).body
  const addressOf = async (name: string, nic: string): Promise<string> =>
    (await vmi(name)).status.interfaces.find((one: Any) => one.name === nic)?.ipAddress
  const pings = (from: string, to: string) =>
    stage.guest(from, `ping -c 1 -W 1 ${to} > /dev/null && echo yes || echo no`)

  /** Each guest reaches the other on both networks, and the gateway of the pod network. */
  async function isWhole(): Promise<true> {
    for (const [from, to] of [
      ['x', 'y'],
      ['y', 'z'],
      ['z', 'x'],
    ] as const)
      for (const target of [await addressOf(to, 'blue'), await addressOf(to, 'default'), '10.244.0.1'])
        assert.equal(await pings(from, target), 'yes', `${from} does not reach ${to} or ${target}`)
    return true
  }
  const podMac = async (name: string): Promise<string | undefined> => {
    const netns = `pb-${(await stage.pod(name)).metadata.uid}`
    return /link\/ether (\S+)/.exec(await must('ip', ['-n', netns, 'link', 'show', primaryLinkNames.pod]))?.[1]
  }
  const heals = (what: string) => eventually(what, isWhole, { deadlineMs: patienceMs, everyMs: 200 })
  const repairs = async (): Promise<string[]> => {
    const { body } = await stage.api.call('GET', path.events)
    const told = body.items.filter((one: Any) => one.reason === 'NetworkRepaired')
    return told.map((one: Any) => `${one.involvedObject.name} ${one.count ?? 1} ${one.lastTimestamp} ${one.message}`)
  }

  const told: Readonly<Record<string, RegExp>> = {
    "the sandbox's packet filter is flushed": /packet filter rules of the sandbox were gone or changed/,
    "the host's packet filter is flushed": /host's packet filter rules of the pod network were gone or changed/,
    'the bridge of the pod network is deleted in the sandbox': /the bridge k6t-eth0 was gone \(interface "default"\)/,
    'the bridge of a network is deleted in the sandbox': /the bridge k6t-\w+ was gone \(interface "blue"\)/,
    'the link of the pod network is deleted in the sandbox': /the link eth0 was gone/,
    'the link of the pod network is set down': /the link eth0 was down/,
    'the tap of a network is deleted': /the link tap\w+ was gone \(interface "blue"\)/,
    'the tap of the pod network is deleted': /the link tap0 was gone \(interface "default"\)/,
    'the tap leaves its bridge': /the link tap\w+ had left the bridge k6t-/,
    'the tap is set down': /the link tap\w+ was down/,
    'a bridge gets another MTU': /the bridge k6t-\w+ had another MTU/,
    "the host's end of the pod network is deleted": /the link eth0 was gone|the link veth\w+ of the host was gone/,
    "the host's end of a network leaves its bridge": /the link veth\w+ had left the bridge br-blue/,
    "the host's bridge of the pod network is deleted": /the bridge patchbay0 was gone/,
    "the host's bridge of a network is deleted": /the bridge br-blue was gone/,
    'the DHCP server is killed': /the DHCP server had ended/,
    'the network namespace loses its name': /the name of its network namespace was gone/,
  }

  for (const [name, pattern] of Object.entries(told))
    test(`${name}: it is mended, and an Event says so`, async () => {
      const qemu = await stage.qemuPid('x')
      const mac = await podMac('x')
      const before = await repairs()
      const start = performance.now()
      await damagesTo(stage, 'x')[name]!()
      await eventually(
        'the Event',
        async () => (await repairs()).some((one) => !before.includes(one) && pattern.test(one)),
        { deadlineMs: patienceMs },
      )
      await heals('it is whole again')
      console.log(`${name}: whole after ${Math.round(performance.now() - start)} ms`)
      assert.equal(await stage.qemuPid('x'), qemu, 'the guest is the same')
      assert.equal(await podMac('x'), mac, 'its pod is at the MAC that the neighbours know')
    })

  test(`${rounds} rounds of anything, Patchbay and QEMU being killed among it: every round heals, and nobody is killed who was not`, {
    timeout: rounds * 60_000 + 240_000,
  }, async () => {
    const random = randomOf(seed)
    const kinds = [...Object.keys(damagesTo(stage, 'x')), 'Patchbay is killed', 'QEMU is killed']
    const slowest = { ms: 0, what: '' }
    for (let round = 1; round <= rounds; round++) {
      const victim = pick(random, all)
      // Each kind comes before any comes again.
      const kind = kinds[(round - 1 + (seed % kinds.length)) % kinds.length]!
      const before = new Map(await Promise.all(all.map(async (one) => [one, await stage.qemuPid(one)] as const)))
      const start = performance.now()
      if (kind === 'QEMU is killed') {
        process.kill(before.get(victim)!, 'SIGKILL')
        await eventually('it runs again', async () => (await stage.qemuPid(victim)) !== before.get(victim), {
          deadlineMs: patienceMs,
        })
      } else if (kind === 'Patchbay is killed') {
        await stage.kill()
        await stage.up()
      } else await damagesTo(stage, victim)[kind]!()
      await heals(`round ${round} heals: ${kind} (${victim}, SEED=${seed})`)
      const ms = Math.round(performance.now() - start)
      if (ms > slowest.ms) Object.assign(slowest, { ms, what: kind })
      for (const one of all)
        if (kind !== 'QEMU is killed' || one !== victim)
          assert.equal(await stage.qemuPid(one), before.get(one), `${one} in round ${round}: ${kind}`)
    }
    console.log(`${rounds} rounds, SEED=${seed}; the slowest took ${slowest.ms} ms: ${slowest.what}`)
  })

  test('libvirtd is killed: guest information is true again', async () => {
    await damagesTo(stage, 'x')['libvirtd is killed']!()
    await stage.k('wait', 'vmi/x', '--for=condition=AgentConnected', '--timeout=60s')
    await eventually('libvirt is there again', () => stage.virsh('x', 'list', '--name'), { deadlineMs: patienceMs })
    await stage.guest('x', 'ip addr add 10.99.0.7/24 dev eth1')
    await eventually(
      'the status has the new address',
      async () => {
        const nic = (await vmi('x')).status.interfaces.find((one: Any) => one.name === 'blue')
        return nic.ipAddresses.includes('10.99.0.7') || JSON.stringify(nic)
      },
      { deadlineMs: patienceMs },
    )
    await heals('it is whole')
  })
})
