import assert from 'node:assert/strict'
import { it } from 'node:test'
import { resultOf } from './result.ts'

const ip = { address: '10.1.0.2/24', gateway: '10.1.0.1' }
const route = { dst: '0.0.0.0/0', gw: '10.1.0.1' }

for (const [answer, ips, routes] of [
  [{ cniVersion: '0.2.0', ip4: { ip: ip.address, gateway: ip.gateway, routes: [route] } }, [ip], [route]],
  [{ cniVersion: '0.3.1', ips: [{ version: '4', ...ip }], routes: [route] }, [ip], [route]],
  [{ cniVersion: '1.0.0', ips: [ip], routes: [{ dst: route.dst }] }, [ip], [{ dst: route.dst }]],
  [{ cniVersion: '1.1.0', ips: [ip], routes: [{ ...route, mtu: 1400, priority: 5 }] }, [ip], [route]],
  [{ ips: null }, [], []],
  [{ ips: 'x', routes: [null, {}, { dst: 7 }] }, [], []],
  [{ ips: [null, 7, { address: 7 }, { address: 'fd00::2/64', gateway: null }] }, [{ address: 'fd00::2/64' }], []],
] as const)
  it(`understands results of every version, and what is none: ${JSON.stringify(answer)}`, () => {
    assert.deepEqual(resultOf(answer), { ips, routes, hostInterfaces: [] })
  })

it('tells the links of the host from those of the container', () => {
  const interfaces = [
    { name: 'br0' },
    { name: 'veth1', sandbox: '' },
    { name: 'eth0', sandbox: '/run/netns/x' },
    null,
    {},
  ]
  assert.deepEqual(resultOf({ interfaces }).hostInterfaces, ['br0', 'veth1'])
})

it('knows the MAC of the link in the container', () => {
  const host = { name: 'veth1', mac: '02:00:00:00:00:01', sandbox: '' }
  const inside = { name: 'eth0', mac: '02:00:00:00:00:02', sandbox: '/run/netns/x' }
  assert.equal(resultOf({ interfaces: [host, { name: 'lo', sandbox: 'x' }, inside] }).mac, inside.mac)
  assert.equal(resultOf({ interfaces: [host, { ...inside, mac: 7 }] }).mac, undefined)
})
