import assert from 'node:assert/strict'
import { test } from 'node:test'
import { followHistories } from '#kit/machinery/rest/apply-rules.ts'

test('apply and update come to what the rules of structured-merge-diff say, in short', () => {
  const { operations, conflicts, removals } = followHistories(60)
  assert.ok(operations >= 300 && conflicts >= 10 && removals >= 10)
})
