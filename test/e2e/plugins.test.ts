import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { linkNames } from '#core/nic/names.ts'
import { path } from '../../tools/stage/api.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { addition, anySource, flip, nad, vm } from '../../tools/stage/manifests.ts'
import { migration, migrationOver } from '../../tools/stage/migration.ts'
import { must, program } from '../../tools/stage/program.ts'
import { difference, namespaceSnapshot, recordsIn, type Snapshot } from '../../tools/stage/snapshot.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'

// biome-ignore lint/suspicious/noExplicitAny: objects of the API, looked into as they come
type Any = any
type Plugins = readonly Readonly<Record<string, unknown>>[]

const sides = ['left', 'right'] as const
type Side = (typeof sides)[number]

/** Each network has leases of its own, so what is one net to the guests has a pool for either side. */
const pool = (n: number, side: Side) => ({
  type: 'host-local',
  ranges: [[{ subnet: `10.60.${n}.0/24`, rangeStart: `10.60.${n}.${side === 'left' ? 10 : 20}` }]],
})
const bridge = (n: number, more: object = {}) => ({ type: 'bridge', bridge: `br-pl${n}`, ...more })

/** What each network is made by, on the side of either guest. */
const networks: Readonly<Record<string, (side: Side) => Plugins>> = {
  bridge: () => [bridge(1)],
  spoof: (side) => [bridge(2, { macspoofchk: true, ipam: pool(2, side) })],
  tuning: () => [bridge(3), { type: 'tuning', sysctl: { 'net.ipv4.conf.all.arp_filter': '1' } }],
  bandwidth: () => [bridge(4), { type: 'bandwidth', capabilities: { bandwidth: true } }],
  portmap: (side) => [
    bridge(5, { isGateway: true, ipam: pool(5, side) }),
    { type: 'portmap', capabilities: { portMappings: true } },
  ],
  sbr: (side) => [bridge(6, { ipam: pool(6, side) }), { type: 'sbr' }],
  firewall: (side) => [bridge(7, { ipam: pool(7, side) }), { type: 'firewall', backend: 'iptables' }],
  masquerade: (side) => [
    bridge(8, { isGateway: true, ipMasq: true, capabilities: { ips: true }, ipam: pool(8, side) }),
  ],
  ptp: (side) => [{ type: 'ptp', ipMasq: true, ipam: pool(9, side) }],
  static: (side) => [
    bridge(10, { ipam: { type: 'static', addresses: [{ address: `10.60.10.${sides.indexOf(side) + 1}/24` }] } }),
  ],
  device: (side) => [{ type: 'host-device', device: `hd-${side}` }],
}
const names = Object.keys(networks)
/** Fails in the end of a chain, when everything before has been made. */
const broken = { type: 'tuning', sysctl: { 'net.no.such': '1' } }

/** Shell lines that succeed where a refusal would be wrong: the kernel or the plugin can do it. */
const vlanLink = 'ip link add link lo name probe type vlan id 5 && ip link delete probe'
const vlanBridge = 'ip link add probe type bridge vlan_filtering 1 && ip link delete probe'
const known = (field: string) => `grep -q ${field} /usr/lib/cni/bridge`

/** What cannot carry a guest, and what is said about it; some of it only where something is lacking. */
const refusals: Readonly<Record<string, readonly [plugins: Plugins, said: RegExp, unless?: string]>> = {
  dhcp: [[bridge(20, { ipam: { type: 'dhcp' } })], /network "dhcp" takes addresses by DHCP .* but no CNI DHCP daemon/],
  macvlan: [[{ type: 'macvlan', master: 'br-hd' }], /default\/macvlan cannot carry .* frames for their own MAC only/],
  ipvlan: [[{ type: 'ipvlan', master: 'br-hd' }], /default\/ipvlan cannot carry .* frames for their own MAC only/],
  loopback: [[{ type: 'loopback' }], /default\/loopback cannot carry .* no link that leads anywhere/],
  vrf: [[bridge(21), { type: 'vrf', vrfname: 'blue' }], /default\/vrf cannot carry .* make the VRF in the guest/],
  trunk: [
    [bridge(22, { vlanTrunk: [{ id: 5 }] })],
    /default\/trunk cannot be used: vlanTrunk: .*\/bridge does not know/,
    known('vlanTrunk'),
  ],
  isolated: [
    [bridge(23, { portIsolation: true })],
    /default\/isolated cannot be used: portIsolation: .* does not know/,
    known('portIsolation'),
  ],
  vlan: [[{ type: 'vlan', master: 'br-hd', vlanId: 5 }], /"vlan" .* no VLAN links; .*CONFIG_VLAN_8021Q/, vlanLink],
  tagged: [[bridge(24, { vlan: 5 })], /"tagged" .* no VLANs on bridges; .*CONFIG_BRIDGE_VLAN_FILTERING/, vlanBridge],
}

describe('networks of every CNI plugin that Debian has', () => {
  let stage: Stage
  let baseline: Snapshot

  before(async () => {
    stage = await Stage.open()
    for (const side of sides)
      await must('ip', ['link', 'add', `hd-${side}`, 'type', 'veth', 'peer', 'name', `hd-${side}-far`])
    await must('ip', ['link', 'add', 'br-hd', 'type', 'bridge'])
    for (const side of sides) await must('ip', ['link', 'set', `hd-${side}-far`, 'master', 'br-hd', 'up'])
    await must('ip', ['link', 'set', 'br-hd', 'up'])
    await provideDemoGuest(stage)
    await stage.up()
    // The pod network has left its marks before anything is compared.
    await stage.apply(vm('first', { graceSeconds: 0 }))
    await stage.waitFor('first', 'AgentConnected')
    await stage.k('delete', 'vm', 'first', `--timeout=${patienceMs / 1000}s`)
    baseline = await traces()
  })
  after(async () => {
    for (const link of [...sides.map((side) => `hd-${side}-far`), 'br-hd'])
      await program('ip', ['link', 'delete', link])
    await stage[Symbol.asyncDispose]()
  })

  /** Everything on the host that networks leave traces in. */
  const traces = async (): Promise<Snapshot> => ({ ...(await namespaceSnapshot()), ...(await recordsIn(stage.dir)) })

  // Guests take addresses of their own, not those that CNI gave.
  const config = (name: string, plugins: Plugins) => nad(name, { cniVersion: '0.4.0', name, plugins }, anySource)
  const list = (items: readonly object[]) => ({ apiVersion: 'v1', kind: 'List', items })
  const complaint = async (name: string): Promise<string> => {
    const { body } = await stage.api.call('GET', path.vmi(name))
    return body.status?.conditions?.find((one: Any) => one.type === 'Synchronized')?.message ?? ''
  }
  const complains = (name: string, said: RegExp) =>
    eventually(
      `${name} complains`,
      async () => {
        assert.match(await complaint(name), said)
        return true
      },
      { deadlineMs: patienceMs },
    )
  /** The address that CNI gave for a card, whatever the guest has. */
  const addressOf = async (guest: string, nic: string): Promise<string | undefined> => {
    const { metadata } = await stage.pod(guest)
    const networks: Any[] = JSON.parse(metadata.annotations['k8s.v1.cni.cncf.io/network-status'])
    return networks.find(({ name }) => name === `default/${nic}`)?.ips?.[0]
  }
  const patch = (name: string, operations: readonly object[]) =>
    stage.k('patch', 'vm', name, '--type=json', '-p', JSON.stringify(operations))

  const routed = (ip: string | undefined, nic: string) =>
    `ip addr add ${ip} dev ${nic}; ip route add 10.60.9.1 dev ${nic}; ip route add 10.60.9.0/24 via 10.60.9.1`

  /**
   * Gives a guest an address on every network, by the order of its cards, in place of DHCP. Where guests are routed and not
   * switched to each other it is the one that CNI gave, as the host knows no other.
   */
  const address = async (guest: Side) => {
    const lines = names.map(async (name, i) => {
      const [nic, host] = [`eth${i + 1}`, sides.indexOf(guest) + 1]
      const own = await addressOf(guest, `${name}-${guest}`)
      const wanted = name === 'ptp' ? routed(own, nic) : `ip addr add 192.168.${i + 1}.${host}/24 dev ${nic}`
      const mapped = name === 'portmap' ? `; ip addr add ${own}/24 dev ${nic}` : ''
      return `/etc/nic remove ${nic} 2>/dev/null; ip addr flush dev ${nic}; ip link set ${nic} up; ${wanted}${mapped}`
    })
    await stage.guest(guest, (await Promise.all(lines)).join('; '))
  }
  /** The networks over which the left guest reaches the right one. */
  const reached = async (): Promise<string[]> => {
    const other = await addressOf('right', 'ptp-right')
    const pings = names.map((name, i) => {
      const ip = name === 'ptp' ? other : `192.168.${i + 1}.2`
      return `(ping -c 1 -W 1 -I eth${i + 1} ${ip} >/dev/null && echo ${name}) &`
    })
    return (await stage.guest('left', `${pings.join(' ')} wait`)).split('\n').filter(Boolean).sort()
  }
  const allReached = (what: string, wanted: readonly string[]) =>
    eventually(
      what,
      async () => {
        assert.deepEqual(await reached(), wanted.toSorted())
        return true
      },
      { deadlineMs: patienceMs },
    )
  const sameOnBoth = (name: string, more: Plugins = []) =>
    list(sides.map((side) => config(`${name}-${side}`, [...networks[name]!(side), ...more])))

  test('each one that fails is told, and is there once its network is mended; then two guests reach each other over all', async () => {
    await stage.apply(list(names.flatMap((name) => sameOnBoth(name, [broken]).items)), nad('elsewhere'))
    for (const side of sides) {
      const manifest: Any = vm(side, {
        secondary: Object.fromEntries(names.map((name) => [`${name}-${side}`, 'up'])),
        graceSeconds: 0,
      })
      const { template } = manifest.spec
      template.metadata = { annotations: { 'kubernetes.io/ingress-bandwidth': '400M' } }
      const portmap = template.spec.domain.devices.interfaces.find(({ name }: Any) => name === 'portmap-left')
      if (portmap) portmap.ports = [{ name: 'web', port: 8080, protocol: 'TCP' }]
      await stage.apply(manifest)
    }
    for (const name of names) {
      for (const side of sides)
        await complains(side, new RegExp(`"tuning" of network "${name}-${side}" \\(ADD\\) failed: .*net/no/such`))
      await stage.apply(sameOnBoth(name))
    }
    for (const side of sides) await stage.waitFor(side, 'AgentConnected')
    for (const side of sides) await address(side)
    await allReached('all are reached', names)
  })

  test('what their capabilities declare is told to them: ports of the host lead to a guest, and traffic is limited', async () => {
    await stage.guest('left', 'echo hello > /tmp/hello; busybox httpd -p 8080 -h /tmp')
    const answer = async () =>
      (await fetch('http://10.60.5.1:8080/hello', { signal: AbortSignal.timeout(2000) })).text()
    assert.equal(await eventually('it answers', answer, { deadlineMs: patienceMs }), 'hello\n')
    const limits = (await must('tc', ['qdisc', 'show'])).match(/ tbf .* rate 400Mbit/g)
    assert.equal(limits?.length, sides.length)
  })

  test('with macspoofchk a guest is heard by the MAC it was given, and by no other', async () => {
    const spoof = `eth${names.indexOf('spoof') + 1}`
    const mac = await stage.guest('left', `cat /sys/class/net/${spoof}/address`)
    const become = (address: string) =>
      stage.guest('left', `ip link set ${spoof} down; ip link set ${spoof} address ${address}; ip link set ${spoof} up`)
    await become('02:00:00:00:be:ef')
    await allReached(
      'all others are reached',
      names.filter((name) => name !== 'spoof'),
    )
    await become(mac)
    await allReached('all are reached again', names)
  })

  test('a link that is lost comes back with the address it had, where its network takes wishes', async () => {
    const [nic] = await stage.pods('right')
    const { pod: link } = linkNames('masquerade-right')
    const inSandbox = ['-n', `pb-${nic.metadata.uid}`]
    const given = await addressOf('right', 'masquerade-right')
    assert.match(given ?? '', /^10\.60\.8\./)
    await must('ip', [...inSandbox, 'link', 'delete', link])
    await eventually(
      'it is back',
      async () => {
        // What changes of an instance has its node look at it.
        await stage.k('annotate', 'vmi', 'right', `nudge=${Date.now()}`, '--overwrite')
        return /master/.test(await must('ip', [...inSandbox, 'link', 'show', link]))
      },
      { deadlineMs: patienceMs, everyMs: 1000 },
    )
    await allReached('all are reached again', names)
    assert.equal(await addressOf('right', 'masquerade-right'), given)
    const leases = await readdir(`${stage.dir}/ipam/masquerade-right`)
    assert.deepEqual(
      leases.filter((file) => file.startsWith('10.')),
      [given],
    )
    const rules = (await must('iptables-save', ['-t', 'nat'])).match(/^-A POSTROUTING .*"masquerade-right\\"/gm)
    assert.equal(rules?.length, 1)
  })

  test('a link that is down carries nothing, and everything again when it is up', async () => {
    const states = (state: string) => flip(Object.fromEntries(names.map((_, i) => [i + 1, state])))
    await patch('left', states('down'))
    await allReached('none is reached', [])
    await patch('left', states('up'))
    await address('left')
    await allReached('all are reached again', names)
  })

  test('every card can be moved to another network and back', async () => {
    const moved = (network: (name: string) => string) =>
      names.map((name, i) => ({
        op: 'replace',
        path: `/spec/template/spec/networks/${i + 1}/multus/networkName`,
        value: network(name),
      }))
    const areOn = (expected: (name: string) => string) =>
      eventually(
        'they are moved',
        async () => {
          const { metadata } = await stage.pod('left')
          const seen = JSON.parse(metadata.annotations['k8s.v1.cni.cncf.io/network-status'])
          const wanted = names.map((name) => `default/${expected(name)}`)
          assert.deepEqual(seen.map((one: Any) => one.name).slice(1), wanted)
          return true
        },
        { deadlineMs: patienceMs },
      )
    await patch(
      'left',
      moved(() => 'elsewhere'),
    )
    await areOn(() => 'elsewhere')
    assert.deepEqual(await reached(), [])
    await patch(
      'left',
      moved((name) => `${name}-left`),
    )
    await areOn((name) => `${name}-left`)
    await address('left')
    await allReached('all are reached again', names)
  })

  test('a guest that moves is reached over every network that is not a piece of one host', async () => {
    const state = `/spec/template/spec/domain/devices/interfaces/${names.indexOf('device') + 1}/state`
    await patch('left', [{ op: 'replace', path: state, value: 'absent' }])
    const isGone = async () => {
      const { body } = await stage.api.call('GET', path.vmi('left'))
      return !body.status.interfaces.some(({ name }: Any) => name === 'device-left')
    }
    await eventually('the device is unplugged', isGone, { deadlineMs: patienceMs })
    await stage.apply(migration('left', 'away'))
    const { status } = await migrationOver(stage, 'away')
    assert.equal(status.phase, 'Succeeded', JSON.stringify(status))
    const rest = names.filter((name) => name !== 'device')
    const switched = rest.filter((name) => name !== 'ptp')
    await eventually(
      'all that are switched are reached',
      async () => {
        const seen = await reached()
        return switched.every((name) => seen.includes(name))
      },
      { deadlineMs: patienceMs },
    )
    // The host routes to the address that CNI gave where the guest is now, and the gateway has another MAC there.
    const ptp = `eth${names.indexOf('ptp') + 1}`
    const now = await addressOf('left', 'ptp-left')
    await stage.guest('left', `ip addr flush dev ${ptp}; ip neigh flush dev ${ptp}; ${routed(now, ptp)}`)
    await allReached('all others are reached', rest)
  })

  test('what cannot carry a guest is refused in words, and disturbs nobody', async (t) => {
    const wanted: [string, Plugins, RegExp][] = []
    for (const [name, [plugins, said, unless = 'false']] of Object.entries(refusals))
      if ((await program('sh', ['-c', unless])).code === 0) t.diagnostic(`this host has what ${name} needs`)
      else wanted.push([name, plugins, said])
    await stage.apply(list(wanted.map(([name, plugins]) => config(name, plugins))))
    const old = { cniVersion: '0.3.1', name: 'old', plugins: [bridge(25), { type: 'firewall' }] }
    await stage.apply(nad('old', old), vm('odd', { graceSeconds: 0 }))
    await stage.waitFor('odd', 'AgentConnected')
    const says: [string, RegExp][] = [
      ...wanted.map(([name, , said]): [string, RegExp] => [name, said]),
      [
        'old',
        /default\/old cannot be used: cniVersion: .* \("firewall" speaks 0\.4\.0, 1\.0\.0\); set cniVersion to 1/,
      ],
    ]
    for (const [name, said] of says) {
      await patch('odd', addition(name, name))
      await complains('odd', said)
      const { body } = await stage.api.call('GET', path.vm('odd'))
      const last = body.spec.template.spec.networks.length - 1
      await patch('odd', [
        { op: 'add', path: `/spec/template/spec/domain/devices/interfaces/${last}/state`, value: 'absent' },
      ])
      await eventually(
        'it is gone',
        async () => {
          const now = (await stage.api.call('GET', path.vm('odd'))).body
          return now.spec.template.spec.networks.length === last
        },
        { deadlineMs: patienceMs },
      )
    }
    // The VM forgets a card that never came as soon as it is absent; its instance says so with the next pass.
    const isQuiet = async () => (await complaint('odd')) === ''
    await eventually('nothing is left to complain about', isQuiet, { deadlineMs: patienceMs })
    assert.equal(await stage.guest('odd', 'echo alive'), 'alive')
  })

  test('of VMs and networks that are deleted nothing is left', async () => {
    const pods = (await Promise.all([...sides, 'odd'].map((name) => stage.pods(name)))).flat()
    assert.ok(pods.length >= 3)
    await stage.k('delete', 'vm', '--all', `--timeout=${patienceMs / 1000}s`)
    await stage.k('delete', 'net-attach-def', '--all', `--timeout=${patienceMs / 1000}s`)
    await eventually(
      'nothing is left',
      async () => {
        assert.deepEqual(difference(baseline, await traces()), [])
        const spaces = await must('ip', ['netns'])
        return !pods.some(({ metadata }) => spaces.includes(metadata.uid))
      },
      { deadlineMs: patienceMs },
    )
  })
})
