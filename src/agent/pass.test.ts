import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { Fault } from '#base/fault.ts'
import { openAgent } from '#kit/agent/fake-host.ts'
import { instancePass } from './pass.ts'

type State = 'up' | 'down' | 'absent'

/** An instance with one card beside its pod interface. */
function instance({ red = 'up' as State, network = 'red', phase = 'Scheduled' } = {}): VirtualMachineInstance {
  return {
    metadata: { name: 'x', namespace: 'ns', uid: 'v', labels: { 'kubevirt.io/nodeName': 'n' } },
    spec: {
      terminationGracePeriodSeconds: 5,
      domain: {
        firmware: { kernelBoot: { container: { image: 'demo' } } },
        devices: {
          interfaces: [
            { name: 'default', masquerade: {}, macAddress: '02:00:00:00:00:01' },
            { name: 'red', bridge: {}, macAddress: '02:00:00:00:00:02', state: red },
          ],
        },
      },
      networks: [
        { name: 'default', pod: {} },
        { name: 'red', multus: { networkName: network } },
      ],
    },
    status: { phase },
  } as unknown as VirtualMachineInstance
}

function open(t: TestContext, vmi = instance()) {
  t.mock.timers.enable({ apis: ['Date'], now: 1_000_000 })
  const agent = openAgent(vmi)
  const pass = () => instancePass(agent.context, agent.world.pod, agent.world.vmi, new AbortController().signal)
  const want = (over: Parameters<typeof instance>[0]) => {
    const { status, metadata } = agent.world.vmi
    Object.assign(agent.world, { vmi: { ...instance(over), metadata, status } })
    agent.host.story.length = 0
  }
  const condition = (type: string) => agent.world.vmi.status?.conditions?.find((one) => one.type === type)
  const link = () => agent.world.vmi.status?.interfaces?.find(({ name }) => name === 'red')?.linkState
  return { ...agent, pass, want, condition, link }
}

async function running(t: TestContext) {
  const agent = open(t)
  await agent.pass()
  assert.deepEqual(agent.host.story, ['attach default', 'attach red', 'create'])
  agent.host.story.length = 0
  agent.world.events.length = 0
  return agent
}

test('a scheduled instance is started, and its status says what runs', async (t) => {
  const { world, link } = await running(t)
  assert.equal(world.vmi.status?.phase, 'Running')
  assert.equal(link(), 'up')
  assert.equal(world.pod.status?.phase, 'Running')
})

test('a pass over what is as it should be changes nothing', async (t) => {
  const { world, pass, host } = await running(t)
  const before = structuredClone(world.vmi)
  assert.equal(await pass(), undefined)
  assert.deepEqual([host.story, world.events], [[], []])
  assert.deepEqual(world.vmi, before)
})

test('a link is set and reported in the same pass, and its owner hears of it', async (t) => {
  const { want, pass, host, link, world } = await running(t)
  want({ red: 'down' })
  await pass()
  assert.deepEqual([host.story, link()], [['update red down'], 'down'])
  assert.match(world.events.join(), /^LinkChanged Link of interface "red" changed from up to down/)
})

test('what failed is reported, left in peace for a while, and tried again', async (t) => {
  const { want, pass, host, condition } = await running(t)
  want({ network: 'blue' })
  host.failing.set('rewire red ns/blue', new Fault('Unavailable', 'no such bridge'))
  assert.deepEqual(await pass(), { againAfterMs: 250 })
  assert.match(condition('Synchronized')?.message ?? '', /cannot be moved to network ns\/blue .*no such bridge/)
  t.mock.timers.tick(100)
  await pass()
  assert.equal(host.story.length, 1)
  host.failing.clear()
  t.mock.timers.tick(150)
  await pass()
  assert.deepEqual([host.story.length, condition('Synchronized')], [2, undefined])
})

test('a guest is not waited for while it lets go of a card; its end is an event, and its network is given back', async (t) => {
  const { want, pass, host, world } = await running(t)
  host.isSlow = true
  want({ red: 'absent' })
  assert.deepEqual(await pass(), { againAfterMs: 5000 })
  assert.deepEqual([host.story, world.events], [['unplug red'], []])
  host.cards?.delete('red')
  await pass()
  assert.deepEqual(host.story, ['unplug red', 'release red'])
  assert.deepEqual(world.events, ['NicUnplugged Interface "red" was unplugged'])
  assert.deepEqual(
    world.vmi.status?.interfaces?.map(({ name }) => name),
    ['default'],
  )
})

test('a card that lost its tap is plugged anew in a later pass, though that finds nothing damaged any more', async (t) => {
  const { pass, host } = await running(t)
  Object.assign(host, { deaf: ['default'], isSlow: true, repaired: ['the link tap0 was gone'] })
  await pass()
  host.cards?.delete('default')
  await pass()
  assert.deepEqual(host.story, ['unplug default', 'plug default'])
})

test('what was done is reported before anything that takes its time', async (t) => {
  const { world, want, pass, host, link } = await running(t)
  want({ red: 'down', network: 'blue' })
  const rewire = host.networks.rewire
  let seen: unknown
  host.networks.rewire = async (...given) => {
    seen = link()
    return rewire(...given)
  }
  await pass()
  assert.deepEqual([seen, host.story], ['down', ['update red down', 'rewire red ns/blue']])
  assert.ok(world.events.some((event) => event.startsWith('NicRewired')))
})

test('a link that was changed from outside is reported first, and then put back', async (t) => {
  const { world, pass, host, link } = await running(t)
  host.cards?.set('red', { ...host.cards.get('red')!, link: 'down' })
  const update = host.hypervisor.cards.update
  let seen: unknown
  host.hypervisor.cards.update = async (...given) => {
    seen = link()
    return update(...given)
  }
  await pass()
  assert.deepEqual([seen, link()], ['down', 'up'])
  assert.match(world.events.join('|'), /^LinkDrift .*\|LinkChanged .* as declared$/)
})

test('a guest that ended by itself is written down as ended', async (t) => {
  const { world, pass, host } = await running(t)
  host.endGuest('shutdown')
  await pass()
  assert.equal(world.vmi.status?.phase, 'Succeeded')
  host.endGuest('crashed')
  await pass()
  assert.equal(world.vmi.status?.phase, 'Succeeded', 'an end is final')
})

test('a deleted instance is asked to shut down, ended when its time is up, and removed with its pod', async (t) => {
  const { world, pass, host } = await running(t)
  const deletionTimestamp = new Date(1_000_000).toISOString()
  Object.assign(world, { vmi: { ...world.vmi, metadata: { ...world.vmi.metadata, deletionTimestamp } } })
  assert.deepEqual(await pass(), { againAfterMs: 5000 })
  t.mock.timers.tick(1000)
  assert.deepEqual(await pass(), { againAfterMs: 4000 })
  assert.deepEqual(host.story, ['shutdown'])
  t.mock.timers.tick(4000)
  await pass()
  assert.deepEqual([host.story, world.vmi.status?.phase], [['shutdown', 'destroy'], 'Succeeded'])
  Object.assign(world, { pod: { ...world.pod, metadata: { ...world.pod.metadata, deletionTimestamp } } })
  await pass()
  assert.deepEqual(host.story, ['shutdown', 'destroy', 'remove'])
})

test('a guest whose hypervisor is silent is let run until its time is up, and then killed', async (t) => {
  const { world, pass, host, condition } = await running(t)
  const deletionTimestamp = new Date(1_000_000).toISOString()
  Object.assign(world, { vmi: { ...world.vmi, metadata: { ...world.vmi.metadata, deletionTimestamp } } })
  host.isSilent = true
  await pass()
  assert.match(condition('Synchronized')?.message ?? '', /cannot be asked to shut down/)
  t.mock.timers.tick(5000)
  await pass()
  assert.deepEqual([host.story, world.vmi.status?.phase], [['kill'], 'Succeeded'])
})

test('a sandbox that cannot be made is reported, and no guest is started', async (t) => {
  const { pass, host, condition } = open(t)
  host.failing.set('attach red', new Fault('Invalid', 'the NAD is broken'))
  assert.deepEqual(await pass(), { againAfterMs: 250 })
  assert.deepEqual(condition('Synchronized')?.reason, 'FailedSandbox')
  host.failing.clear()
  t.mock.timers.tick(250)
  await pass()
  assert.equal(host.story.at(-1), 'create')
  assert.equal(condition('Synchronized'), undefined)
})

test('what cannot be written fails the pass; the next one finishes it', async (t) => {
  const { world, want, pass, host, link } = await running(t)
  want({ red: 'down' })
  world.isServerGone = true
  await assert.rejects(pass(), { kind: 'Unavailable' })
  world.isServerGone = false
  await pass()
  assert.deepEqual([host.story, link()], [['update red down'], 'down'])
})

test('what was repaired is told', async (t) => {
  const { world, pass, host } = await running(t)
  host.repaired = ['the bridge k6t-eth0 was gone']
  await pass()
  assert.match(world.events.join(), /NetworkRepaired .*the bridge k6t-eth0 was gone/)
})
