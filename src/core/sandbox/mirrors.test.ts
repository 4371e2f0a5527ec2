import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CrashPoint, FakeMirrorHost } from '#kit/core/sandbox/fake-mirrors.ts'
import { carryOutMirrors, damagedMirrors, mirrorLinks, type PlacedMirror, planMirrors } from './mirrors.ts'

type Wish = readonly ('red' | 'blue')[]

const wishes: readonly Wish[] = [[], ['red'], ['blue'], ['red', 'blue']]
const mirror = (bridge: string, tap = 'tap1'): PlacedMirror => ({
  ...{ nic: 'mon', network: `ns/${bridge}`, bridge, tap, mac: '02:00:00:00:00:01' },
})

/** What others have on the bridges before: nothing, or a qdisc with a filter, and that they take all frames. */
function host(isForeign: boolean): FakeMirrorHost {
  const made = new FakeMirrorHost()
  for (const name of ['red', 'blue'])
    made.bridges.set(name, {
      ...{ clsact: isForeign, promisc: isForeign },
      ...{ ingress: new Map(isForeign ? [[1, 'theirs']] : []), egress: new Map() },
    })
  return made
}

const plan = (world: FakeMirrorHost, uid: string, wanted: readonly PlacedMirror[]) =>
  planMirrors(uid, { wanted, recorded: world.records.get(uid) ?? [], others: world.othersOf(uid) }, world.observe())

/** One pass over the mirrors of a sandbox; a process that dies tells nobody anything. */
async function pass(world: FakeMirrorHost, uid: string, wanted: readonly PlacedMirror[]): Promise<number> {
  try {
    return (await carryOutMirrors(plan(world, uid, wanted), world.steps(uid))).size
  } catch (error) {
    if (error instanceof CrashPoint || (error as Error).message === 'refused') return 1
    throw error
  }
}

/** Every wanted bridge is copied once, and nothing else of the sandbox is left. */
function requireMade(world: FakeMirrorHost, uid: string, bridges: readonly string[], tap = 'tap1'): void {
  const seen = world.observe()
  assert.deepEqual(
    world.records
      .get(uid)
      ?.map(({ bridge }) => bridge)
      .toSorted() ?? [],
    [...bridges].toSorted(),
  )
  for (const one of world.records.get(uid) ?? []) {
    const { host: link, inside } = mirrorLinks(uid, one)
    const { ingress, egress, promisc } = seen.bridges.get(one.bridge)!
    assert.deepEqual([ingress.get(one.pref), egress.get(one.pref), promisc], [link, link, true])
    assert.equal(seen.inside.get(inside), tap)
  }
  const { unmake, make } = plan(
    world,
    uid,
    bridges.map((bridge) => mirror(bridge, tap)),
  )
  assert.deepEqual([unmake, make], [[], []], 'it stays so')
}

test('any mirrors become any others, whatever fails or is the last effect once, beside those of another sandbox', async () => {
  let worlds = 0
  let cuts = 0
  for (const first of wishes)
    for (const second of wishes)
      for (const other of wishes)
        for (const isForeign of [false, true])
          for (const fate of ['failAt', 'dieAt'] as const)
            for (let at = 1; at <= 12; at++) {
              const world = host(isForeign)
              const wanted = (wish: Wish) => wish.map((bridge) => mirror(bridge))
              await pass(world, 'b', wanted(other))
              await pass(world, 'a', wanted(first))
              world.effects = 0
              world[fate] = at
              await pass(world, 'a', wanted(second))
              if (world.effects >= at) cuts++
              Object.assign(world, { failAt: 0, dieAt: 0 })
              assert.equal(await pass(world, 'a', wanted(second)), 0)
              requireMade(world, 'a', second)
              requireMade(world, 'b', other)
              for (const uid of ['b', 'a']) assert.equal(await pass(world, uid, []), 0)
              assert.deepEqual([...world.bridges], [...host(isForeign).bridges], 'nothing is left')
              assert.deepEqual([world.links.size, ...world.records.values()].flat(), [0])
              worlds++
            }
  assert.equal(worlds, wishes.length ** 3 * 2 * 2 * 12)
  assert.ok(cuts > 600, `only ${cuts} of them were cut short`)
})

test('two interfaces and two networks of one bridge have priorities of their own, or one mirror', async () => {
  const world = host(true)
  const two = [mirror('red'), { ...mirror('red', 'tap2'), nic: 'other' }, { ...mirror('red'), network: 'ns/again' }]
  assert.equal(await pass(world, 'a', two), 0)
  assert.deepEqual(
    world.records.get('a')?.map(({ nic, pref, own }) => [nic, pref, own.clsact, own.promisc]),
    [
      ['mon', 2, false, false],
      ['other', 3, false, false],
    ],
  )
})

test('what was cut is made again and told: a filter, a link, its end in the sandbox, the bridge', async () => {
  const cuts: Readonly<Record<string, (world: FakeMirrorHost, link: string) => void>> = {
    ingress: (world) => world.bridges.get('red')!.ingress.clear(),
    egress: (world) => world.bridges.get('red')!.egress.clear(),
    promisc: (world) => Object.assign(world.bridges.get('red')!, { promisc: false }),
    link: (world, link) => world.links.delete(link),
    inside: (world, link) => Object.assign(world.links.get(link)!, { tap: '*' }),
    bridge: (world) => world.bridges.set('red', host(false).bridges.get('red')!),
  }
  for (const [what, cut] of Object.entries(cuts)) {
    const world = host(false)
    await pass(world, 'a', [mirror('red')])
    cut(world, mirrorLinks('a', mirror('red')).host)
    assert.deepEqual(
      damagedMirrors(plan(world, 'a', [mirror('red')])),
      ['the copy of the traffic of red was cut (interface "mon")'],
      what,
    )
    assert.equal(await pass(world, 'a', [mirror('red')]), 0, what)
    requireMade(world, 'a', ['red'])
    await pass(world, 'a', [])
    assert.deepEqual([...world.bridges], [...host(false).bridges], what)
  }
})

test('a bridge that is not there is copied when it comes, and that is no damage', async () => {
  const world = host(false)
  world.bridges.delete('blue')
  assert.equal(await pass(world, 'a', [mirror('red'), mirror('blue')]), 0)
  assert.deepEqual(
    world.records.get('a')?.map(({ bridge }) => bridge),
    ['red'],
  )
  world.bridges.set('blue', host(false).bridges.get('blue')!)
  const due = plan(world, 'a', [mirror('red'), mirror('blue')])
  assert.deepEqual([due.make.length, damagedMirrors(due)], [1, []])
  await pass(world, 'a', [mirror('red'), mirror('blue')])
  // One that goes takes what was on it along.
  world.bridges.delete('red')
  await pass(world, 'a', [mirror('red'), mirror('blue')])
  assert.deepEqual(
    world.records.get('a')?.map(({ bridge }) => bridge),
    ['blue'],
  )
  assert.equal(world.links.size, 1)
})

test('a card with another tap or MAC gets another mirror', async () => {
  const world = host(false)
  await pass(world, 'a', [mirror('red')])
  await pass(world, 'a', [mirror('red', 'tap2')])
  requireMade(world, 'a', ['red'], 'tap2')
  const moved = [{ ...mirror('red', 'tap2'), mac: '02:00:00:00:00:02' }]
  assert.deepEqual([plan(world, 'a', moved).unmake.length, plan(world, 'a', moved).make.length], [1, 1])
})
