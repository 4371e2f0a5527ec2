import assert from 'node:assert/strict'
import { test } from 'node:test'
import { execute } from '#kit/core/nic/execute.ts'
import { FakeSandbox } from '#kit/core/nic/fake-sandbox.ts'
import type { Field, Nic, PlannedNic } from './nic.ts'
import { planNics } from './plan.ts'

const nic = (over: Partial<Nic> = {}): Nic => ({
  name: 'a',
  mac: '02:00:00:00:00:0a',
  model: 'virtio',
  binding: 'bridge',
  network: 'ns/red',
  link: 'up',
  ...over,
})

const brief = (desired: PlannedNic[], observed: Nic[]) => {
  const { steps, needs } = planNics(desired, observed)
  return [
    ...steps.map((s) => [s.do, s.nic.name, s.changed.join('+'), '->', s.nic.link].filter(Boolean).join(' ')),
    ...needs.map((n) => `needs ${n.why} ${n.nic}: ${n.changed.join('+')}`),
  ].join('; ')
}

const card = { isPluggable: true } as const
const gone = { absent: true, isPluggable: true } as const
const on = (network: string, link: 'up' | 'down' = 'up'): PlannedNic => ({ ...nic({ network, link }), ...card })
const deaf = { ...nic(), isDeaf: true }
const primary: PlannedNic = { ...nic(), isPluggable: false }
const cases: readonly [name: string, desired: PlannedNic[], observed: Nic[], plan: string][] = [
  ['nothing to do', [nic()], [nic()], ''],
  ['link down is live', [nic({ link: 'down' })], [nic()], 'update a link -> down'],
  ['link up is live', [nic()], [nic({ link: 'down' })], 'update a link -> up'],
  [
    'several links at once',
    [nic({ link: 'down' }), nic({ name: 'b' })],
    [nic(), nic({ name: 'b', link: 'down' })],
    'update a link -> down; update b link -> up',
  ],
  ['a card that lost its tap is plugged anew', [primary], [deaf], 'unplug a -> up; plug a -> up'],
  ['but not one that is to go', [{ ...nic(), ...gone }], [deaf], 'unplug a -> up'],
  ['a new MAC needs a restart', [nic({ mac: '02:00:00:00:00:0b' })], [nic()], 'needs restart a: mac'],
  ['a bridge to a secondary network is rewired', [on('ns/blue')], [nic()], 'rewire a network -> up'],
  ['a network of anything else needs a restart', [nic({ network: 'ns/blue' })], [nic()], 'needs restart a: network'],
  ['so does leaving the pod network', [on('ns/blue')], [nic({ network: 'pod' })], 'needs restart a: network'],
  ['and joining it', [on('pod')], [nic()], 'needs restart a: network'],
  [
    'and a network that comes with another binding',
    [on('ns/blue')],
    [nic({ binding: 'masquerade' })],
    'needs restart a: binding+network',
  ],
  [
    'what runs on its instance’s default network is not rewired',
    [on('ns/blue')],
    [primary],
    'needs restart a: network',
  ],
  [
    'a model that needs a restart holds up no rewiring',
    [{ ...on('ns/blue'), model: 'e1000e' }],
    [nic()],
    'rewire a network -> up; needs restart a: model',
  ],
  [
    'a cable to be pulled is pulled before its interface moves',
    [on('ns/blue', 'down')],
    [nic()],
    'update a link -> down; rewire a network -> down',
  ],
  [
    'a cable to be plugged is plugged when its interface has moved, never where it was',
    [on('ns/blue')],
    [nic({ link: 'down' })],
    'rewire a network+link -> up',
  ],
  [
    'one whose link is down moves as it is',
    [on('ns/blue', 'down')],
    [nic({ link: 'down' })],
    'rewire a network -> down',
  ],
  ['what is absent is not rewired', [{ ...on('ns/blue'), ...gone }], [nic()], 'unplug a -> up'],
  [
    'the cable does not wait for the restart',
    [nic({ link: 'down', model: 'e1000e' })],
    [nic()],
    'update a link -> down; needs restart a: model',
  ],
  ['a bridge to a secondary network is plugged', [nic(), { ...nic({ name: 'b' }), ...card }], [nic()], 'plug b -> up'],
  ['it is plugged with its link as declared', [{ ...nic({ link: 'down' }), ...card }], [], 'plug a -> down'],
  ['anything else that is added needs a restart', [nic(), nic({ name: 'b' })], [nic()], 'needs restart b: added'],
  ['what is absent is unplugged', [{ ...nic(), ...gone }], [nic()], 'unplug a -> up'],
  ['what is absent and not there is left alone', [{ ...nic(), ...gone }], [], ''],
  [
    'what is absent is unplugged whatever else differs',
    [{ ...nic({ model: 'e1000e' }), ...gone }],
    [nic()],
    'unplug a -> up',
  ],
  ['a removed interface needs a restart', [], [nic()], 'needs restart a: removed'],
  ['order means nothing', [nic({ name: 'b' }), nic()], [nic(), nic({ name: 'b' })], ''],
  [
    'links first, then what leaves, then what moves, then what comes',
    [
      { ...nic({ name: 'c' }), ...card },
      { ...on('ns/blue'), name: 'd' },
      { ...nic({ name: 'b' }), ...gone },
      nic({ link: 'down' }),
    ],
    [nic(), nic({ name: 'b' }), nic({ name: 'd' })],
    'update a link -> down; unplug b -> up; rewire d network -> up; plug c -> up',
  ],
]
for (const [name, desired, observed, plan] of cases)
  test(`plan: ${name}`, () => assert.equal(brief(desired, observed), plan))

test('a step changes nothing but the live fields of what is there', () => {
  const { steps } = planNics([nic({ link: 'down', mac: '02:00:00:00:00:0b', network: 'ns/blue' })], [nic()])
  assert.deepEqual(steps[0]?.nic, nic({ link: 'down' }))
})

const never = new AbortController().signal

test('every pair of small worlds converges in one pass, then stays still', async () => {
  const worlds = smallWorlds()
  let pairs = 0
  for (const observed of worlds)
    for (const bare of worlds)
      for (const wish of [{}, card, gone]) {
        // Each wish is about the second interface: it may be plugged, or is to be gone.
        const desired: PlannedNic[] = bare.map((one) => (one.name === 'b' ? { ...one, ...wish } : one))
        const world = new FakeSandbox(observed)
        const first = planNics(desired, observed)
        const report = await execute(first, world, never)
        assert.deepEqual(report.failed, [])
        const second = planNics(desired, [...world.nics.values()])
        assert.deepEqual(second.steps, [], 'a second pass must have nothing to do')
        assert.deepEqual(second.needs, first.needs, 'what could not be done must be told again')
        for (const one of desired) {
          const now = world.nics.get(one.name)
          if (one.absent) assert.ok(!now)
          else if (now) assert.equal(now.link, one.link)
          else assert.ok(!one.isPluggable)
          if (now && one.isPluggable && now.binding === one.binding) assert.equal(now.network, one.network)
        }
        world.check()
        pairs++
      }
  assert.equal(pairs, worlds.length ** 2 * 3)
  assert.ok(pairs > 70_000, `only ${pairs} pairs were tried`)
})

test('a failure at any step is named, holds up no other, and the next pass finishes the rest', async () => {
  const observed = ['a', 'b', 'c', 'e'].map((name) => nic({ name }))
  const desired: PlannedNic[] = [
    nic({ link: 'down' }),
    { ...nic({ name: 'b' }), ...gone },
    nic({ name: 'c', link: 'down' }),
    { ...nic({ name: 'd' }), ...card },
  ]
  desired.push({ ...nic({ name: 'e', network: 'ns/blue' }), ...card })
  for (const failAt of ['a', 'b', 'c', 'd', 'e']) {
    const world = new FakeSandbox(observed)
    world.failFor = failAt
    const report = await execute(planNics(desired, observed), world, never)
    assert.deepEqual(
      report.failed.map(({ step }) => step.nic.name),
      [failAt],
    )
    assert.equal(report.done.length, 4)
    world.failFor = undefined
    const again = await execute(planNics(desired, [...world.nics.values()]), world, never)
    assert.deepEqual([again.failed, again.done.length], [[], 1])
    assert.deepEqual([...world.nics.values()].map((one) => `${one.name} ${one.link}`).sort(), [
      'a down',
      'c down',
      'd up',
      'e up',
    ])
    assert.equal(world.nics.get('e')?.network, 'ns/blue')
  }
})

test('an aborted plan does nothing more', async () => {
  const world = new FakeSandbox([nic()])
  const report = await execute(
    planNics([nic({ link: 'down' })], [nic()]),
    world,
    AbortSignal.abort(new Error('stopping')),
  )
  assert.equal(report.done.length, 0)
  assert.equal(world.nics.get('a')?.link, 'up')
})

/** All states of two NICs where each field takes either of two values. */
function smallWorlds(): Nic[][] {
  const values: Record<Field, readonly [string, string]> = {
    mac: ['m1', 'm2'],
    model: ['virtio', 'e1000e'],
    binding: ['bridge', 'masquerade'],
    network: ['red', 'blue'],
    link: ['up', 'down'],
  }
  const variants = (name: string, names: readonly Field[]) =>
    Array.from({ length: 2 ** names.length }, (_, bits) => ({
      ...nic({ name }),
      ...Object.fromEntries(names.map((field, i) => [field, values[field][(bits >> i) & 1]])),
    })) as Nic[]
  // Of fields that cost the same and are treated alike, one stands for all: a MAC is as a model.
  const a = [undefined, ...variants('a', ['model', 'binding', 'network', 'link'])]
  // One field of each cost is enough for the second one.
  const b = [undefined, ...variants('b', ['link', 'model', 'network'])]
  return a.flatMap((x) => b.map((y) => [x, y].filter((one) => one !== undefined)))
}
