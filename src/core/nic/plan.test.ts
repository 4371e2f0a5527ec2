import assert from 'node:assert/strict'
import { test } from 'node:test'
import { execute, type NicDriver } from './execute.ts'
import { type Field, fieldNames, fields, type Nic } from './nic.ts'
import { planNics, type WantedNic } from './plan.ts'

const nic = (over: Partial<Nic> = {}): Nic => ({
  name: 'a',
  mac: '02:00:00:00:00:0a',
  model: 'virtio',
  binding: 'bridge',
  network: 'ns/red',
  link: 'up',
  ...over,
})

const brief = (desired: WantedNic[], observed: Nic[]) => {
  const { steps, needs } = planNics(desired, observed)
  return [
    ...steps.map((s) => [s.do, s.nic.name, s.changed.join('+'), '->', s.nic.link].filter(Boolean).join(' ')),
    ...needs.map((n) => `needs ${n.why} ${n.nic}: ${n.changed.join('+')}`),
  ].join('; ')
}

const card = { isPluggable: true } as const
const gone = { absent: true, isPluggable: true } as const
const cases: readonly [name: string, desired: WantedNic[], observed: Nic[], plan: string][] = [
  ['nothing to do', [nic()], [nic()], ''],
  ['link down is live', [nic({ link: 'down' })], [nic()], 'update a link -> down'],
  ['link up is live', [nic()], [nic({ link: 'down' })], 'update a link -> up'],
  [
    'several links at once',
    [nic({ link: 'down' }), nic({ name: 'b' })],
    [nic(), nic({ name: 'b', link: 'down' })],
    'update a link -> down; update b link -> up',
  ],
  ['a new MAC needs a restart', [nic({ mac: '02:00:00:00:00:0b' })], [nic()], 'needs restart a: mac'],
  ['a new network needs a restart', [nic({ network: 'ns/blue' })], [nic()], 'needs restart a: network'],
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
    'links first, then what leaves, then what comes',
    [{ ...nic({ name: 'c' }), ...card }, { ...nic({ name: 'b' }), ...gone }, nic({ link: 'down' })],
    [nic(), nic({ name: 'b' })],
    'update a link -> down; unplug b -> up; plug c -> up',
  ],
]
for (const [name, desired, observed, plan] of cases)
  test(`plan: ${name}`, () => assert.equal(brief(desired, observed), plan))

test('a step changes nothing but the live fields of what is there', () => {
  const { steps } = planNics([nic({ link: 'down', mac: '02:00:00:00:00:0b', network: 'ns/blue' })], [nic()])
  assert.deepEqual(steps[0]?.nic, nic({ link: 'down' }))
})

/** A hypervisor in memory that can only do what a real one can. */
class World implements NicDriver {
  readonly nics: Map<string, Nic>
  failAt: string | undefined
  constructor(nics: readonly Nic[]) {
    this.nics = new Map(nics.map((one) => [one.name, one]))
  }
  async update(one: Nic, changed: readonly Field[]): Promise<void> {
    const now = this.nics.get(one.name)
    assert.ok(now, `update of ${one.name}, which is not there`)
    assert.ok(
      changed.every((field) => fields[field] === 'live'),
      `update of ${changed.join()}, which is not live`,
    )
    this.#fail(one)
    this.nics.set(one.name, { ...now, link: one.link })
  }
  async plug(one: Nic): Promise<void> {
    assert.ok(!this.nics.has(one.name), `plug of ${one.name}, which is there`)
    assert.deepEqual(Object.keys(one).sort(), ['name', ...fieldNames].sort(), 'nothing but what every interface has')
    this.#fail(one)
    this.nics.set(one.name, one)
  }
  async unplug(one: Nic): Promise<void> {
    assert.ok(this.nics.has(one.name), `unplug of ${one.name}, which is not there`)
    this.#fail(one)
    this.nics.delete(one.name)
  }
  #fail({ name }: Nic): void {
    if (name === this.failAt) throw new Error('refused')
  }
}

const never = new AbortController().signal

test('every pair of small worlds converges in one pass, then stays still', async () => {
  const worlds = smallWorlds()
  let pairs = 0
  for (const observed of worlds)
    for (const bare of worlds)
      for (const wish of [{}, card, gone]) {
        // Each wish is about the second interface: it may be plugged, or is to be gone.
        const desired: WantedNic[] = bare.map((one) => (one.name === 'b' ? { ...one, ...wish } : one))
        const world = new World(observed)
        const first = planNics(desired, observed)
        const report = await execute(first, world, never)
        assert.deepEqual(report.failed, [])
        const second = planNics(desired, [...world.nics.values()])
        assert.deepEqual(second.steps, [], 'a second pass must have nothing to do')
        assert.deepEqual(second.needs, first.needs, 'what could not be done must be told again')
        for (const one of desired) {
          if (one.absent) assert.ok(!world.nics.has(one.name))
          else if (world.nics.has(one.name)) assert.equal(world.nics.get(one.name)?.link, one.link)
          else assert.ok(!one.isPluggable)
        }
        pairs++
      }
  assert.equal(pairs, worlds.length ** 2 * 3)
  assert.ok(pairs > 240_000, `only ${pairs} pairs were tried`)
})

test('a failure at any step is named, holds up no other, and the next pass finishes the rest', async () => {
  const observed = ['a', 'b', 'c'].map((name) => nic({ name }))
  const desired: WantedNic[] = [
    nic({ link: 'down' }),
    { ...nic({ name: 'b' }), ...gone },
    nic({ name: 'c', link: 'down' }),
    { ...nic({ name: 'd' }), ...card },
  ]
  for (const failAt of ['a', 'b', 'c', 'd']) {
    const world = new World(observed)
    world.failAt = failAt
    const report = await execute(planNics(desired, observed), world, never)
    assert.deepEqual(
      report.failed.map(({ step }) => step.nic.name),
      [failAt],
    )
    assert.equal(report.done.length, 3)
    world.failAt = undefined
    const again = await execute(planNics(desired, [...world.nics.values()]), world, never)
    assert.deepEqual([again.failed, again.done.length], [[], 1])
    assert.deepEqual([...world.nics.values()].map((one) => `${one.name} ${one.link}`).sort(), [
      'a down',
      'c down',
      'd up',
    ])
  }
})

test('an aborted plan does nothing more', async () => {
  const world = new World([nic()])
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
  const a = [undefined, ...variants('a', fieldNames)]
  // One field of each cost is enough for the second one.
  const b = [undefined, ...variants('b', ['link', 'model', 'network'])]
  return a.flatMap((x) => b.map((y) => [x, y].filter((one) => one !== undefined)))
}
