import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { path } from '../../tools/stage/api.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { nad, vm } from '../../tools/stage/manifests.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'

// biome-ignore lint/suspicious/noExplicitAny: objects of the API, looked into as they come
type Any = any

/** A network with addresses of both kinds, a way out, and another way to a part of the world. */
const blue = nad('blue', {
  cniVersion: '0.4.0',
  name: 'blue',
  type: 'bridge',
  bridge: 'br-blue',
  isGateway: true,
  ipam: {
    type: 'host-local',
    ranges: [[{ subnet: '192.168.62.0/24' }], [{ subnet: 'fd00:62::/64' }]],
    routes: [{ dst: '0.0.0.0/0' }, { dst: '10.99.0.0/16', gw: '192.168.62.7' }],
  },
})

/** The manifest of a VM with more fields in its instance's spec. */
function vmWith(base: Any, fields: object, dhcpOptions?: object): Any {
  const { spec } = base.spec.template
  const interfaces = spec.domain.devices.interfaces.map((one: Any, i: number) =>
    i === 0 && dhcpOptions ? { ...one, dhcpOptions } : one,
  )
  const domain = { ...spec.domain, devices: { ...spec.domain.devices, interfaces } }
  return { ...base, spec: { ...base.spec, template: { spec: { ...spec, ...fields, domain } } } }
}

const dhcpOptions = {
  bootFileName: 'pxe, "the" 0\\x',
  tftpServerName: '10.9.9.9',
  ntpServers: ['10.1.1.1', '10.1.1.2'],
  privateOptions: [{ option: 240, value: 'site-7' }],
}

describe('what guests are told by DHCP', () => {
  let stage: Stage

  before(async () => {
    stage = await Stage.open()
    await provideDemoGuest(stage)
    await stage.up()
    const names = { nameservers: ['10.5.5.5', '10.5.5.6'], searches: ['lab.example', 'example'] }
    await stage.apply(
      blue,
      vmWith(vm('shop', { secondary: { blue: 'up' } }), { subdomain: 'web' }),
      vmWith(
        vm('other', { graceSeconds: 0 }),
        { hostname: 'front-1', dnsPolicy: 'None', dnsConfig: names },
        dhcpOptions,
      ),
    )
    for (const one of ['shop', 'other']) await stage.waitFor(one, 'AgentConnected')
  })
  after(() => stage[Symbol.asyncDispose]())

  /** What the guest's own DHCP client was told on a card. */
  const told = (name: string, nic: string): Promise<Record<string, string>> =>
    eventually(
      `${name} has a lease on ${nic}`,
      async () => {
        const text = await stage.guest(name, `cat /run/nic/${nic}/lease`)
        return text
          ? Object.fromEntries(text.split('\n').map((line) => /^(\w+)=(.*)$/s.exec(line)?.slice(1) ?? []))
          : undefined
      },
      { deadlineMs: patienceMs, everyMs: 100 },
    )

  test('a guest is told its name, that of its VM, on every interface, and the domain its subdomain makes', async () => {
    for (const nic of ['eth0', 'eth1']) {
      const { hostname, domain, search } = await told('shop', nic)
      assert.deepEqual([hostname, domain, search], ['shop', ...Array(2).fill('web.default.svc.cluster.local')], nic)
    }
  })

  test('a guest is told the name, the name servers and the domains that its owner chose, and no others', async () => {
    const { hostname, domain, search, dns } = await told('other', 'eth0')
    assert.deepEqual(
      [hostname, domain, search, dns],
      ['front-1', 'lab.example', 'lab.example example', '10.5.5.5 10.5.5.6'],
    )
    assert.match(
      await stage.guest('other', 'cat /etc/resolv.conf'),
      /^search lab.example example\nnameserver 10.5.5.5\n/,
    )
  })

  test('a guest is told the DHCP options of its interface as they are written', async () => {
    const { tftp, bootfile, ntpsrv, opt240 } = await told('other', 'eth0')
    assert.deepEqual(
      [tftp, bootfile, ntpsrv, opt240],
      [
        dhcpOptions.tftpServerName,
        dhcpOptions.bootFileName,
        dhcpOptions.ntpServers.join(' '),
        Buffer.from(dhcpOptions.privateOptions[0]!.value).toString('hex'),
      ],
    )
  })

  test('a guest is told the routes of its network, the way out among them, and goes by them', async () => {
    const { staticroutes, router } = await told('shop', 'eth1')
    assert.deepEqual([staticroutes, router], ['10.99.0.0/16 192.168.62.7 0.0.0.0/0 192.168.62.1', '192.168.62.1'])
    assert.match(await stage.guest('shop', 'ip route get 10.99.3.4'), /via 192\.168\.62\.7 dev eth1/)
    const { staticroutes: none } = await told('other', 'eth0')
    assert.equal(none, undefined, 'a router says it all')
  })

  test('an address that DHCP cannot tell is told of by an Event, and the guest may use it', async () => {
    const { body } = await stage.api.call('GET', path.events)
    const about = body.items.filter((one: Any) => one.reason === 'AddressNotTold')
    assert.deepEqual(
      about.map((one: Any) => one.involvedObject.name),
      ['shop'],
    )
    const address = /^The network default\/blue gave interface "blue" the address (fd00:62::\w+), which/
    const [, given] = address.exec(about[0].message) ?? []
    await stage.guest('shop', `ip -6 addr add ${given}/64 dev eth1`)
    const answers = async () => (await stage.guest('shop', 'ping -6 -c 1 -W 1 fd00:62::1')).includes(' 0% packet loss')
    await eventually('the guest is heard by that address', answers, { deadlineMs: patienceMs, everyMs: 100 })
  })

  test('a network with more routes than DHCP has room for starts no VM, in words, and does when it has fewer', async () => {
    const green = (routes: number) =>
      nad('green', {
        cniVersion: '0.4.0',
        name: 'green',
        type: 'bridge',
        bridge: 'br-green',
        ipam: {
          type: 'host-local',
          ranges: [[{ subnet: '192.168.63.0/24' }]],
          routes: Array.from({ length: routes }, (_, i) => ({ dst: `10.${i}.0.0/16`, gw: '192.168.63.1' })),
        },
      })
    await stage.apply(green(37), vm('third', { secondary: { green: 'up' }, graceSeconds: 0 }))
    const says = async () => {
      const { body } = await stage.api.call('GET', path.vmi('third'))
      return body.status?.conditions?.find((one: Any) => one.type === 'Synchronized')?.message ?? ''
    }
    const isTold = async () => /network default\/green has 37 routes, which take 259 bytes in DHCP/.test(await says())
    await eventually('the VM says why', isTold, { deadlineMs: patienceMs })
    assert.equal(await stage.virsh('third', 'list', '--name'), '', 'its guest does not run')
    await stage.apply(green(36))
    await stage.waitFor('third', 'Ready')
  })

  test('a change needs a restart, and is told after it', async () => {
    const before = await told('other', 'eth0')
    await stage.k('patch', 'vm', 'other', '--type=merge', '-p', '{"spec":{"template":{"spec":{"hostname":"front-2"}}}}')
    await stage.waitFor('other', 'RestartRequired')
    assert.equal((await told('other', 'eth0')).hostname, before.hostname)
    await stage.p('restart', 'other')
    await eventually(
      'the new name is told',
      async () => {
        const text = await stage.guest('other', 'cat /run/nic/eth0/lease').catch(() => '') // between two guests
        return text.includes('hostname=front-2')
      },
      { deadlineMs: patienceMs, everyMs: 200 },
    )
  })
})
