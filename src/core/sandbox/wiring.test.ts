import assert from 'node:assert/strict'
import { test } from 'node:test'
import { linkNames, primaryLinkNames } from '../nic/names.ts'
import { noNetwork } from '../nic/nic.ts'
import type { Attachment } from './plan.ts'
import { type Card, deafCards, type Link, type ObservedWiring, planWiring } from './wiring.ts'

const attachment = (name: string, over: Partial<Attachment> = {}): Attachment => ({
  name,
  network: `default/${name}`,
  links: linkNames(name),
  binding: 'bridge',
  mac: '02:00:00:00:00:01',
  queues: 1,
  guestCidr: '10.0.2.0/24',
  ports: [],
  ...over,
})
const pod: Card = {
  attachment: attachment('default', { network: 'pod', links: primaryLinkNames, binding: 'masquerade' }),
  hostLinks: [{ name: 'veth0', bridge: 'patchbay0' }],
  isServed: true,
}
const blue: Card = {
  attachment: attachment('blue'),
  hostLinks: [{ name: 'veth1', bridge: 'br-blue' }],
  isServed: false,
}
const cards = [pod, blue]

const link = (ifname: string, master?: string, over: Partial<Link> = {}): Link => ({
  ...{ ifname, mtu: 1500, isUp: true, ...(master !== undefined && { master }) },
  ...over,
})
const named = (...links: Link[]) => new Map(links.map((one) => [one.ifname, one]))

/** A network as it is to be, but for what is taken out of it or put there. */
type Change = { sandbox?: Link[]; host?: Link[]; without?: string } & Partial<Pick<ObservedWiring, 'served' | 'rules'>>

function seen(change: Change = {}) {
  const { sandbox = [], host = [], without, ...over } = change
  const { links: p } = pod.attachment
  const { links: b } = blue.attachment
  const whole = {
    sandbox: named(
      ...[link('lo'), link(p.pod), link(p.bridge), link(p.tap, p.bridge)],
      ...[link(b.pod, b.bridge), link(b.bridge), link(b.tap, b.bridge)],
      ...sandbox,
    ),
    host: named(...[link('patchbay0'), link('veth0', 'patchbay0'), link('br-blue'), link('veth1', 'br-blue')], ...host),
    served: new Set([p.bridge]),
    rules: { sandbox: true, host: true },
  }
  if (without !== undefined) {
    whole.sandbox.delete(without)
    whole.host.delete(without)
  }
  return { ...whole, ...over } as ObservedWiring
}

/** A plan in one line per kind of step, those that are empty left out. */
function planned(observed: ObservedWiring) {
  const { add, join, serve, rules, why } = planWiring(cards, observed)
  const steps = { add: [...add], join: [...join], serve: [...serve] }
  const asked = Object.entries(rules).flatMap(([where, isWanted]) => (isWanted ? [`rules of ${where}`] : []))
  return {
    steps: [...Object.entries(steps).flatMap(([what, names]) => names.map((n) => `${what} ${n}`)), ...asked],
    why,
  }
}

test('a network that is as it is to be needs nothing', () => {
  assert.deepEqual(planned(seen()), { steps: [], why: [] })
  assert.deepEqual(planned({ ...seen({ without: 'veth0' }), host: undefined }), { steps: [], why: [] })
})

test('each thing that is gone is made again, by the step that makes it, and nothing else is touched', () => {
  const { links: p } = pod.attachment
  const { links: b } = blue.attachment
  for (const [without, step] of [
    [p.pod, 'add default'],
    [p.bridge, 'join default'],
    [p.tap, 'join default'],
    [b.pod, 'add blue'],
    [b.bridge, 'join blue'],
    [b.tap, 'join blue'],
    ['veth0', 'add default'],
    ['patchbay0', 'add default'],
    ['veth1', 'add blue'],
    ['br-blue', 'add blue'],
  ] as const) {
    const { steps, why } = planned(seen({ without }))
    assert.deepEqual(steps, [step], without)
    assert.ok(why.length === 1 && why[0]!.includes(without), why.join())
  }
})

test('a card on no network needs its tap on its bridge, and no link of the pod', () => {
  const off: Card = { attachment: attachment('blue', { network: noNetwork }), hostLinks: [], isServed: false }
  const { bridge, tap } = off.attachment.links
  const look = (...links: Link[]) => {
    const { add, join, why } = planWiring([off], { ...seen(), sandbox: named(...links) })
    return [[...add], [...join], why.length]
  }
  assert.deepEqual(look(link(bridge), link(tap, bridge)), [[], [], 0])
  assert.deepEqual(look(link(bridge), link(tap)), [[], ['blue'], 1])
  assert.deepEqual(look(), [[], ['blue'], 1])
})

test('what is there but not as it is to be is mended too', () => {
  const { links: p } = pod.attachment
  const { links: b } = blue.attachment
  for (const [change, step, text] of [
    [{ sandbox: [link(b.tap)] }, 'join blue', `the link ${b.tap} had left the bridge ${b.bridge} (interface "blue")`],
    [
      { sandbox: [link(b.tap, b.bridge, { isUp: false })] },
      'join blue',
      `the link ${b.tap} was down (interface "blue")`,
    ],
    [
      { sandbox: [link(b.pod, 'other')] },
      'join blue',
      `the link ${b.pod} had left the bridge ${b.bridge} (interface "blue")`,
    ],
    [
      { sandbox: [link(p.bridge, undefined, { mtu: 1400 })] },
      'join default',
      `the bridge ${p.bridge} had another MTU (interface "default")`,
    ],
    [
      { sandbox: [link(p.bridge, undefined, { isUp: false })] },
      'join default',
      `the bridge ${p.bridge} was down (interface "default")`,
    ],
    [
      { sandbox: [link(p.pod, undefined, { isUp: false })] },
      'add default',
      `the link ${p.pod} was down (interface "default")`,
    ],
    [{ host: [link('veth1')] }, 'add blue', 'the link veth1 had left the bridge br-blue (interface "blue")'],
    [{ served: new Set<string>() }, 'serve default', 'the DHCP server had ended (interface "default")'],
    [
      { rules: { sandbox: false, host: true } },
      'rules of sandbox',
      'the packet filter rules of the sandbox were gone or changed',
    ],
    [
      { rules: { sandbox: true, host: false } },
      'rules of host',
      "the host's packet filter rules of the pod network were gone or changed",
    ],
  ] as const)
    assert.deepEqual(planned(seen(change as Change)), { steps: [step], why: [text] })
})

test("a masqueraded guest's pod link is on no bridge, whatever its MTU the others follow it", () => {
  const { links: p } = pod.attachment
  const small = { mtu: 1400 }
  const others = [link(p.bridge, undefined, small), link(p.tap, p.bridge, small)]
  assert.deepEqual(planned(seen({ sandbox: [link(p.pod, undefined, small), ...others] })).steps, [])
  assert.deepEqual(planned(seen({ sandbox: [link(p.pod, undefined, small)] })).steps, ['join default'])
})

test('of several things that are wrong none is forgotten', () => {
  const observed = seen({ without: 'br-blue', served: new Set(), rules: { sandbox: false, host: false } })
  assert.deepEqual(planned(observed).steps, ['add blue', 'serve default', 'rules of sandbox', 'rules of host'])
})

test('a card is deaf when its tap is gone, or there and open to nobody', () => {
  const attachments = cards.map((one) => one.attachment)
  const { tap, bridge } = blue.attachment.links
  assert.deepEqual(deafCards(attachments, seen()), [])
  assert.deepEqual(deafCards(attachments, seen({ without: tap })), ['blue'])
  assert.deepEqual(deafCards(attachments, seen({ sandbox: [link(tap, bridge, { hasCarrier: true })] })), [])
  assert.deepEqual(deafCards(attachments, seen({ sandbox: [link(tap, bridge, { hasCarrier: false })] })), ['blue'])
})
