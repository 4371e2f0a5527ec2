import assert from 'node:assert/strict'
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { listLinks, listSandboxLinks } from '#drivers/host/links.ts'
import { path } from '../../tools/stage/api.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { anySource, nad, vm } from '../../tools/stage/manifests.ts'
import { Peers } from '../../tools/stage/peers.ts'
import { must, program } from '../../tools/stage/program.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'
import { type Identity, identityOf } from '../../tools/stage/views.ts'

// biome-ignore lint/suspicious/noExplicitAny: objects of the API, looked into as they come
type Any = any

const subnets = { red: '192.168.81', blue: '192.168.82' } as const
type Side = keyof typeof subnets

const config = (name: string, more: object = {}) => ({ cniVersion: '0.4.0', name, type: 'bridge', ...more })
const lan = (name: Side) =>
  nad(
    name,
    config(name, { bridge: `br-${name}`, ipam: { type: 'host-local', subnet: `${subnets[name]}.0/24` } }),
    anySource,
  )

describe('moving cards of real guests to other networks', () => {
  let stage: Stage
  let identity: Identity
  let netns: string
  const peers = new Peers()
  let peerOn: Readonly<Record<Side, string>>

  before(async () => {
    stage = await Stage.open()
    const plugins = `${stage.dir}/plugins`
    await mkdir(plugins)
    await plugin(
      plugins,
      'broken',
      '[ "$CNI_COMMAND" = DEL ] && exit 0\necho \'{"code":11,"msg":"no port left on the switch"}\'; exit 1',
    )
    // Takes its time once, so that Patchbay can be killed in the middle, and is the bridge plugin then.
    await plugin(
      plugins,
      'slow',
      `[ "$CNI_COMMAND" = ADD ] && ! [ -e ${stage.dir}/slow ] && echo $$ > ${stage.dir}/slow && sleep 60
exec /usr/lib/cni/bridge`,
    )
    await provideDemoGuest(stage)
    await stage.up(['--cni-bin-dir', `/usr/lib/cni,${plugins}`])
    await stage.apply(lan('red'), lan('blue'), nad('none'), nad('broken', config('broken', { type: 'broken' })))
    await stage.apply(vm('x', { secondary: { red: 'up' }, graceSeconds: 0 }))
    await stage.waitFor('x', 'AgentConnected')
    identity = await identityOf(stage, 'x')
    netns = `pb-${identity.podUid}`
    // A host on each of the networks, made by the test alone; whoever is not on the network cannot reach it.
    peerOn = { red: await addPeer('red'), blue: await addPeer('blue') }
  })
  after(async () => {
    await stage.stop()
    await stage.down()
    // What the test made is none of Patchbay's, and nobody else is on it any more.
    await peers.remove()
    await stage[Symbol.asyncDispose]()
  })

  async function plugin(folder: string, name: string, script: string): Promise<void> {
    await writeFile(`${folder}/${name}`, `#!/bin/sh\n${script}\n`)
    await chmod(`${folder}/${name}`, 0o755)
  }

  const addPeer = (side: Side) => peers.add(`br-${side}`, `${subnets[side]}.200`)
  const until = (what: string, isDone: (vmi: Any) => unknown) =>
    eventually(
      what,
      async () => {
        const { body: vmi } = await stage.api.call('GET', path.vmi('x'))
        return Boolean(isDone(vmi)) && vmi
      },
      { deadlineMs: patienceMs },
    )
  const statusOf = (vmi: Any) => vmi.status?.interfaces?.find((one: Any) => one.name === 'red')
  const conditionOf = (object: Any, type: string) => object.status?.conditions?.find((one: Any) => one.type === type)
  const patch = (...operations: readonly object[]) =>
    stage.k('patch', 'vm', 'x', '--type=json', '-p', JSON.stringify(operations))
  const at = '/spec/template/spec'
  const onto = (network: string) => ({ op: 'replace', path: `${at}/networks/1/multus/networkName`, value: network })
  const link = (value: string) => ({ op: 'add', path: `${at}/domain/devices/interfaces/1/state`, value })
  const networkOf = async (): Promise<string> => {
    const { annotations } = (await stage.pod('x')).metadata
    const list = JSON.parse(annotations['k8s.v1.cni.cncf.io/network-status'])
    return list.find((one: Any) => one.interface === statusName)?.name
  }
  const statusName = 'podb1f51a511f1'
  const arrives = (network: string) =>
    eventually(`the card is on ${network}`, async () => (await networkOf()) === `default/${network}`, {
      deadlineMs: patienceMs,
    })
  const eventsOf = async (reason: string): Promise<string[]> => {
    const { body } = await stage.api.call('GET', path.events)
    return body.items.filter((one: Any) => one.reason === reason).map((one: Any) => one.message)
  }
  /** Whether a network's peer reaches an address: nobody listens there, and who is told so has reached it. */
  const knocks = async (side: Side, address: string): Promise<boolean> => {
    const knock = `timeout 1 bash -c 'echo > /dev/tcp/${address}/9'`
    return (await program('ip', ['netns', 'exec', peerOn[side], 'sh', '-c', knock])).stderr.includes('refused')
  }
  /** Whether an interface has an address of a network's pool; `reaches` gives it one of its own for moments. */
  const hasLease = (status: Any, side: Side) =>
    status?.ipAddress?.startsWith(subnets[side]) && status.ipAddress !== ownAddress(side)
  const ownAddress = (side: Side) => `${subnets[side]}.77`
  /** Whether peer and guest answer each other on a network: with addresses of its own, so that no lease has a say in it. */
  const reaches = async (side: Side): Promise<boolean> => {
    const [own, other] = [ownAddress(side), `${subnets[side]}.200`]
    await stage.guest('x', `ip addr add ${own}/24 dev eth1`)
    const back = await stage.guest('x', `ping -c 1 -W 1 -I eth1 ${other} >/dev/null && echo reached || echo lost`)
    const there = await knocks(side, own)
    await stage.guest('x', `ip addr del ${own}/24 dev eth1`)
    assert.equal(there, back === 'reached', `one way only on ${side}: ${there} and ${back}`)
    return there
  }
  /** The card answers on one network and not on the other. */
  const isOn = async (side: Side) => {
    const other = side === 'red' ? 'blue' : 'red'
    await eventually(`peers on ${side} and the guest reach each other`, () => reaches(side), { deadlineMs: patienceMs })
    assert.equal(await reaches(other), false, `it still answers on ${other}`)
  }
  const guestHas = (address: string) =>
    eventually(
      `the guest has ${address}`,
      async () => (await stage.guest('x', 'ip -4 addr show eth1')).includes(` ${address}/`),
      { deadlineMs: patienceMs },
    )
  const untouched = async () => {
    assert.deepEqual(await identityOf(stage, 'x'), identity)
    const { body } = await stage.api.call('GET', '/apis/kubevirt.io/v1/virtualmachineinstancemigrations')
    assert.deepEqual(body.items, [])
    const { body: object } = await stage.api.call('GET', path.vm('x'))
    assert.equal(conditionOf(object, 'RestartRequired'), undefined)
  }
  /** What is on the host for the secondary interface: one of everything, and nothing of a network it is not on. */
  const onlyOn = async (side: Side | undefined) => {
    const folder = `${stage.dir}/pods/${identity.podUid}`
    const look = async () => ({
      pod: (await must('ip', ['-n', netns, '-o', 'link'])).match(/ pod[0-9a-f]{11}@/g)?.length,
      ports: Object.fromEntries(
        await Promise.all(
          (['red', 'blue'] as const).map(async (one) => [
            one,
            (await must('ip', ['-o', 'link', 'show', 'master', `br-${one}`])).trim().split('\n').filter(Boolean).length,
          ]),
        ),
      ),
      leases: await Promise.all(
        (['red', 'blue'] as const).map(async (one) => {
          const files = await readdir(`${stage.dir}/ipam/${one}`).catch(() => [])
          return files.filter((file) => file.startsWith('192.')).length
        }),
      ),
      dhcp: (await readdir(folder)).filter((file) => /^dnsmasq-k6t-[0-9a-f]{11}\.pid$/.test(file)).length,
      cni: (await readdir(`${stage.dir}/cni`)).filter(
        (file) => file.startsWith(identity.podUid) && file.endsWith('.json'),
      ).length,
    })
    const has = (one: Side) => (side === one ? 1 : 0)
    const expected = {
      pod: 1,
      ports: { red: 1 + has('red'), blue: 1 + has('blue') },
      leases: [has('red'), has('blue')],
      dhcp: side ? 1 : 0,
      cni: 2,
    }
    let seen: unknown
    await eventually(
      'nothing is left over',
      async () => {
        seen = await look()
        assert.deepEqual(seen, expected)
        return true
      },
      { deadlineMs: patienceMs },
    )
  }

  test('a card moves to another network in place: it answers there, both ways, and no longer where it was', async () => {
    assert.equal(statusOf((await stage.api.call('GET', path.vmi('x'))).body).podInterfaceName, statusName)
    await isOn('red')
    await onlyOn('red')
    await patch(onto('blue'))
    await arrives('blue')
    // Its cable was pulled and put back: the guest asks for an address by itself.
    const vmi = await until('the status follows', (one) => hasLease(statusOf(one), 'blue'))
    await guestHas(statusOf(vmi).ipAddress)
    await isOn('blue')
    await untouched()
    await onlyOn('blue')
    assert.deepEqual(
      [statusOf(vmi).podInterfaceName, statusOf(vmi).linkState, vmi.spec.networks[1].multus.networkName],
      [statusName, 'up', 'blue'],
    )
    const { annotations } = (await stage.pod('x')).metadata
    assert.equal(JSON.parse(annotations['k8s.v1.cni.cncf.io/networks'])[0].name, 'blue')
    assert.match(await must('ip', ['-n', netns, 'link', 'show', statusName]), /master k6t-/, 'its name is no link')
    await eventually('the event', async () => (await eventsOf('NicRewired')).length)
    assert.match(
      (await eventsOf('NicRewired')).join(),
      /^Interface "red" was moved from network default\/red to default\/blue, asked for by \S+$/,
    )
    for (const reason of ['LinkChanged', 'LinkDrift']) assert.deepEqual(await eventsOf(reason), [])
    const carrier = await stage.guest('x', 'cat /sys/class/net/eth1/carrier_changes')
    assert.ok(Number(carrier) >= 2, 'the guest never saw its cable pulled')
  })

  test('links are read from the sandbox as ip tells them, also without its libvirtd', async () => {
    const place = { dir: `${stage.dir}/pods/${identity.podUid}`, netns }
    const signal = AbortSignal.timeout(patienceMs)
    const seen = await listSandboxLinks(place, signal)
    assert.deepEqual(seen, await listLinks(netns, signal))
    assert.equal(seen.get(statusName), undefined, 'a name beside its own is no link')
    assert.ok([...seen.values()].some(({ master }) => master?.startsWith('k6t-')))
    const nobody = await listSandboxLinks({ ...place, dir: `${place.dir}/none` }, signal)
    assert.deepEqual([...nobody.keys()].toSorted(), [...seen.keys()].toSorted())
  })

  test('with the bounce switched off, the guest sees no carrier change', async () => {
    const changes = () => stage.guest('x', 'cat /sys/class/net/eth1/carrier_changes')
    const before = await changes()
    await stage.k('annotate', 'vm', 'x', 'patchbay.dev/rewire-bounce=false')
    await patch(onto('red'))
    await arrives('red')
    await onlyOn('red')
    assert.equal(await changes(), before)
    await stage.k('annotate', 'vm', 'x', 'patchbay.dev/rewire-bounce-')
    await isOn('red')
    await untouched()
  })

  for (const [network, complaint] of [
    [
      'missing',
      /stays on default\/red: .*default\/missing, which does not exist.*set networkName back to default\/red/,
    ],
    ['broken', /stays on default\/red: CNI plugin "broken" .* failed: no port left on the switch/],
  ] as const)
    test(`a network that cannot be had (${network}) leaves the card reachable where it was, and says what to do`, async () => {
      const before = await stage.guest('x', 'cat /sys/class/net/eth1/carrier_changes')
      await patch(onto(network))
      const told = await until('told', (vmi) =>
        conditionOf(vmi, 'Synchronized')?.message.includes(`default/${network}`),
      )
      assert.match(conditionOf(told, 'Synchronized').message, complaint)
      await eventually('the event', async () => (await eventsOf('NicHotplug')).some((one) => complaint.test(one)))
      assert.equal(await reaches('red'), true)
      assert.equal(await networkOf(), 'default/red')
      await patch(onto('red'))
      await until('healed', (vmi) => !conditionOf(vmi, 'Synchronized'))
      assert.equal(
        await stage.guest('x', 'cat /sys/class/net/eth1/carrier_changes'),
        before,
        'tries cost the guest its link',
      )
      await onlyOn('red')
    })

  test('a card whose link is down stays down while it moves, and comes up where it is then', async () => {
    await patch(link('down'))
    await until('it is down', (vmi) => statusOf(vmi).linkState === 'down')
    const before = await stage.guest('x', 'cat /sys/class/net/eth1/carrier_changes')
    await patch(onto('none'))
    await arrives('none')
    await onlyOn(undefined)
    assert.equal(await stage.guest('x', 'cat /sys/class/net/eth1/carrier_changes'), before)
    await patch(onto('blue'), link('up'))
    await arrives('blue')
    await until('it is up', (vmi) => statusOf(vmi).linkState === 'up')
    await isOn('blue')
    await onlyOn('blue')
  })

  test('kill -9 of Patchbay at any point of a move leaves the card on one network, and the next start on the wanted one', async () => {
    await stage.apply(
      nad(
        'slow',
        config('slow', { type: 'slow', bridge: 'br-red', ipam: { type: 'host-local', subnet: '192.168.83.0/24' } }),
      ),
    )
    const { ipAddress } = statusOf(await until('it has an address', (one) => hasLease(statusOf(one), 'blue')))
    await guestHas(ipAddress)
    // In the middle of the plugin's work.
    await patch(onto('slow'))
    const pid = await eventually(
      'the plugin runs',
      async () => /\d+(?=\n)/.exec(await readFile(`${stage.dir}/slow`, 'utf8'))?.[0],
      { deadlineMs: patienceMs },
    )
    await stage.kill()
    await eventually('it is on its network while Patchbay is down', () => knocks('blue', ipAddress), {
      deadlineMs: patienceMs,
    })
    await stage.up(['--cni-bin-dir', `/usr/lib/cni,${stage.dir}/plugins`])
    await patch(onto('red'))
    await arrives('red')
    await onlyOn('red')
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')
    assert.equal(environment, '', 'the plugin goes on, although its network is not wanted any more')
    // And at moments that are spread over the move.
    let side: Side = 'red'
    for (const afterMs of [90, 180]) {
      side = side === 'red' ? 'blue' : 'red'
      await patch(onto(side))
      await eventually(
        'the moment comes',
        (
          (began) => () =>
            performance.now() - began > afterMs
        )(performance.now()),
        { everyMs: 5 },
      )
      await stage.kill()
      await stage.up(['--cni-bin-dir', `/usr/lib/cni,${stage.dir}/plugins`])
      await arrives(side)
      await onlyOn(side)
    }
    await until('its link is up', (vmi) => statusOf(vmi).linkState === 'up')
    await isOn(side)
    await untouched()
    assert.deepEqual(await eventsOf('LinkDrift'), [])
  })
})
