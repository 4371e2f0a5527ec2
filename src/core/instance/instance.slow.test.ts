import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cardsOf, choices, mishaps, running, wantedCards, wishes } from '../../../test/kit/instance-world.ts'

/** The whole of what instance.test.ts goes through in part. */
test('every pair of worlds of a guest with two cards ends as is wanted, whatever fails or dies once', () => {
  for (const have of choices)
    for (const other of choices)
      for (const want of wishes)
        for (const also of wishes)
          for (const mishap of mishaps()) {
            const [before, after] = [cardsOf(have, other), cardsOf(want, also)]
            const world = Object.assign(running(before, after), mishap)
            world.settle()
            assert.deepEqual(world.cards(), wantedCards(after), world.story.join())
            // What nobody is on is given back.
            const known = [...world.networks!.keys()].filter((name) => name !== 'default')
            assert.deepEqual(known.toSorted(), Object.keys(wantedCards(after)).toSorted())
          }
})
