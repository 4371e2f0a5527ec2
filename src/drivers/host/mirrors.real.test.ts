import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, beforeEach, describe, it } from 'node:test'
import { explain, Fault } from '#base/fault.ts'
import { silent } from '#base/log.ts'
import { mirrorLinks, type PlacedMirror, type RecordedMirror } from '#core/sandbox/mirrors.ts'
import { ipBatch } from './links.ts'
import { HostMirrors } from './mirrors.ts'
import { netnsName, netnsPath, removeNetns } from './netns.ts'
import { run } from './run.ts'

const signal = AbortSignal.timeout(120_000)
const mac = '02:70:62:00:00:01'
const [one, two] = ['02:70:62:00:00:0a', '02:70:62:00:00:0b']
const everybody = 'ff:ff:ff:ff:ff:ff'
const hex = (text: string) => text.replaceAll(':', '')
/** A frame of a protocol that nobody answers. */
const frame = (from: string, to = everybody) => `${hex(to)}${hex(from)}88b5${'0'.repeat(92)}`

describe('copies of all traffic of a bridge', { skip: process.getuid?.() !== 0 && 'needs root' }, () => {
  const names = Array.from({ length: 7 }, () => netnsName(randomUUID())) as [string, string, string, ...string[]]
  const [host, first, second] = names
  // The sandbox of each guest and what is in place of the guest itself, at the other end of its tap.
  const sandboxes = [
    { uid: 'a', netns: names[3]!, guest: names[4]! },
    { uid: 'b', netns: names[5]!, guest: names[6]! },
  ] as const
  const [a, b] = sandboxes
  const records = new Map<string, readonly RecordedMirror[]>()
  const open = () =>
    new HostMirrors(
      {
        mirrorsOf: async (uid) => records.get(uid) ?? [],
        writeMirrors: async (uid, mirrors) => void records.set(uid, mirrors),
        mirrorsBeside: async (uid) => [...records].flatMap(([other, mirrors]) => (other === uid ? [] : mirrors)),
      },
      silent,
      host,
    )
  const mirrors = open()
  const wanted: readonly PlacedMirror[] = [{ nic: 'mon', network: 'ns/blue', bridge: 'blue', tap: 'tap1', mac }]

  before(async () => {
    for (const name of names) {
      await run('ip', ['netns', 'add', name], { signal })
      // Nothing is to be sent but by the test.
      const quiet = 'for c in all default; do echo 1 > /proc/sys/net/ipv6/conf/$c/disable_ipv6; done'
      await run('nsenter', [`--net=${netnsPath(name)}`, 'sh', '-c', quiet], { signal })
    }
    await ipBatch(
      host,
      [
        'link add blue type bridge forward_delay 0 stp_state 0 mcast_snooping 0',
        `link add p1 type veth peer name eth0 netns ${first}`,
        `link add p2 type veth peer name eth0 netns ${second}`,
        ...['p1', 'p2'].map((name) => `link set ${name} master blue up`),
        'link set blue up',
      ],
      signal,
    )
    for (const { netns, guest } of sandboxes)
      await ipBatch(netns, [`link add tap1 type veth peer name eth0 netns ${guest}`, 'link set tap1 up'], signal)
    for (const name of [first, second, ...sandboxes.map(({ guest }) => guest)])
      await ipBatch(name, ['link set eth0 up promisc on'], signal)
  })
  beforeEach(async () => {
    for (const place of sandboxes) await mirrors.ensure(place, [], signal)
    assert.deepEqual(await left(), whole)
  })
  after(async () => {
    for (const name of names) await removeNetns(name, AbortSignal.timeout(10_000))
  })

  const tc = (...args: string[]) => run('tc', ['-n', host, ...args], { signal })
  const whole = { links: 0, clsact: 0, promisc: false }
  /** What is on the host of mirrors. */
  async function left() {
    const links = JSON.parse(await run('ip', ['-n', host, '-j', 'link'], { signal })) as {
      ifname: string
      flags: string[]
    }[]
    return {
      links: links.filter(({ ifname }) => ifname.startsWith('mir')).length,
      clsact: (await tc('qdisc', 'show', 'dev', 'blue', 'clsact')).split('\n').filter(Boolean).length,
      promisc: links.find(({ ifname }) => ifname === 'blue')!.flags.includes('PROMISC'),
    }
  }
  const statsOf = async (netns: string, name: string) =>
    JSON.parse(await run('ip', ['-n', netns, '-s', '-j', 'link', 'show', name], { signal }))[0]
  const arrived = async ({ guest }: (typeof sandboxes)[number]): Promise<number> =>
    (await statsOf(guest, 'eth0')).stats64.rx.packets
  async function send(netns: string, frames: readonly string[], name = 'eth0'): Promise<void> {
    const { ifindex } = await statsOf(netns, name)
    // AF_PACKET, SOCK_RAW; struct sockaddr_ll.
    const script = `socket(S, 17, 3, 0) or die $!; while (<STDIN>) { chomp; send(S, pack("H*", $_), 0, pack("SnlSCCa8", 17, 0, ${ifindex}, 0, 0, 6, "")) or die $! }`
    await run('nsenter', [`--net=${netnsPath(netns)}`, 'perl', '-e', script], { input: frames.join('\n'), signal })
  }
  const talk = async () => {
    await send(first, [frame(one), frame(one, two)])
    await send(second, [frame(two), frame(two, one)])
    await send(host, [frame('02:70:62:00:00:0c')], 'blue')
  }
  /** How many of the five frames of a talk between two peers and the host come to a guest. */
  async function heard(...places: (typeof sandboxes)[number][]): Promise<number[]> {
    const before = await Promise.all(places.map(arrived))
    await talk()
    return Promise.all(places.map(async (place, i) => (await arrived(place)) - before[i]!))
  }

  it('come to a tap that is on no bridge, both ways and those of the host, and end without a trace', async () => {
    assert.deepEqual(await heard(a), [0])
    assert.deepEqual(await mirrors.ensure(a, wanted, signal), new Map())
    assert.deepEqual(await heard(a), [5])
    assert.deepEqual(await left(), { links: 1, clsact: 1, promisc: true })
    // A new process finds them as they are to be.
    assert.deepEqual(await open().look(a, wanted, signal), { isDue: false, why: [] })
    await mirrors.ensure(a, [], signal)
    assert.deepEqual(await heard(a), [0])
    assert.deepEqual(records.get('a'), [])
  })

  it('leave out what the guest itself sends and what is sent to it', async () => {
    await mirrors.ensure(a, wanted, signal)
    const before = await arrived(a)
    await send(first, [frame(mac), frame(one, mac), frame(one)])
    assert.equal((await arrived(a)) - before, 1)
  })

  it('come to two taps at once; when one leaves, the other still has all', async () => {
    await mirrors.ensure(a, wanted, signal)
    await mirrors.ensure(b, wanted, signal)
    assert.deepEqual(await heard(a, b), [5, 5])
    assert.deepEqual(await left(), { links: 2, clsact: 1, promisc: true })
    await mirrors.ensure(a, [], signal)
    assert.deepEqual(await heard(a, b), [0, 5])
  })

  it('leave what others have set on the bridge as it was', async () => {
    await tc('qdisc', 'add', 'dev', 'blue', 'clsact')
    await run('ip', ['-n', host, 'link', 'set', 'blue', 'promisc', 'on'], { signal })
    const filter = ['dev', 'blue', 'ingress', 'protocol', 'all', 'pref', '1', 'u32']
    await tc(
      'filter',
      'add',
      ...filter,
      'match',
      'u32',
      '0',
      '0',
      'flowid',
      '1:1',
      'action',
      'mirred',
      'egress',
      'mirror',
      'dev',
      'p1',
      'continue',
    )
    await mirrors.ensure(a, wanted, signal)
    assert.deepEqual(await heard(a), [5])
    await mirrors.ensure(a, [], signal)
    assert.deepEqual(await left(), { links: 0, clsact: 1, promisc: true })
    assert.match(await tc('filter', 'show', 'dev', 'blue', 'ingress'), /pref 1 .*\n.*\n.*to device p1/)
    await tc('qdisc', 'del', 'dev', 'blue', 'clsact')
    await run('ip', ['-n', host, 'link', 'set', 'blue', 'promisc', 'off'], { signal })
  })

  it('are found to be cut, and made again, whatever of them is gone', async () => {
    const links = mirrorLinks('a', wanted[0]!)
    const cuts: readonly (() => Promise<unknown>)[] = [
      () => run('ip', ['-n', host, 'link', 'del', links.host], { signal }),
      () => tc('filter', 'del', 'dev', 'blue', 'egress', 'pref', '1'),
      () => tc('qdisc', 'del', 'dev', 'blue', 'clsact'),
      () => run('ip', ['-n', host, 'link', 'set', 'blue', 'promisc', 'off'], { signal }),
      () => run('tc', ['-n', a.netns, 'filter', 'del', 'dev', links.inside, 'ingress', 'pref', '9'], { signal }),
      () =>
        ipBatch(
          a.netns,
          ['link del tap1', `link add tap1 type veth peer name eth0 netns ${a.guest}`, 'link set tap1 up'],
          signal,
        ).then(() => ipBatch(a.guest, ['link set eth0 up promisc on'], signal)),
    ]
    for (const cut of cuts) {
      await mirrors.ensure(a, wanted, signal)
      await cut()
      const told = 'the copy of the traffic of blue was cut (interface "mon")'
      assert.deepEqual(await mirrors.look(a, wanted, signal), { isDue: true, why: [told] }, String(cut))
      assert.deepEqual(await mirrors.ensure(a, wanted, signal), new Map())
      assert.deepEqual(await heard(a), [5], String(cut))
    }
  })

  it('of a bridge that is not there begin when it comes; a sandbox that is gone leaves nothing', async () => {
    const both = [...wanted, { ...wanted[0]!, bridge: 'later', network: 'ns/later' }]
    await mirrors.ensure(b, both, signal)
    assert.deepEqual(await mirrors.look(b, both, signal), { isDue: false, why: [] })
    await run('ip', ['-n', host, 'link', 'add', 'later', 'type', 'bridge'], { signal })
    assert.deepEqual(await mirrors.look(b, both, signal), { isDue: true, why: [] })
    await mirrors.ensure(b, both, signal)
    assert.equal((await left()).links, 2)
    await removeNetns(b.netns, signal)
    await mirrors.remove(b, signal)
    assert.deepEqual([await left(), records.get('b')], [whole, []])
  })

  it('whose record cannot be written fail alone, and are not made', async () => {
    const full = new HostMirrors(
      {
        mirrorsOf: async () => [],
        writeMirrors: () => Promise.reject(new Fault('Unavailable', 'the disk is full')),
        mirrorsBeside: async () => [],
      },
      silent,
      host,
    )
    const faults = await full.ensure(a, wanted, signal)
    assert.match(explain(faults.get('mon')), /the disk is full/)
    assert.deepEqual(await left(), whole)
    await assert.rejects(full.ensure(a, wanted, AbortSignal.abort()), { kind: 'Aborted' })
  })

  it('that cannot be made are told by interface, and made once they can be', async () => {
    const broken = [{ ...wanted[0]!, nic: 'other', tap: 'tap9' }, ...wanted]
    const faults = await mirrors.ensure(a, broken, signal)
    assert.deepEqual([...faults.keys()], ['other'])
    assert.deepEqual(await heard(a), [5])
    assert.deepEqual(await mirrors.ensure(a, wanted, signal), new Map())
    assert.deepEqual(await left(), { links: 1, clsact: 1, promisc: true })
  })
})
