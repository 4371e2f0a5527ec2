import assert from 'node:assert/strict'
import { test } from 'node:test'
import { foreignReason, isYoungerThan, ownerAfter } from './owner.ts'

const self = { node: 'a', cluster: 'c' }

test('a sandbox is a node’s own only when node and cluster are the same', () => {
  assert.equal(foreignReason({ ...self, revision: '3' }, self), undefined)
  for (const other of [undefined, { node: 'b', cluster: 'c' }, { node: 'a', cluster: 'd' }])
    assert.ok(foreignReason(other, self))
})

test('a sandbox is younger than a store that ends before its revision', () => {
  assert.equal(isYoungerThan({ ...self, revision: '10' }, '9'), true)
  for (const revision of ['10', '11']) assert.equal(isYoungerThan({ ...self, revision: '10' }, revision), false)
  assert.equal(isYoungerThan(self, '9'), false)
  assert.equal(isYoungerThan(undefined, '9'), false)
})

test('what was noted when a sandbox was made stays, unless it was another’s', () => {
  const old = { ...self, revision: '3' }
  assert.equal(ownerAfter(old, { ...self, revision: '9' }), old)
  const now = { ...self, revision: '9' }
  for (const other of [undefined, { node: 'b', cluster: 'c' }]) assert.equal(ownerAfter(other, now), now)
})
