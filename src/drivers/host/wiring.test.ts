import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Attachment } from '#core/sandbox/plan.ts'
import type { Link } from './links.ts'
import { guestAddresses, masqueradeRules, netmask, unwiringCommands, wiringCommands } from './wiring.ts'

const attachment = (over: Partial<Attachment> = {}): Attachment => ({
  name: 'default',
  network: 'pod',
  links: { pod: 'eth0', bridge: 'k6t-eth0', tap: 'tap0' },
  binding: 'masquerade',
  mac: '02:00:00:00:00:01',
  queues: 1,
  guestCidr: '10.0.2.0/24',
  ports: [],
  ...over,
})
const link = (ifname: string, master?: string): [string, Link] => [
  ifname,
  { ifname, mtu: 1400, isUp: true, ...(master && { master }) },
]
const user = { uid: 64055 }

test('the guest of a masqueraded network is its second host, the gateway its first', () => {
  assert.deepEqual(guestAddresses('10.0.2.0/24'), { gateway: '10.0.2.1', guest: '10.0.2.2', prefix: 24 })
  assert.deepEqual(guestAddresses('192.168.255.252/30'), {
    gateway: '192.168.255.253',
    guest: '192.168.255.254',
    prefix: 30,
  })
})

for (const [prefix, mask] of [
  [24, '255.255.255.0'],
  [0, '0.0.0.0'],
  [32, '255.255.255.255'],
  [19, '255.255.224.0'],
] as const)
  test(`a prefix of ${prefix} is the mask ${mask}`, () => assert.equal(netmask(prefix), mask))

test('wiring makes only what is missing, with the MTU of the network', () => {
  const fresh = wiringCommands(attachment(), new Map([link('eth0')]), user)
  assert.ok(fresh.includes('link add k6t-eth0 mtu 1400 type bridge forward_delay 0 stp_state 0 mcast_snooping 0'))
  assert.ok(fresh.includes('tuntap add dev tap0 mode tap user 64055 vnet_hdr'))
  const again = wiringCommands(attachment(), new Map([link('eth0'), link('k6t-eth0'), link('tap0', 'k6t-eth0')]), user)
  assert.deepEqual(
    again.filter((command) => / add /.test(command)),
    [],
  )
})

test('a bridged guest gets the address that CNI gave: it is taken off the link', () => {
  const commands = wiringCommands(attachment({ binding: 'bridge' }), new Map([link('eth0')]), user)
  assert.ok(commands.indexOf('addr flush dev eth0') < commands.indexOf('link set eth0 master k6t-eth0'))
  assert.ok(
    !wiringCommands(attachment(), new Map([link('eth0')]), user).some((command) => command.includes('flush')),
    'a masqueraded one keeps it',
  )
})

test('a card on no network has its tap on its bridge alone, even beside a link of the name that CNI would use', () => {
  const off = attachment({ binding: 'bridge', network: 'patchbay-none' })
  for (const present of [new Map(), new Map([link('eth0')])]) {
    const commands = wiringCommands(off, present, user)
    assert.ok(!commands.some((command) => / eth0( |$)/.test(command)), commands.join('\n'))
    assert.ok(commands.includes('link set tap0 mtu 1500 master k6t-eth0'))
    assert.deepEqual(unwiringCommands(off, present), [])
  }
})

test('a link that a plugin gave the guest’s MAC gets another, and learns nothing of what is reflected', () => {
  const bridged = attachment({ binding: 'bridge' })
  const withMac = (address: string) => new Map([['eth0', { ifname: 'eth0', mtu: 1500, isUp: true, address }]])
  const told = wiringCommands(bridged, withMac('02:00:00:00:00:01'), user)
  const renamed = told.indexOf('link set eth0 address 0e:00:00:00:00:01')
  assert.ok(renamed > told.indexOf('link set eth0 down') && renamed < told.indexOf('link set eth0 master k6t-eth0'))
  assert.ok(told.includes('link set eth0 type bridge_slave learning off'))
  const addressesWithoutDhcp = wiringCommands(bridged, withMac('9a:00:00:00:00:07'), user)
  assert.ok(!addressesWithoutDhcp.some((command) => / address /.test(command)))
})

test('NAT forwards everything, or only the ports that were asked for', () => {
  assert.match(
    masqueradeRules(attachment(), '10.244.0.5'),
    /iifname "eth0" ip daddr 10\.244\.0\.5 dnat to 10\.0\.2\.2\n/,
  )
  const some = masqueradeRules(
    attachment({
      ports: [
        { protocol: 'tcp', port: 80 },
        { protocol: 'tcp', port: 443 },
        { protocol: 'udp', port: 53 },
      ],
    }),
    '10.244.0.5',
  )
  assert.match(some, /ip daddr 10\.244\.0\.5 tcp dport \{ 80, 443 \} dnat to 10\.0\.2\.2/)
  assert.match(some, /ip daddr 10\.244\.0\.5 udp dport \{ 53 \} dnat to 10\.0\.2\.2/)
  assert.doesNotMatch(some, /ip daddr 10\.244\.0\.5 dnat/)
  const ports = [
    { protocol: 'tcp', port: 8000, end: 8080 },
    { protocol: 'tcp', port: 9, end: 9 },
  ] as const
  const range = masqueradeRules(attachment({ ports }), '10.244.0.5')
  assert.match(range, /tcp dport \{ 8000-8080, 9 \} dnat to 10\.0\.2\.2/)
  assert.doesNotMatch(range, /ip daddr 10\.244\.0\.5 dnat/)
})
