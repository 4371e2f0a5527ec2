import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { duplicateFields } from './duplicates.ts'

const rows: readonly [text: string, paths: readonly string[]][] = [
  ['{"a":1,"b":{"a":1},"c":[{"a":1},{"a":1}]}', []],
  ['{"a":1,"a":2}', ['a']],
  ['{"spec":{"x":[{"n":1},{"n":1,"n":2}]}}', ['spec.x[1].n']],
  ['{"a":"a","b":["a","a"],"a\\u0022,{":"}","a\\",{":1}', ['a",{']],
  ['[1,"x"]', []],
  ['"a"', []],
]
for (const [text, paths] of rows)
  test(`fields that ${text} has twice are told by path`, () => assert.deepEqual(duplicateFields(text).paths, paths))

test('no value that JSON.stringify writes has a field twice', () => {
  fc.assert(fc.property(fc.json(), (text) => assert.deepEqual(duplicateFields(text), { paths: [], more: 0 })))
})
