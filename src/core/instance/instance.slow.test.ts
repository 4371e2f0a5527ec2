import { test } from 'node:test'
import { cardsOf, choices, requireSettled, wishes } from '#kit/core/instance/world.ts'

/** The whole of what instance.test.ts goes through in part. */
test('every pair of worlds of a guest with two cards ends as is wanted, whatever fails or dies once', () => {
  for (const have of choices)
    for (const other of choices)
      for (const want of wishes) for (const also of wishes) requireSettled(cardsOf(have, other), cardsOf(want, also))
})
