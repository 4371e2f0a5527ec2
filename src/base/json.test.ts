import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { copyJson, type Json } from './json.ts'

test('a copy of JSON is equal and shares nothing', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
      const text = JSON.stringify(value)
      const original = JSON.parse(text) as Json
      const copy = copyJson(original)
      assert.deepEqual(copy, original)
      const parts = new Set(partsOf(original))
      for (const part of partsOf(copy)) assert.ok(!parts.has(part))
    }),
  )
})

test('a key __proto__ is copied as the key it is', () => {
  const copy = copyJson(JSON.parse('{"__proto__":{"polluted":true}}') as Json)
  assert.equal(JSON.stringify(copy), '{"__proto__":{"polluted":true}}')
  assert.equal((copy as { polluted?: true }).polluted, undefined)
})

/** Every list and object in a value. */
function partsOf(value: unknown): object[] {
  return typeof value === 'object' && value !== null ? [value, ...Object.values(value).flatMap(partsOf)] : []
}
