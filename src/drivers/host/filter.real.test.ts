import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import { cardFilter, filterScript } from './filter.ts'
import { ipBatch } from './links.ts'
import { netnsName, netnsPath, removeNetns } from './netns.ts'
import { PacketRules } from './packet-rules.ts'
import { run } from './run.ts'

const signal = AbortSignal.timeout(120_000)
const [own, other] = ['02:70:62:00:00:01', '02:70:62:00:00:02']
const everybody = 'ff:ff:ff:ff:ff:ff'

const hex = (mac: string) => mac.replaceAll(':', '')
const v4 = (address: string) =>
  address
    .split('.')
    .map((part) => Number(part).toString(16).padStart(2, '0'))
    .join('')
const word = (value: number) => value.toString(16).padStart(4, '0')

/** Frames as hexadecimal digits. */
const frame = (from: string, type: string, rest: string) => `${hex(everybody)}${hex(from)}${type}${rest}`
const arpBody = (mac: string, ip: string, { target = '10.1.0.99', hardware = 1 } = {}) =>
  `${word(hardware)}080006040001${hex(mac)}${v4(ip)}000000000000${v4(target)}`
const arp = (mac: string, ip: string, more = {}) => frame(own, '0806', arpBody(mac, ip, more))
const udp = (from: number, to: number) => `${word(from)}${word(to)}00080000`
function ipv4(ip: string, payload = udp(1000, 1000)): string {
  const header = (sum: number) =>
    `4500${word(20 + payload.length / 2)}000000004011${word(sum)}${v4(ip)}${v4('10.1.0.99')}`
  // A host with br_netfilter looks at it.
  const total = header(0)
    .match(/.{4}/g)!
    .reduce((sum, one) => sum + Number.parseInt(one, 16), 0)
  return `${header(0xffff - ((total & 0xffff) + (total >>> 16)))}${payload}`
}
const ipv6 = (ip: string, payload: string, protocol = '3a') =>
  `60000000${word(payload.length / 2)}${protocol}ff${ip}ff020000000000000000000000000001${payload}`
const mine = 'fd000000000000000000000000000005'
const local = 'fe80000000000000007062fffe000001'
const theirs = 'fd000000000000000000000000000006'
const nobody = '0'.repeat(32)
const icmp = (type: number, rest = '') => `${type.toString(16).padStart(2, '0')}000000${rest}`
const neighbour = (type: number, target: string) => icmp(type, `00000000${target}`)
const tagged = (type: string, rest: string) => frame(own, '8100', `0005${type}${rest}`)

const isForged: readonly (readonly [what: string, frame: string])[] = [
  ['another MAC', frame(other, '0800', ipv4('10.1.0.5'))],
  ['ARP for another MAC', arp(other, '10.1.0.5')],
  ['ARP for another address', arp(own, '10.1.0.6')],
  ['ARP for another address, as IEEE 802 hardware', arp(own, '10.1.0.6', { hardware: 6 })],
  ['a probe for another address', arp(own, '0.0.0.0', { target: '10.1.0.6' })],
  ['another IPv4 address', frame(own, '0800', ipv4('10.1.0.6'))],
  ['no IPv4 address, and no DHCP', frame(own, '0800', ipv4('0.0.0.0'))],
  ['a DHCP answer', frame(own, '0800', ipv4('10.1.0.5', udp(67, 68)))],
  ['a DHCP answer from another port', frame(own, '0800', ipv4('10.1.0.5', udp(1067, 68)))],
  ['another IPv6 address', frame(own, '86dd', ipv6(theirs, udp(1000, 1000), '11'))],
  ['a neighbour advertisement for another address', frame(own, '86dd', ipv6(mine, neighbour(136, theirs)))],
  ['another address found to be taken', frame(own, '86dd', ipv6(nobody, neighbour(135, theirs)))],
  ['a router advertisement', frame(own, '86dd', ipv6(local, icmp(134, '40000708'.padEnd(24, '0'))))],
  ['a redirect', frame(own, '86dd', ipv6(local, icmp(137, '0'.repeat(72))))],
  ['a DHCPv6 answer', frame(own, '86dd', ipv6(local, udp(547, 546), '11'))],
  ['ARP for another address in a VLAN', tagged('0806', arpBody(own, '10.1.0.6'))],
  ['an address of its own in a VLAN', tagged('0800', ipv4('10.1.0.5'))],
  ['another protocol', frame(own, '88cc', '0'.repeat(92))],
]
const isOwn: readonly (readonly [what: string, frame: string])[] = [
  ['ARP for its address', arp(own, '10.1.0.5')],
  ['a probe for its address', arp(own, '0.0.0.0', { target: '10.1.0.5' })],
  ['its IPv4 address', frame(own, '0800', ipv4('10.1.0.5'))],
  ['a DHCP request', frame(own, '0800', ipv4('0.0.0.0', udp(68, 67)))],
  ['a DHCP renewal', frame(own, '0800', ipv4('10.1.0.5', udp(68, 67)))],
  ['its IPv6 address', frame(own, '86dd', ipv6(mine, udp(1000, 1000), '11'))],
  ['its link-local address', frame(own, '86dd', ipv6(local, udp(1000, 1000), '11'))],
  ['a neighbour advertisement', frame(own, '86dd', ipv6(mine, neighbour(136, mine)))],
  ['a neighbour solicitation', frame(own, '86dd', ipv6(local, neighbour(135, theirs)))],
  ['its address found to be free', frame(own, '86dd', ipv6(nobody, neighbour(135, mine)))],
  ['a router solicitation', frame(own, '86dd', ipv6(nobody, icmp(133, '00000000')))],
]
/** What a card that was given no address sends: its MAC alone is judged. */
const isOfMac = [...isOwn, ...isForged.filter(([what]) => !/another MAC/.test(what) && !/802 hard/.test(what))]

const attachment: Attachment = {
  name: 'red',
  network: 'ns/red',
  links: { pod: 'pod1', bridge: 'k6t-1', tap: 'tap1' },
  binding: 'bridge',
  mac: own,
  queues: 1,
  guestCidr: '10.0.2.0/24',
  ports: [],
}
const addresses = ['10.1.0.5', 'fd00::5']

describe('the filter of a card', { skip: process.getuid?.() !== 0 && 'needs root' }, () => {
  const [sandbox, guest, lan] = [0, 1, 2].map(() => netnsName(randomUUID())) as [string, string, string]
  before(async () => {
    for (const name of [sandbox, guest, lan]) {
      await run('ip', ['netns', 'add', name], { signal })
      // Nothing is to be sent but by the test.
      const quiet = 'for c in all default; do echo 1 > /proc/sys/net/ipv6/conf/$c/disable_ipv6; done'
      await run('nsenter', [`--net=${netnsPath(name)}`, 'sh', '-c', quiet], { signal })
    }
    await ipBatch(
      sandbox,
      [
        'link add k6t-1 type bridge forward_delay 0 stp_state 0 mcast_snooping 0',
        `link add tap1 type veth peer name eth0 netns ${guest}`,
        `link add pod1 type veth peer name eth0 netns ${lan}`,
        ...['tap1', 'pod1'].map((name) => `link set ${name} master k6t-1 up`),
        'addr add 169.254.75.10/32 dev k6t-1',
        'link set k6t-1 up',
        'route add 10.1.0.0/24 dev k6t-1',
      ],
      signal,
    )
    for (const name of [guest, lan]) await ipBatch(name, ['link set eth0 up'], signal)
  })
  after(async () => {
    for (const name of [sandbox, guest, lan]) await removeNetns(name, AbortSignal.timeout(10_000))
  })

  async function indexIn(netns: string): Promise<number> {
    const [link] = JSON.parse(await run('ip', ['-n', netns, '-j', 'link', 'show', 'eth0'], { signal }))
    return link.ifindex
  }
  async function send(netns: string, frames: readonly string[]): Promise<void> {
    // AF_PACKET, SOCK_RAW; struct sockaddr_ll.
    const script = `socket(S, 17, 3, 0) or die $!; while (<STDIN>) { chomp; send(S, pack("H*", $_), 0, pack("SnlSCCa8", 17, 0, ${await indexIn(netns)}, 0, 0, 6, "")) or die $! }`
    await run('nsenter', [`--net=${netnsPath(netns)}`, 'perl', '-e', script], { input: frames.join('\n'), signal })
  }
  async function arrived(netns: string): Promise<number> {
    const [link] = JSON.parse(await run('ip', ['-n', netns, '-s', '-j', 'link', 'show', 'eth0'], { signal }))
    return link.stats64.rx.packets
  }
  /** How many frames of those that one side sends reach the other; what is sent last always does. */
  async function passing(frames: readonly string[], from = guest, to = lan): Promise<number> {
    const start = await arrived(to)
    await send(from, [...frames, arp(own, '10.1.0.5')])
    return (await arrived(to)) - start - 1
  }
  const make = async (over: Partial<Attachment>, given: readonly string[]) => {
    const script = filterScript(cardFilter({ ...attachment, ...over }, given))
    await new PacketRules('none').ensure(sandbox, script, {}, signal)
  }

  for (const [what, one] of isOwn)
    it(`lets out ${what}`, async () => {
      await make({}, addresses)
      assert.equal(await passing([one]), 1)
    })
  for (const [what, one] of isForged)
    it(`keeps in ${what}, unless the network is open`, async () => {
      await make({}, addresses)
      assert.equal(await passing([one]), 0)
      await make({ isOpen: true }, addresses)
      assert.equal(await passing([one]), 1)
    })

  it('judges the MAC alone where the network gave no addresses', async () => {
    await make({}, [])
    assert.equal(await passing(isOfMac.map(([, one]) => one)), isOfMac.length)
    const forged = isForged.slice(0, 2).map(([, one]) => one)
    assert.equal(await passing([...forged, tagged('0806', arpBody(other, '10.1.0.5'))]), 0)
  })

  it('does not judge what others send to the guest', async () => {
    await make({}, addresses)
    const frames = [frame(other, '0800', ipv4('10.1.0.6')), frame(other, '0806', arpBody(other, '10.1.0.6'))]
    assert.equal(await passing(frames, lan, guest), frames.length)
  })

  it('has the guest alone heard and answered by what the sandbox serves', async () => {
    await make({}, addresses)
    const question = (mac: string, ip: string) => frame(mac, '0806', arpBody(mac, ip, { target: '169.254.75.10' }))
    const [asked, others] = [await arrived(guest), await arrived(lan)]
    await send(guest, [question(own, '10.1.0.5')])
    await eventually('the guest is answered', async () => (await arrived(guest)) === asked + 1)
    await send(lan, [question(other, '10.1.0.6')])
    // The question is flooded to the guest, and its answer would be here by the time an answer to the guest's next one is.
    await send(guest, [question(own, '10.1.0.5')])
    await eventually('the guest is answered again', async () => (await arrived(guest)) === asked + 3)
    assert.equal((await arrived(lan)) - others, 2, 'the two questions of the guest and no answer')
  })
})
