import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Attachment } from '#core/sandbox/plan.ts'
import { asAttached, rewiredAttachment, withCarried } from './rewire.ts'

const attachment = (over: Partial<Attachment> = {}): Attachment => ({
  name: 'red',
  network: 'ns/red',
  config: '{}',
  links: { pod: 'pod1', bridge: 'k6t-1', tap: 'tap1' },
  binding: 'bridge',
  mac: '02:70:62:00:00:01',
  queues: 1,
  guestCidr: '10.0.2.0/24',
  ports: [],
  ...over,
})
const gone = { problem: 'there is no such network' }
const withoutText = (one: Attachment) => {
  const { config: _, ...rest } = one
  return rest
}

for (const [what, wanted, now, isOpen] of [
  ['is opened by its network', attachment({ isOpen: true }), attachment(), true],
  ['is closed by its network', attachment(), attachment({ isOpen: true }), undefined],
  ['stays open when its network is gone', withoutText(attachment(gone)), attachment({ isOpen: true }), true],
  ['stays closed when its network is gone', withoutText(attachment(gone)), attachment(), undefined],
  [
    'is not opened by a network it is to go to',
    attachment({ network: 'ns/blue', isOpen: true }),
    attachment(),
    undefined,
  ],
  ['stays open until it has left', attachment({ network: 'ns/blue' }), attachment({ isOpen: true }), true],
] as const)
  test(`a card that is there ${what}`, () => assert.equal(asAttached([wanted], [now])[0]?.isOpen, isOpen))

test('a guest that comes brings the addresses of its bridges, and those it came there with, on the same network', async () => {
  const from = [attachment({ carried: ['10.1.0.4'] }), attachment({ name: 'blue', network: 'ns/blue' })]
  const to = [
    attachment(),
    attachment({ name: 'blue', network: 'ns/green' }),
    attachment({ name: 'new' }),
    attachment({ name: 'default', network: 'pod', binding: 'masquerade' }),
  ]
  const source = [...from, attachment({ name: 'default', network: 'pod', binding: 'masquerade' })]
  const made = await withCarried(to, source, async ({ name }) => [name === 'red' ? '10.1.0.5' : '10.2.0.5'])
  assert.deepEqual(
    made.map(({ carried }) => carried),
    [['10.1.0.4', '10.1.0.5'], undefined, undefined, undefined],
  )
})

test('a guest keeps what it brought, also when where it came from is gone, until its card goes to another network', async () => {
  const carried = ['10.1.0.5']
  const [kept] = asAttached([attachment()], [attachment({ carried })])
  assert.deepEqual(kept?.carried, carried)
  assert.deepEqual((await withCarried([kept!], [], async () => ['10.9.9.9']))[0]?.carried, carried)
  assert.equal(rewiredAttachment(attachment({ network: 'ns/blue' })).carried, undefined)
})
