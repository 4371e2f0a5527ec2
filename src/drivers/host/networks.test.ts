import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Fault } from '#base/fault.ts'
import { type Log, silent } from '#base/log.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import type { Cni } from '../cni/cni.ts'
import type { PluginConf } from '../cni/conflist.ts'
import type { CniRuntime } from '../cni/runtime.ts'
import type { HostBridges } from './bridges.ts'
import type { Link } from './links.ts'
import { CniNetworks, type Place } from './networks.ts'

const signal = new AbortController().signal
const netns = 'pb-u'
const place: Place = { dir: '/none', uid: 'u', netns, namespace: 'ns', name: 'pod' }
const mac = '02:70:62:00:00:01'

const attachment = (over: Partial<Attachment> = {}): Attachment => ({
  ...{ name: 'red', network: 'ns/red', config: '{"type":"bridge","bridge":"br1"}', binding: 'bridge', mac },
  ...{ links: { pod: 'pod1', bridge: 'k6t-1', tap: 'tap1' }, queues: 1, guestCidr: '10.0.2.0/24', ports: [] },
  ...over,
})

type Added = Awaited<ReturnType<Cni['added']>>

/** What CNI has in the sandbox, by interface, and all that it was called for. */
function open(t: TestContext, { letGoMs = 1000 } = {}) {
  let nowMs = 5000
  t.mock.method(performance, 'now', () => nowMs)
  const cni = {
    story: [] as string[],
    runtimes: [] as CniRuntime[],
    added: new Map<string, Added>(),
    /** Interfaces whose DEL fails, and why. */
    failing: new Map<string, Fault>(),
    notUndone: [] as string[],
    addFails: undefined as Fault | undefined,
    address: '10.1.0.5/24',
    routes: [] as { dst: string }[],
  }
  const add = async (verb: string, { ifName, runtime, conflist }: Parameters<Cni['add']>[0]) => {
    cni.story.push(`${verb} ${ifName}`)
    cni.runtimes.push(runtime ?? {})
    if (cni.addFails) throw cni.addFails
    const result = { ips: [{ address: cni.address }], routes: cni.routes, hostInterfaces: ['br1', 'veth1'] }
    cni.added.set(ifName, { conflist, result })
    return result
  }
  const fake: Partial<Record<keyof Cni, unknown>> = {
    parse: async (text: string) => {
      const { plugins, ...single } = JSON.parse(text)
      return { cniVersion: '1.0.0', name: 'red', plugins: (plugins ?? [single]) as PluginConf[] }
    },
    added: async ({ ifName }: { ifName: string }) => cni.added.get(ifName),
    interfacesOf: async () => [...cni.added.keys()],
    add: (request: never) => add('add', request),
    addAgain: (request: never) => add('addAgain', request),
    inherit: (request: never, from: { containerId: string; ifName: string }) =>
      add(`inherit ${from.containerId}/${from.ifName}`, request),
    del: async ({ ifName }: { ifName: string }) => {
      cni.story.push(`del ${ifName}`)
      const fault = cni.failing.get(ifName)
      if (fault) throw fault
      cni.added.delete(ifName)
    },
    letGo: async ({ ifName }: { ifName: string }) => {
      cni.story.push(`letGo ${ifName}`)
      return cni.added.delete(ifName) ? cni.notUndone : []
    },
    forget: async () => void cni.story.push('forget'),
  }
  const bridges = {
    claim: async (_: unknown, network: string) => void cni.story.push(`claim ${network}`),
    requireOwn: async (name: string) => void cni.story.push(`require ${name}`),
  }
  const warned: unknown[] = []
  const log = { ...silent, warn: (about: { notUndone?: unknown }) => void warned.push(about.notUndone) } as Log
  const networks = new CniNetworks({
    ...{ cni: fake as unknown as Cni, bridges: bridges as unknown as HostBridges, letGoMs, log },
    ...{ podNetwork: { bridge: 'patchbay0', subnet: '10.244.0.0/23' }, isUnused: () => true },
  })
  const had = (ifName: string, type = 'bridge') =>
    cni.added.set(ifName, {
      conflist: { cniVersion: '1.0.0', name: 'red', plugins: [{ type, bridge: 'br1' }] },
      result: { ips: [{ address: '10.1.0.9/24' }], routes: [], hostInterfaces: ['br1', 'veth1'] },
    })
  const attach = (one: Attachment, over: Partial<Place> = {}, links = new Map<string, Link>()) =>
    networks.add({ ...place, ...over }, one, links, signal)
  return { ...{ cni, networks, had, attach, warned }, pass: (ms: number) => (nowMs += ms) }
}

test('a network is added after its bridges are claimed, and after what was half done is taken back', async (t) => {
  const { attach, cni } = open(t)
  await attach(attachment())
  assert.deepEqual(cni.story, ['claim ns/red', 'letGo pod1', 'add pod1'])
  const { mac: given, pod } = cni.runtimes[0] ?? {}
  assert.deepEqual([given, pod], [mac, { namespace: 'ns', name: 'pod', uid: 'u' }])
})

test('the pod network has the host’s own configuration, and its bridge has to be Patchbay’s', async (t) => {
  const { attach, cni } = open(t)
  const { config: _, ...none } = attachment({ network: 'pod', binding: 'masquerade' })
  await attach(none)
  assert.deepEqual(cni.story, ['claim pod', 'require patchbay0', 'letGo pod1', 'add pod1'])
  assert.equal(cni.runtimes[0]?.mac, undefined, 'the guest is not on it with its own MAC')
})

test('a link that was lost is made again as it was, with the address it had, though its definition is gone', async (t) => {
  const { attach, cni, had } = open(t)
  had('pod1')
  const { config: _, ...gone } = attachment({ problem: 'there is no such network' })
  await attach(gone)
  assert.deepEqual([cni.story, cni.runtimes[0]?.ips], [['claim ns/red', 'addAgain pod1'], ['10.1.0.9/24']])
})

for (const [what, one, message] of [
  ['its definition is gone', { problem: 'ns/red does not exist' }, /^ns\/red does not exist$/],
  ['nobody says why it has none', {}, /^network ns\/red has no configuration$/],
] as const)
  test(`a network that was never added is refused when ${what}`, async (t) => {
    const { attach, cni } = open(t)
    const { config: _, ...without } = attachment(one)
    await assert.rejects(attach(without), { kind: 'Invalid', message })
    assert.deepEqual(cni.story, [])
  })

test('a card on no network is made as it is recorded, and CNI is asked for nothing', async (t) => {
  const { cni, networks } = open(t)
  const { config: _, ...off } = attachment({ network: 'patchbay-none' })
  const nothing = { ips: [], routes: [], hostInterfaces: [] }
  assert.deepEqual(await networks.made(place, [off]), [{ attachment: off, result: nothing, hostLinks: [] }])
  assert.deepEqual(cni.story, [])
})

test('a link of that name which CNI did not make is left alone', async (t) => {
  const { attach, cni, had } = open(t)
  const links = new Map([['pod1', { ifname: 'pod1', mtu: 1500, isUp: true }]])
  await assert.rejects(attach(attachment(), {}, links), {
    kind: 'Unavailable',
    message: /CNI did not put it there; remove it: ip -n pb-u link delete pod1$/,
  })
  assert.deepEqual(cni.story, [])
  had('pod1')
  await attach(attachment(), {}, links)
  assert.deepEqual(cni.story, ['claim ns/red', 'addAgain pod1'])
})

test('a network whose routes no guest can get is taken back', async (t) => {
  const { attach, cni, warned } = open(t)
  cni.routes = Array.from({ length: 100 }, (_, i) => ({ dst: `10.${i}.0.0/16` }))
  cni.notUndone = ['the address 10.1.0.5 stays']
  await assert.rejects(attach(attachment()), { kind: 'Unavailable', message: /have its IPAM give fewer$/ })
  assert.deepEqual([cni.story.at(-1), cni.added.size, warned], ['letGo pod1', 0, [['the address 10.1.0.5 stays']]])
})

test('what a failed plugin leaves behind is reported, and the failure stays what it was', async (t) => {
  const { attach, cni, warned } = open(t)
  cni.addFails = new Fault('Timeout', 'the plugin hangs', { data: { notUndone: ['a link stays'] } })
  await assert.rejects(attach(attachment()), { kind: 'Timeout', message: 'the plugin hangs' })
  assert.deepEqual(warned, [['a link stays']])
})

for (const [what, plugin, there, verb, isTold] of [
  ['inherits its address', { type: 'bridge' }, attachment(), 'inherit s/pod1 pod1', false],
  [
    'is told its MAC where only that passes',
    { type: 'bridge', macspoofchk: true },
    attachment(),
    'inherit s/pod1 pod1',
    true,
  ],
  [
    'is told its MAC where that is asked for',
    { type: 'x', capabilities: { mac: true } },
    attachment(),
    'inherit s/pod1 pod1',
    true,
  ],
  ['gets another on another network', { type: 'bridge' }, attachment({ network: 'ns/blue' }), 'add pod1', false],
] as const)
  test(`where a guest is to come, its interface ${what}`, async (t) => {
    const { attach, cni } = open(t)
    const source = { uid: 's', netns: 'pb-s', attachments: [there] }
    await attach(attachment({ config: JSON.stringify(plugin) }), { source })
    assert.deepEqual([cni.story.at(-1), cni.runtimes[0]?.mac], [verb, isTold ? mac : undefined])
  })

test('the links of a network on the host are those that a plugin is known to name, each with its bridge', async (t) => {
  const { networks, had } = open(t)
  had('pod1')
  had('pod2', 'x')
  const two = attachment({ name: 'blue', links: { pod: 'pod2', bridge: 'k6t-2', tap: 'tap2' } })
  const three = attachment({ name: 'wish', links: { pod: 'pod3', bridge: 'k6t-3', tap: 'tap3' } })
  const made = await networks.made(place, [attachment(), two, three])
  assert.deepEqual(
    made.map((one) => [one.attachment.name, one.hostLinks]),
    [
      ['red', [{ name: 'veth1', bridge: 'br1' }]],
      ['blue', []],
    ],
  )
})

test('networks are given back in reverse; one that fails keeps none of the others', async (t) => {
  const { networks, had, cni } = open(t)
  for (const name of ['pod1', 'pod2']) had(name)
  const two = attachment({ name: 'blue', links: { pod: 'pod2', bridge: 'k6t-2', tap: 'tap2' } })
  cni.failing.set('pod2', new Fault('Unavailable', 'the plugin is gone'))
  await assert.rejects(networks.remove(place, [attachment(), two], signal), { message: 'the plugin is gone' })
  assert.deepEqual([cni.story, [...cni.added.keys()]], [['del pod2', 'del pod1'], ['pod2']])
})

test('what cannot be deleted is let go when it has failed for so long, and said', async (t) => {
  const { networks, had, cni, pass } = open(t)
  had('pod1')
  cni.failing.set('pod1', new Fault('Unavailable', 'the plugin is gone'))
  cni.notUndone = ['the address 10.1.0.9 stays']
  const remove = () => networks.removeAll('u', netns, signal)
  for (const ms of [0, 500, 499]) {
    pass(ms)
    await assert.rejects(remove(), { message: 'the plugin is gone' })
  }
  assert.ok(!cni.story.includes('forget'))
  pass(1)
  assert.deepEqual(await remove(), ['the address 10.1.0.9 stays'])
  assert.deepEqual(cni.story.slice(-3), ['del pod1', 'letGo pod1', 'forget'])
  had('pod1')
  await assert.rejects(remove(), { message: 'the plugin is gone' }, 'it begins from the start')
})

test('an interrupted removal goes on to no other interface, and counts as no failure', async (t) => {
  const { networks, had, cni, pass } = open(t)
  for (const name of ['pod1', 'pod2']) had(name)
  cni.failing.set('pod1', new Fault('Aborted', 'Patchbay stops'))
  await assert.rejects(networks.removeAll('u', netns, signal), { kind: 'Aborted' })
  assert.deepEqual(cni.story, ['del pod1'])
  pass(10_000)
  cni.failing.set('pod1', new Fault('Unavailable', 'no'))
  await assert.rejects(networks.removeAll('u', netns, signal), { kind: 'Unavailable' })
})
