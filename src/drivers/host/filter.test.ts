import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Attachment } from '#core/sandbox/plan.ts'
import { cardFilter, filterScript, linkLocal } from './filter.ts'

const mac = '02:70:62:00:00:01'
const attachment = (over: Partial<Attachment> = {}): Attachment => ({
  name: 'red',
  network: 'ns/red',
  links: { pod: 'pod1', bridge: 'k6t-1', tap: 'tap1' },
  binding: 'bridge',
  mac,
  queues: 1,
  guestCidr: '10.0.2.0/24',
  ports: [],
  ...over,
})
const rulesFor = (one: Partial<Attachment>, given: readonly string[] = []) => {
  const lines = filterScript(cardFilter(attachment(one), given)).split('\n')
  return lines.flatMap((line) => /^ {4}(.*)$/.exec(line)?.[1] ?? [])
}
const guestRules = (...all: Parameters<typeof rulesFor>) =>
  rulesFor(...all).flatMap((rule) => /^iifname "tap1" (.*)$/.exec(rule)?.[1] ?? [])
const arp = `arp htype 1 arp hlen 6 arp plen 4 arp saddr ether ${mac}`

test('a card on a network that gives no addresses is held to its MAC', () => {
  assert.deepEqual(guestRules({}), [
    `ether saddr != ${mac} drop`,
    'meta protocol arp @nh,0,16 1 @nh,32,16 0x0604 @nh,64,48 0x027062000001 accept',
    'meta protocol arp drop',
  ])
})

test('a card that was given addresses is held to these, and to what a client has to send before it has them', () => {
  const own = '0xfd000000000000000000000000000005, 0xfe80000000000000007062fffe000001'
  assert.deepEqual(guestRules({}, ['10.1.0.5', 'fd00::5']), [
    `ether saddr != ${mac} drop`,
    'ether type { 8021q, 8021ad } drop',
    `${arp} arp saddr ip { 10.1.0.5 } accept`,
    `${arp} arp saddr ip 0.0.0.0 arp daddr ip { 10.1.0.5 } accept`,
    'udp dport { 68, 546 } drop',
    'icmpv6 type { nd-router-advert, nd-redirect } drop',
    'ip saddr { 10.1.0.5 } accept',
    'ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept',
    `ip6 saddr :: icmpv6 type nd-neighbor-solicit @th,64,128 { ${own} } accept`,
    'ip6 saddr :: icmpv6 type { nd-router-solicit, mld-listener-report, mld2-listener-report } accept',
    `icmpv6 type nd-neighbor-advert @th,64,128 != { ${own} } drop`,
    'ip6 saddr { fd00::5, fe80::70:62ff:fe00:1 } accept',
    'drop',
  ])
})

test('a card with IPv6 addresses alone speaks no IPv4 but DHCP, and no ARP', () => {
  const rules = guestRules({}, ['fd00::5'])
  assert.deepEqual(
    rules.filter((rule) => /\barp\b/.test(rule)),
    [],
  )
  assert.deepEqual(
    rules.filter((rule) => rule.startsWith('ip saddr')),
    ['ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept'],
  )
})

test('a masqueraded guest has the second address of its own network, whatever CNI gave the pod', () => {
  const rules = guestRules({ binding: 'masquerade', guestCidr: '192.168.0.0/24' }, ['10.244.0.9'])
  assert.ok(rules.includes('ip saddr { 192.168.0.2 } accept'))
  assert.equal(rules.at(-1), 'drop')
  assert.doesNotMatch(rules.join('\n'), /10\.244/)
})

test('an open card sends what it likes, and still only its own DHCP server hears it', () => {
  assert.deepEqual(rulesFor({ isOpen: true }, ['10.1.0.5']), ['iifname "pod1" drop', 'oifname "pod1" drop'])
})

test('only where the bridge is on the network itself does the sandbox have something to keep to itself', () => {
  assert.deepEqual(
    rulesFor({ binding: 'masquerade' }).filter((rule) => rule.includes('pod1')),
    [],
  )
})

test('an address that is none reaches no rule', () => {
  const given = ['10.1.0.5 } accept; drop']
  assert.throws(() => cardFilter(attachment(), given), /network ns\/red gave the address .* which is none/)
})

test('the link-local address of a MAC is that of RFC 4291', () => {
  assert.equal(linkLocal('34:56:78:9a:bc:de'), 'fe80::3656:78ff:fe9a:bcde')
})
