import assert from 'node:assert/strict'
import { test } from 'node:test'
import { followHistories } from '#kit/machinery/rest/apply-rules.ts'

test('apply and update come to what the rules of structured-merge-diff say, over ten thousand operations', () => {
  const { operations, conflicts, removals } = followHistories(1600)
  assert.ok(operations >= 10_000 && conflicts >= 500 && removals >= 500)
})
