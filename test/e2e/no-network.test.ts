import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { path } from '../../tools/stage/api.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { addition, anySource, nad, vm } from '../../tools/stage/manifests.ts'
import { Peers } from '../../tools/stage/peers.ts'
import { must } from '../../tools/stage/program.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'
import { type Identity, identityOf } from '../../tools/stage/views.ts'

// biome-ignore lint/suspicious/noExplicitAny: objects of the API, looked into as they come
type Any = any

const none = 'patchbay-none'
const [own, other] = ['192.168.86.77', '192.168.86.200']

describe('cards of real guests on no network', () => {
  let stage: Stage
  const peers = new Peers()
  let identity: Identity

  before(async () => {
    stage = await Stage.open()
    await provideDemoGuest(stage)
    await stage.up()
    const ipam = { type: 'host-local', subnet: '192.168.86.0/25' }
    const config = { cniVersion: '0.4.0', name: 'red', type: 'bridge', bridge: 'br-red', ipam }
    await stage.apply(nad('red', config, anySource))
    const manifest: Any = vm('x', { secondary: { red: 'up', off: undefined }, graceSeconds: 0 })
    manifest.spec.template.spec.networks[2].multus.networkName = none
    await stage.apply(manifest)
    await stage.waitFor('x', 'AgentConnected')
    identity = await identityOf(stage, 'x')
    await peers.add('br-red', other)
  })
  after(async () => {
    await peers.remove()
    await stage.stop()
    await stage.down()
    await stage[Symbol.asyncDispose]()
  })

  const statusOf = (vmi: Any, name: string) => vmi.status?.interfaces?.find((one: Any) => one.name === name)
  const instance = async (): Promise<Any> => (await stage.api.call('GET', path.vmi('x'))).body
  const until = (what: string, isDone: (vmi: Any) => unknown) =>
    eventually(what, async () => Boolean(isDone(await instance())), { deadlineMs: patienceMs })
  const onto = (network: string) =>
    stage.k(
      ...['patch', 'vm', 'x', '--type=json', '-p'],
      JSON.stringify([{ op: 'replace', path: '/spec/template/spec/networks/1/multus/networkName', value: network }]),
    )
  const carrier = (nic: string) => stage.guest('x', `cat /sys/class/net/${nic}/carrier`)
  const reaches = async (): Promise<boolean> => {
    await stage.guest('x', `ip addr add ${own}/24 dev eth1`)
    const said = await stage.guest('x', `ping -c 1 -W 1 -I eth1 ${other} >/dev/null && echo reached || echo lost`)
    await stage.guest('x', `ip addr del ${own}/24 dev eth1`)
    return said === 'reached'
  }
  const networksOf = async (): Promise<string[]> => {
    const { annotations } = (await stage.pod('x')).metadata
    return JSON.parse(annotations['k8s.v1.cni.cncf.io/network-status']).map((one: Any) => one.name)
  }
  /** The links of the sandbox by their bridges, of the cards beside the pod's: taps alone, or with a link of CNI's. */
  const ports = async (): Promise<string[]> => {
    const links: Any[] = JSON.parse(await must('ip', ['-n', `pb-${identity.podUid}`, '-j', 'link']))
    const bridges = links.map(({ ifname }) => ifname).filter((name) => /^k6t-[0-9a-f]{11}$/.test(name))
    const kinds = bridges.map((bridge) =>
      links
        .filter(({ master }) => master === bridge)
        .map(({ ifname }) => ifname.slice(0, 3))
        .toSorted()
        .join('+'),
    )
    return kinds.toSorted()
  }
  const hostPorts = async () => (await must('ip', ['-o', 'link', 'show', 'master', 'br-red'])).trim().split('\n').length

  test('a card that is started on none has its tap alone, and its link down', async () => {
    const status = statusOf(await instance(), 'off')
    assert.deepEqual([status.linkState, status.podInterfaceName], ['down', undefined])
    assert.equal(await carrier('eth2'), '0')
    assert.deepEqual(await ports(), ['pod+tap', 'tap'])
    assert.deepEqual(await networksOf(), ['patchbay-pod', 'default/red'])
  })

  test('a card is taken off its network and put back: carrier and traffic go and come, and nothing else changes', async () => {
    await eventually('the peer answers', reaches, { deadlineMs: patienceMs })
    await onto(none)
    await until('its link is down', (vmi) => statusOf(vmi, 'red').linkState === 'down')
    await eventually('the network is released', async () => (await networksOf()).join() === 'patchbay-pod', {
      deadlineMs: patienceMs,
    })
    assert.equal(await carrier('eth1'), '0')
    assert.equal(await reaches(), false)
    await eventually('nothing of it is left', async () => (await ports()).join() === 'tap,tap', {
      deadlineMs: patienceMs,
    })
    assert.equal(await hostPorts(), 1, 'only the peer is on the bridge')
    assert.equal((await must('sh', ['-c', `ls ${stage.dir}/ipam/red`])).includes('192.168.86.'), false)
    assert.equal((await instance()).spec.domain.devices.interfaces[1].state, 'up')
    // A new process finds it as it is to be, and the look at the host finds nothing to mend.
    await stage.kill()
    await stage.up()
    await onto('red')
    await until('its link is up', (vmi) => statusOf(vmi, 'red').linkState === 'up')
    await eventually('the peer answers again', reaches, { deadlineMs: patienceMs })
    assert.equal(await carrier('eth1'), '1')
    assert.deepEqual(await identityOf(stage, 'x'), identity)
    const { body } = await stage.api.call('GET', path.events)
    const reasons: string[] = body.items.map((one: Any) => one.reason)
    for (const reason of ['LinkDrift', 'NetworkRepaired', 'NicHotplug', 'SyncFailed'])
      assert.ok(!reasons.includes(reason), reason)
  })

  test('a card is plugged on none, moves so to another sandbox, and comes up there on a network', async () => {
    await stage.k('patch', 'vm', 'x', '--type=json', '-p', JSON.stringify(addition('late', none)))
    await until('it is plugged', (vmi) => statusOf(vmi, 'late')?.interfaceName)
    assert.equal(await carrier('eth3'), '0')
    await stage.p('migrate', 'x')
    await until('it has moved', ({ status }) => status.migrationState?.completed && !status.migrationState.failed)
    const { metadata } = await stage.pod('x')
    assert.notEqual(metadata.uid, identity.podUid)
    await until('all cards are there', (vmi) => statusOf(vmi, 'late')?.linkState === 'down')
    assert.deepEqual([await carrier('eth1'), await carrier('eth2'), await carrier('eth3')], ['1', '0', '0'])
    const at = '/spec/template/spec/networks/2/multus/networkName'
    await stage.k(
      ...['patch', 'vm', 'x', '--type=json', '-p', JSON.stringify([{ op: 'replace', path: at, value: 'red' }])],
    )
    await until('its link is up', (vmi) => statusOf(vmi, 'off').linkState === 'up')
    await eventually('the guest sees it', async () => (await carrier('eth2')) === '1', { deadlineMs: patienceMs })
  })
})
