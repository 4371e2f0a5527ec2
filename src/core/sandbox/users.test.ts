import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nextUser } from './users.ts'

test('each guest has users that no other has, and the last given is the last to be given again', () => {
  const range = { first: 100, last: 107 }
  assert.equal(nextUser(range, new Set(), undefined), 100)
  assert.equal(nextUser(range, new Set(), 100), 102)
  assert.equal(nextUser(range, new Set([102, 104]), 100), 106)
  assert.equal(nextUser(range, new Set([100]), 106), 102)
  assert.equal(nextUser(range, new Set(), 106), 100)
  assert.equal(nextUser(range, new Set([100, 102, 104, 106]), 100), undefined)
  assert.equal(nextUser(range, new Set([100, 102, 104, 9]), 106), 106)
  assert.equal(nextUser({ first: 100, last: 100 }, new Set(), undefined), undefined)
})
