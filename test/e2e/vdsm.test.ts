import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { load } from 'js-yaml'
import { eventually } from '#base/wait.ts'
import { path } from '../../tools/stage/api.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { nad, vm } from '../../tools/stage/manifests.ts'
import { Peers } from '../../tools/stage/peers.ts'
import { must } from '../../tools/stage/program.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'
import { type Identity, identityOf } from '../../tools/stage/views.ts'
import { Vdsm } from '../component/vdsm.ts'

const port = 54_321
const own = '192.168.87.77'
const addresses = { blue: '192.168.87.200', red: '192.168.87.201' } as const
type Network = keyof typeof addresses

describe('vdsm’s API over a real guest', () => {
  let stage: Stage
  let vdsm: Vdsm
  let identity: Identity
  let vmID: string
  const peers = new Peers()
  let red: string

  before(async () => {
    stage = await Stage.open()
    await provideDemoGuest(stage)
    await stage.up(['--vdsm-listen', `127.0.0.1:${port}`])
    await stage.apply(nad('blue'), nad('red'), vm('vm1', { secondary: { blue: undefined }, graceSeconds: 0 }))
    await stage.waitFor('vm1', 'AgentConnected')
    await peers.add('br-blue', addresses.blue)
    red = await peers.add('br-red', addresses.red)
    identity = await identityOf(stage, 'vm1')
    vmID = (await stage.api.call('GET', path.vm('vm1'))).body.metadata.uid
    vdsm = await Vdsm.connect(port, await keys())
    await stage.guest('vm1', `ip link set eth1 up; ip addr add ${own}/24 dev eth1`)
  })
  after(async () => {
    vdsm?.[Symbol.dispose]()
    await stage.stop()
    await stage.down()
    await peers.remove()
    await stage[Symbol.asyncDispose]()
  })

  /** The certificate of the administrator. */
  const keys = async () => {
    const { clusters, users } = load(await readFile(stage.kubeconfig, 'utf8')) as Record<
      string,
      Record<string, never>[]
    >
    const pem = (text = '') => Buffer.from(text, 'base64').toString()
    return {
      ca: pem(clusters?.[0]?.cluster?.['certificate-authority-data']),
      cert: pem(users?.[0]?.user?.['client-certificate-data']),
      key: pem(users?.[0]?.user?.['client-key-data']),
    }
  }
  const update = (more: object) =>
    vdsm.call('VM.updateDevice', { vmID, params: { deviceType: 'interface', alias: 'ua-blue', ...more } })
  const hasCarrier = (wanted: '0' | '1') =>
    eventually(
      `carrier ${wanted}`,
      async () => (await stage.guest('vm1', 'cat /sys/class/net/eth1/carrier')) === wanted,
      { deadlineMs: patienceMs },
    )
  const reaches = async (network: Network) =>
    (await stage.guest('vm1', `ping -c 2 -W 1 -I eth1 ${addresses[network]} >/dev/null && echo yes || echo no`)) ===
    'yes'

  test('T43: updateDevice takes the carrier away and gives it back, and the card is the same', async () => {
    assert.equal(await reaches('blue'), true)
    assert.deepEqual(await update({ linkActive: false }), {})
    await hasCarrier('0')
    const { body } = await stage.api.call('GET', path.vmi('vm1'))
    assert.equal(body.status.interfaces[1].linkState, 'down')
    await update({ linkActive: 'true' })
    await hasCarrier('1')
    assert.equal(await reaches('blue'), true)
    assert.deepEqual(await identityOf(stage, 'vm1'), identity)
  })

  test('updateDevice moves the card to another network, to none, and back', async () => {
    await update({ network: 'red' })
    assert.deepEqual([await reaches('red'), await reaches('blue')], [true, false])
    await update({ network: '' })
    await hasCarrier('0')
    await update({ network: 'blue' })
    await hasCarrier('1')
    assert.equal(await reaches('blue'), true)
    assert.deepEqual(await identityOf(stage, 'vm1'), identity)
  })

  test('T44: updateDevice mirrors a network to the card and ends it, and the guest sees no unplugging', async () => {
    const received = async () => Number(await stage.guest('vm1', 'cat /sys/class/net/eth1/statistics/rx_packets'))
    /** Whether the guest gets what a machine on red says to another one. */
    const hears = async () => {
      const before = await received()
      await must('ip', [
        'netns',
        'exec',
        red,
        'bash',
        '-c',
        'for i in {1..20}; do echo > /dev/udp/192.168.87.99/9; done',
      ])
      return (await received()) - before >= 20
    }
    // Nobody has this address, and nobody has to be asked for it.
    await must('ip', ['-n', red, ...'neigh add 192.168.87.99 lladdr 02:00:00:00:00:99 dev eth0'.split(' ')])
    await stage.guest('vm1', 'ip link set eth1 promisc on')
    await update({ portMirroring: ['red'] })
    await eventually('the guest hears red', hears, { deadlineMs: patienceMs })
    await update({ portMirroring: [] })
    await eventually('the guest hears nothing', async () => !(await hears()), { deadlineMs: patienceMs })
    assert.deepEqual(await identityOf(stage, 'vm1'), identity)
  })
})
