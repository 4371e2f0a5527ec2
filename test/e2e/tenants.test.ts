import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { linkNames } from '#core/nic/names.ts'
import { runInGuest } from '../../tools/stage/guest.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { anySource, nad, vm } from '../../tools/stage/manifests.ts'
import { Peers } from '../../tools/stage/peers.ts'
import { must, program } from '../../tools/stage/program.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'

// biome-ignore lint/suspicious/noExplicitAny: objects of the API, looked into as they come
type Any = any

/** A guest of one of the two tenants. */
type Who = Readonly<{ namespace: 'a' | 'b'; name: string }>
const thief: Who = { namespace: 'a', name: 'thief' }
const bridged: Who = { namespace: 'a', name: 'bridged' }
const victim: Who = { namespace: 'b', name: 'victim' }

const subnet = '192.168.77'
const gateway = '10.244.0.1'
const peerAddress = `${subnet}.200`
const { tap } = linkNames('shared')
/** Counts in the host's own namespace what comes from bridge ports, before anything else looks at it. */
const watching = 'watching'

describe('guests of two namespaces on one network', () => {
  let stage: Stage
  const peers = new Peers()
  /** A host on the network, which nobody filters and whose mind is read. */
  let peer: string
  before(async () => {
    stage = await Stage.open()
    await provideDemoGuest(stage)
    await stage.up()
    await stage.configure({ configuration: { network: { permitBridgeInterfaceOnPodNetwork: true } } })
    for (const name of ['a', 'b']) await stage.k('create', 'namespace', name)
    await stage.apply(inNamespace('b', shared()))
    for (const who of [thief, victim]) await stage.apply(machine(who))
    await stage.apply(inNamespace('a', vm('bridged', { binding: 'bridge', graceSeconds: 0 })))
    for (const who of [thief, victim, bridged]) await connected(who)
    peer = await peers.add('br-shared', peerAddress)
    await must('nft', ['add', 'table', 'bridge', watching])
  })
  after(async () => {
    await program('nft', ['delete', 'table', 'bridge', watching])
    await peers.remove()
    await stage?.[Symbol.asyncDispose]()
  })

  const inNamespace = <T extends { metadata: object }>(namespace: string, object: T): T => ({
    ...object,
    metadata: { ...object.metadata, namespace },
  })
  const shared = (annotations = {}) =>
    nad(
      'shared',
      {
        cniVersion: '0.4.0',
        name: 'shared',
        type: 'bridge',
        bridge: 'br-shared',
        ipam: { type: 'host-local', ranges: [[{ subnet: `${subnet}.0/24`, rangeEnd: `${subnet}.99` }]] },
      },
      annotations,
    )
  /** A VM with a card on the network of b, whosever it is. */
  const machine = ({ namespace, name }: Who) => {
    const one = vm(name, { secondary: { shared: 'up' }, graceSeconds: 0 })
    one.spec.template.spec.networks[1] = { name: 'shared', multus: { networkName: 'b/shared' } }
    return inNamespace(namespace, one)
  }
  const connected = ({ namespace, name }: Who) =>
    stage.k('wait', '-n', namespace, '--for=condition=AgentConnected', `vm/${name}`, `--timeout=${patienceMs / 1000}s`)

  const vmiOf = async ({ namespace, name }: Who): Promise<Any> =>
    JSON.parse(await stage.k('get', 'vmi', '-n', namespace, name, '-o', 'json'))
  const podOf = async ({ namespace, name }: Who): Promise<Any> => {
    const pods = JSON.parse(
      await stage.k('get', 'pods', '-n', namespace, '-l', `vm.kubevirt.io/name=${name}`, '-o', 'json'),
    )
    return pods.items.find(({ metadata, status }: Any) => !metadata.deletionTimestamp && status.phase === 'Running')
  }
  const sandboxOf = async (who: Who): Promise<string> => (await podOf(who)).metadata.uid
  async function inGuest(who: Who, line: string): Promise<string> {
    const uid = await sandboxOf(who)
    return runInGuest((...args) => stage.virshAt(uid, ...args), `${who.namespace}_${who.name}`, line)
  }
  /** MAC and address of a card, once its guest has the address. */
  const card = (who: Who, name: string) =>
    eventually(
      `${who.name} has an address on ${name}`,
      async () => {
        const { status } = await vmiOf(who)
        const one = status.interfaces?.find((nic: Any) => nic.name === name)
        const seen = await inGuest(who, 'ip -o -4 addr')
        return one?.ipAddress && seen.includes(` ${one.ipAddress}/`) && { mac: one.mac, ip: one.ipAddress as string }
      },
      { deadlineMs: patienceMs },
    )

  /** Whether a namespace reaches an address: nobody listens there, and who is told so has reached it. */
  const reaches = async (netns: string | undefined, address: string) => {
    const knock = ['timeout', '2', 'bash', '-c', `echo > /dev/tcp/${address}/9`]
    const [first = '', ...rest] = netns ? ['ip', 'netns', 'exec', netns, ...knock] : knock
    return (await program(first, rest)).stderr.includes('refused')
  }
  const untilReached = (netns: string, address: string) =>
    eventually(`${netns} reaches ${address}`, () => reaches(netns, address), { deadlineMs: patienceMs })
  /** Whom a namespace takes an address for. */
  const neighbour = async (netns: string | undefined, address: string): Promise<string | undefined> => {
    const text = await must('ip', [...(netns ? ['-n', netns] : []), 'neigh', 'show', address])
    return / lladdr (\S+)/.exec(text)?.[1]
  }

  /** The port of a bridge that a guest's frames come in by. */
  async function portOf(who: Who, link: string): Promise<string> {
    const shown = await must('ip', ['-n', `pb-${await sandboxOf(who)}`, '-o', 'link', 'show', link])
    const index = /@if(\d+):/.exec(shown)?.[1]
    const line = (await must('ip', ['-o', 'link'])).split('\n').find((one) => one.startsWith(`${index}:`))
    return /^\d+: ([^@:]+)/.exec(line ?? '')![1]!
  }
  /** Counts what comes in by a port and matches, while something is done. */
  async function counted(port: string, matches: readonly string[], work: () => Promise<unknown>): Promise<number[]> {
    const rules = matches.map((match) => `    iifname "${port}" ${match} counter\n`).join('')
    const table = `table bridge ${watching}`
    const chain = `  chain from { type filter hook prerouting priority -400;\n${rules}  }\n`
    await must('nft', ['-f', '-'], { input: `${table}\ndelete ${table}\n${table} {\n${chain}}\n` })
    await work()
    const { nftables } = JSON.parse(await must('nft', ['-j', 'list', 'table', 'bridge', watching]))
    return nftables.flatMap(({ rule }: Any) =>
      rule ? [rule.expr.find((one: Any) => one.counter).counter.packets as number] : [],
    )
  }

  const secondary = linkNames('shared').pod
  /** What a guest does to be taken for another: claims its address, and speaks with its MAC. */
  const imitate = (target: { mac: string; ip: string }) =>
    [
      `ip addr add ${target.ip}/32 dev eth1`,
      `arping -U -c 2 -I eth1 ${target.ip}`,
      `ping -c 2 -W 1 -I ${target.ip} ${peerAddress}`,
      `ip addr del ${target.ip}/32 dev eth1`,
      'own=$(cat /sys/class/net/eth1/address)',
      `ip link set eth1 address ${target.mac}`,
      `ping -c 2 -W 1 -I eth1 ${peerAddress}`,
      'ip link set eth1 address $own',
    ].join('; ')
  const forged = (target: { mac: string; ip: string }) => [
    `ether saddr ${target.mac}`,
    `ether type arp arp saddr ip ${target.ip}`,
    `ip saddr ${target.ip}`,
  ]

  test('none takes MAC or address of another: nothing with a forged source arrives, and the other’s traffic goes on', async () => {
    const target = await card(victim, 'shared')
    const own = await card(thief, 'shared')
    await untilReached(peer, target.ip)
    await untilReached(peer, own.ip)
    const port = await portOf(thief, secondary)
    let isReached = true
    const imitating = async () => {
      const done = inGuest(thief, imitate(target))
      let isOver = false
      const over = done.finally(() => {
        isOver = true
      })
      while (!isOver) isReached = (await reaches(peer, target.ip)) && isReached
      await over
    }
    assert.deepEqual(await counted(port, forged(target), imitating), [0, 0, 0])
    assert.equal(isReached, true)
    assert.equal(await neighbour(peer, target.ip), target.mac)
    // What is its own is let out all the time.
    const speak = () => inGuest(thief, `ping -c 1 -W 2 ${peerAddress}`)
    const [echoes] = await counted(port, [`ether saddr ${own.mac} ip saddr ${own.ip}`], speak)
    assert.equal(echoes, 1)
  })

  test('a masqueraded one sends from no address of another on the pod network', async () => {
    const other = (await podOf(victim)).status.podIP as string
    const own = (await podOf(thief)).status.podIP as string
    const port = await portOf(thief, 'eth0')
    const speak = () =>
      inGuest(
        thief,
        `ip addr add ${other}/32 dev eth0; ping -c 2 -W 1 -I ${other} ${gateway}; ip addr del ${other}/32 dev eth0; ping -c 2 -W 1 ${gateway}`,
      )
    const [strange, plain] = await counted(port, [`ip saddr ${other}`, `ip saddr ${own} icmp type echo-request`], speak)
    assert.deepEqual([strange, plain], [0, 2])
  })

  test('one that is bridged to the pod network takes neither the gateway’s address there nor another’s', async () => {
    await card(bridged, 'default')
    const other = (await podOf(victim)).status.podIP as string
    const netns = `pb-${await sandboxOf(victim)}`
    await untilReached(netns, gateway)
    // Masquerade hands a pod's traffic to its guest, which refuses it.
    await eventually('the host reaches it', () => reaches(undefined, other), { deadlineMs: patienceMs })
    const before = [await neighbour(netns, gateway), await neighbour(undefined, other)]
    assert.ok(before[0] && before[1], String(before))
    const claim = (ip: string) =>
      `ip addr add ${ip}/32 dev eth0; arping -U -c 2 -I eth0 ${ip}; arping -A -c 2 -I eth0 ${ip}; ip addr del ${ip}/32 dev eth0`
    const port = await portOf(bridged, 'eth0')
    const matches = [gateway, other].map((ip) => `ether type arp arp saddr ip ${ip}`)
    assert.deepEqual(await counted(port, matches, () => inGuest(bridged, `${claim(gateway)}; ${claim(other)}`)), [0, 0])
    assert.deepEqual([await neighbour(netns, gateway), await neighbour(undefined, other)], before)
    await untilReached(netns, gateway)
  })

  test('an open network lets everything out, at once and until it is closed again; another’s DHCP server still hears nothing', async () => {
    const target = await card(victim, 'shared')
    const port = await portOf(thief, secondary)
    const free = `${subnet}.150`
    const claims = () =>
      counted(port, [`ether type arp arp saddr ip ${free}`], () =>
        inGuest(
          thief,
          `ip addr add ${free}/32 dev eth1; arping -U -c 1 -I eth1 ${free}; ip addr del ${free}/32 dev eth1`,
        ),
      )
    await stage.apply(inNamespace('b', shared(anySource)))
    await eventually('it is open', async () => ((await claims())[0] ?? 0) > 0, { deadlineMs: patienceMs })
    const ask = `own=$(cat /sys/class/net/eth1/address); ip link set eth1 address ${target.mac}; udhcpc -B -n -q -i eth1 -s /bin/true -t 3 -T 1 -A 0 2>&1; ip link set eth1 address $own`
    const asked = async () => {
      let said = ''
      const [sent] = await counted(port, [`ether saddr ${target.mac} udp dport 67`], async () => {
        said = await inGuest(thief, ask)
      })
      assert.ok(sent, `its question is on the network: ${said}`)
      return said
    }
    assert.match(await asked(), /no lease/)
    // Nothing else than these rules keeps the answer back; they are put back within seconds.
    const netns = `pb-${await sandboxOf(victim)}`
    const withoutRules = async () => {
      for (const chain of ['heard', 'told'])
        await must('ip', ['netns', 'exec', netns, 'nft', 'flush', 'chain', 'bridge', tap, chain])
      return (await asked()).includes(`lease of ${target.ip} obtained`)
    }
    await eventually('its question is answered without them', withoutRules, { deadlineMs: patienceMs })
    await stage.apply(inNamespace('b', shared()))
    await eventually('it is closed again', async () => (await claims())[0] === 0, { deadlineMs: patienceMs })
  })

  test('one that has moved is held to its own there, the address it had among it', async () => {
    const target = await card(victim, 'shared')
    const own = await card(thief, 'shared')
    const before = await sandboxOf(thief)
    await stage.apply({
      apiVersion: 'kubevirt.io/v1',
      kind: 'VirtualMachineInstanceMigration',
      metadata: { name: 'away', namespace: 'a' },
      spec: { vmiName: 'thief' },
    })
    await stage.k('wait', '-n', 'a', '--for=jsonpath={.status.phase}=Succeeded', 'vmim/away', '--timeout=120s')
    await eventually('it is in one place', async () => (await sandboxOf(thief)) !== before, { deadlineMs: patienceMs })
    const port = await portOf(thief, secondary)
    const work = () => inGuest(thief, imitate(target))
    assert.deepEqual(await counted(port, forged(target), work), [0, 0, 0])
    // It has the address it had, whatever the network gave its new place.
    const speak = () => inGuest(thief, `ping -c 1 -W 2 -I ${own.ip} ${peerAddress}`)
    assert.deepEqual(await counted(port, [`ether saddr ${own.mac} ip saddr ${own.ip}`], speak), [1])
  })
})
