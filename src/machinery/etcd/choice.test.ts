import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Choice } from './choice.ts'

test('a member is kept until it fails, and the next one is chosen once, however many calls to it fail', () => {
  const choice = new Choice(['a', 'b', 'c'])
  const a = choice.current
  assert.deepEqual([a.one, choice.current.one], ['a', 'a'])
  assert.equal(choice.failed(a), true)
  const b = choice.current
  assert.equal(b.one, 'b')
  assert.equal(choice.failed(a), false)
  assert.equal(choice.current.one, 'b')
  assert.equal(choice.failed(b), true)
  assert.equal(choice.failed(choice.current), true)
  assert.equal(choice.current.one, 'a')
  assert.equal(choice.failed(a), false, 'it failed in an earlier turn')
})

test('a single member is tried again, once for all calls that failed with its connection', () => {
  const choice = new Choice(['a'])
  const first = choice.current
  assert.equal(choice.failed(first), true)
  assert.equal(choice.failed(first), false)
  assert.equal(choice.current.one, 'a')
})
