import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Attachment } from '#core/sandbox/plan.ts'
import type { CniResult } from '../cni/result.ts'
import { leaseOf, requireRoom } from './lease.ts'

const attachment = (over: Partial<Attachment> = {}): Attachment => ({
  name: 'blue',
  network: 'default/blue',
  links: { pod: 'pod1', bridge: 'k6t-1', tap: 'tap1' },
  binding: 'bridge',
  mac: '02:00:00:00:00:01',
  queues: 1,
  guestCidr: '10.0.2.0/24',
  ports: [],
  dhcp: { hostname: 'shop' },
  ...over,
})
const result = (over: Partial<CniResult> = {}): CniResult => ({
  ips: [{ address: '192.168.62.2/24', gateway: '192.168.62.1' }],
  routes: [],
  hostInterfaces: [],
  ...over,
})
const routed = (...routes: CniResult['routes']) =>
  leaseOf({ attachment: attachment(), result: result({ routes }) }, 1500, [])

test('a masqueraded guest has the gateway of its own network for a router, and needs no other routes', () => {
  const masquerade = attachment({ binding: 'masquerade' })
  const lease = leaseOf({ attachment: masquerade, result: result({ routes: [{ dst: '10.99.0.0/16' }] }) }, 1400, [
    '9.9.9.9',
  ])
  assert.deepEqual(
    [lease?.address, lease?.router, lease?.routes, lease?.mtu, lease?.dns],
    ['10.0.2.2', '10.0.2.1', [], 1400, ['9.9.9.9']],
  )
})

test('a network without a way out names no router, whatever gateway its addresses have', () => {
  assert.deepEqual([routed()?.router, routed()?.routes], [undefined, []])
})

test('the way out alone is a router and no route', () => {
  const lease = routed({ dst: '0.0.0.0/0' })
  assert.deepEqual([lease?.router, lease?.routes], ['192.168.62.1', []])
})

test('with other routes the way out is one of them, the last, and the router stays for guests that know no routes', () => {
  const lease = routed({ dst: '0.0.0.0/0' }, { dst: '10.99.0.0/16', gw: '192.168.62.7' }, { dst: '10.98.0.0/16' })
  assert.equal(lease?.router, '192.168.62.1')
  assert.deepEqual(lease?.routes, [
    { dst: '10.99.0.0/16', gateway: '192.168.62.7' },
    { dst: '10.98.0.0/16', gateway: '192.168.62.1' },
    { dst: '0.0.0.0/0', gateway: '192.168.62.1' },
  ])
})

test('a route without any gateway leads to the link itself, and a way out without one names no router', () => {
  const ips = [{ address: '192.168.62.2/24' }]
  const routes = [{ dst: '0.0.0.0/0' }, { dst: '10.99.0.0/16' }]
  const lease = leaseOf({ attachment: attachment(), result: result({ ips, routes }) }, 1500, [])
  assert.equal(lease?.router, undefined)
  assert.deepEqual(
    lease?.routes.map(({ gateway }) => gateway),
    ['0.0.0.0', '0.0.0.0'],
  )
})

test('routes of IPv6, and what is none, are not told', () => {
  const lease = routed(
    { dst: 'fd00::/8' },
    { dst: '10.99.0.0/16\nx', gw: '10.0.0.1' },
    { dst: '10.99.0.0/16', gw: 'fd00::1' },
  )
  assert.deepEqual(lease?.routes, [])
})

test('an address of IPv6 alone is not served', () => {
  const ips = [{ address: 'fd00::2/64' }]
  assert.equal(leaseOf({ attachment: attachment(), result: result({ ips }) }, 1500, []), undefined)
})

test("name servers are the host's and then the owner's, each once, or the owner's alone", () => {
  const dns = (dhcp: Attachment['dhcp']) =>
    leaseOf({ attachment: attachment({ ...(dhcp && { dhcp }) }), result: result() }, 1500, ['1.1.1.1', '2.2.2.2'])?.dns
  const nameservers = ['2.2.2.2', '3.3.3.3']
  assert.deepEqual(dns({ hostname: 'x' }), ['1.1.1.1', '2.2.2.2'])
  assert.deepEqual(dns({ hostname: 'x', nameservers }), ['1.1.1.1', '2.2.2.2', '3.3.3.3'])
  assert.deepEqual(dns({ hostname: 'x', nameservers, isOwnDns: true }), nameservers)
})

test('the attachment of an earlier version, which says nothing of DHCP, is served', () => {
  const { dhcp: _, ...old } = attachment()
  assert.equal(leaseOf({ attachment: old, result: result() }, 1500, [])?.address, '192.168.62.2')
})

test('more routes than a guest can be told of are refused in words', () => {
  const many = (n: number) => ({
    attachment: attachment(),
    result: result({ routes: Array.from({ length: n }, (_, i) => ({ dst: `10.${i}.0.0/16` })) }),
  })
  requireRoom(many(36))
  assert.throws(() => requireRoom(many(37)), /network default\/blue has 37 routes, which take 259 bytes/)
})
