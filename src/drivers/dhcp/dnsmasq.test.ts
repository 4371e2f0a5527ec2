import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DhcpLease, dnsmasqConfig } from './dnsmasq.ts'

const lease: DhcpLease = {
  bridge: 'k6t-eth0',
  server: '10.0.2.1',
  mac: '02:00:00:00:00:01',
  address: '10.0.2.2',
  netmask: '255.255.255.0',
  router: '10.0.2.1',
  dns: ['10.0.0.53'],
  mtu: 1400,
  routes: [],
  settings: { hostname: 'shop' },
  foreignSubnet: false,
}

const leases = '/run/dhcp/x.leases'

test('one MAC gets one address for ever, and nobody else gets any', () => {
  const lines = dnsmasqConfig(lease, leases).split('\n')
  assert.ok(lines.includes('dhcp-range=10.0.2.2,static,255.255.255.0,infinite'))
  assert.ok(lines.includes('dhcp-host=02:00:00:00:00:01,10.0.2.2'))
  assert.ok(lines.includes('dhcp-ignore=tag:!known'), 'nobody else is so much as refused')
  assert.ok(lines.includes('port=0'), 'no name service')
  assert.ok(lines.includes('dhcp-option=option:dns-server,10.0.0.53'))
})

test('on a network that is not ours it is no authority, and names itself as nobody’s router', () => {
  const { router: _, ...rest } = lease
  const lines = dnsmasqConfig({ ...rest, foreignSubnet: true }, leases).split('\n')
  assert.ok(!lines.includes('dhcp-authoritative'), 'it would refuse the guests of others')
  assert.ok(lines.includes('dhcp-option=option:router'))
  assert.ok(lines.includes('shared-network=k6t-eth0,10.0.2.2'))
})
