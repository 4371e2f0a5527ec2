import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  cardsOf,
  choices,
  InstanceWorld,
  instance,
  mishaps,
  requireSettled,
  running,
  wantedCards,
  wishes,
} from '#kit/core/instance/world.ts'

describe('a pass over a pod', () => {
  test('starts a guest with its cards on their networks, whatever fails or dies once', () => {
    for (const one of choices)
      for (const two of choices)
        for (const mishap of mishaps()) {
          const want = cardsOf(one, two)
          const world = Object.assign(new InstanceWorld(instance(want)), mishap)
          world.settle()
          assert.deepEqual(world.cards(), wantedCards(want))
          assert.equal(world.story.filter((what) => what === 'start').length <= 2, true)
        }
  })

  test('makes the cards of a running guest what is wanted, whatever fails or dies once', () => {
    // Every pair of worlds is gone through in instance.slow.test.ts.
    for (const have of choices)
      for (const other of [undefined, { network: 'red', link: 'up' }] as const)
        for (const want of wishes)
          for (const also of [undefined, { network: 'blue', link: 'down' }] as const)
            requireSettled(cardsOf(have, other), cardsOf(want, also))
  })

  test('changes links before anything that takes its time', () => {
    const world = running(
      cardsOf({ network: 'red', link: 'up' }, { network: 'red', link: 'up' }),
      cardsOf({ network: 'red', link: 'down' }, { network: 'blue', link: 'up' }),
    )
    world.settle()
    assert.deepEqual(world.story, ['update one', 'rewire two'])
  })

  test('ends a guest and then its sandbox, whatever fails or dies once; never before its time', () => {
    for (const isStubborn of [false, true])
      for (const isSilent of [false, true])
        for (const mishap of mishaps()) {
          const world = running(cardsOf({ network: 'red', link: 'up' }, undefined), {})
          Object.assign(world, mishap, { isStubborn, isSilent, nowMs: 10 })
          world.vmi = instance({}, { phase: 'Running', isDeleted: true })
          world.deletePod()
          world.settle()
          assert.deepEqual([world.isRemoved, world.guest], [true, undefined])
          assert.ok(isStubborn || isSilent || world.finished === 'shutdown' || mishap.failAt || mishap.dieAt)
        }
  })

  test('asks a guest that does not let go of a card again, says so, and goes on with the others', () => {
    const world = running(cardsOf({ network: 'red', link: 'up' }, { network: 'red', link: 'up' }), {
      two: { network: 'blue', link: 'up' },
    })
    world.isDeaf = true
    const first = world.pass()
    assert.deepEqual([first.syncFailure, world.cards().two], [undefined, 'ns/blue up'])
    assert.equal(first.againAfterMs, 5000)
    world.nowMs += 5000
    const second = world.pass()
    assert.match(second.syncFailure?.message ?? '', /interface "one" cannot be unplugged: The guest has not let go/)
    assert.deepEqual(world.story.filter((what) => what === 'unplug one').length, 2)
    world.isDeaf = false
    world.nowMs += 5000
    assert.equal(world.settle().syncFailure, undefined)
    assert.deepEqual(Object.keys(world.cards()), ['two'])
  })

  test('plugs a card anew that lost its tap, whichever it is, once the guest has let go of it', () => {
    for (const name of ['default', 'one']) {
      const cards = cardsOf({ network: 'red', link: 'up' }, undefined)
      const world = running(cards, cards)
      world.deaf = new Set([name])
      world.isDeaf = true
      world.pass()
      assert.deepEqual(world.story, [`unplug ${name}`])
      world.guest?.delete(name)
      assert.equal(world.settle().syncFailure, undefined)
      assert.deepEqual(world.story, [`unplug ${name}`, `plug ${name}`])
      assert.deepEqual([...(world.guest?.keys() ?? [])].toSorted(), ['default', 'one'])
    }
  })

  test('leaves what failed in peace until its time has come, or until its owner changes something', () => {
    const world = running({}, cardsOf({ network: 'red', link: 'up' }, undefined))
    world.failAt = 1
    const plan = world.pass()
    assert.match(plan.syncFailure?.message ?? '', /interface "one" cannot be plugged: attach one failed/)
    assert.equal(plan.againAfterMs, 250)
    world.pass()
    assert.deepEqual(world.story, ['attach one'])
    world.vmi = instance(cardsOf({ network: 'blue', link: 'up' }, undefined), { phase: 'Running' })
    assert.equal(world.pass().syncFailure, undefined)
    assert.deepEqual(world.cards(), { one: 'ns/blue up' })
  })
})
