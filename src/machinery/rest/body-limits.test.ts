import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { hasMoreValues } from './body-limits.ts'

/** Values of a JSON value, an empty list or object counted as if it had one. */
function countOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1
  const items = Object.values(value)
  return 1 + (items.length ? items.reduce((sum: number, item) => sum + countOf(item), 0) : 1)
}

test('the values of a JSON text are counted without reading it', () =>
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = Buffer.from(JSON.stringify(value))
      const count = countOf(JSON.parse(text.toString()))
      assert.equal(hasMoreValues(text, count), false)
      if (count > 1) assert.equal(hasMoreValues(text, count - 1), true)
    }),
  ))
