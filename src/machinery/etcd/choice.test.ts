import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Choice } from './choice.ts'

test('a member is kept until it fails, and the next one is chosen once, however many calls to it fail', () => {
  const choice = new Choice(['a', 'b', 'c'])
  assert.equal(choice.current, 'a')
  assert.equal(choice.failed('a'), true)
  assert.equal(choice.current, 'b')
  assert.equal(choice.failed('a'), false)
  assert.equal(choice.failed('c'), false)
  assert.equal(choice.current, 'b')
  assert.equal(choice.failed('b'), true)
  assert.equal(choice.failed('c'), true)
  assert.equal(choice.current, 'a')
})

test('a single member is tried again', () => {
  const choice = new Choice(['a'])
  assert.equal(choice.failed('a'), true)
  assert.equal(choice.current, 'a')
})
