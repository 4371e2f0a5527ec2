import assert from 'node:assert/strict'
import { test } from 'node:test'
import { codes, lost, refused } from './etcd-fault.ts'

const at = 'http://127.0.0.1:2379'

test('what etcd answers is told apart by what to do about it', () => {
  const judged = (code: number, words: string) => {
    const { kind, matter, isUnclear } = refused(at, code, words)
    return [kind, matter, isUnclear]
  }
  const { resourceExhausted, invalidArgument, outOfRange, unavailable, unknown, unauthenticated } = codes
  assert.deepEqual(judged(resourceExhausted, 'etcdserver: mvcc: database space exceeded'), [
    'Unavailable',
    'full',
    false,
  ])
  assert.deepEqual(judged(resourceExhausted, 'grpc: received message larger than max (3 vs. 2)'), [
    'TooLarge',
    undefined,
    false,
  ])
  assert.deepEqual(judged(invalidArgument, 'etcdserver: request is too large'), ['TooLarge', undefined, false])
  assert.deepEqual(judged(outOfRange, 'etcdserver: mvcc: required revision has been compacted'), [
    'Expired',
    'compacted',
    false,
  ])
  assert.deepEqual(judged(unauthenticated, 'etcdserver: invalid auth token'), ['Unavailable', 'token', false])
  assert.deepEqual(judged(invalidArgument, 'etcdserver: authentication failed, invalid user ID or password'), [
    'Invalid',
    undefined,
    false,
  ])
  // Whether these were carried out is not known.
  assert.deepEqual(judged(unavailable, 'etcdserver: request timed out, possibly due to previous leader failure'), [
    'Unavailable',
    undefined,
    true,
  ])
  assert.deepEqual(judged(unknown, 'context deadline exceeded'), ['Unavailable', undefined, true])
})

test('a connection that was never made cannot have carried a request', () => {
  assert.equal(lost(at, false, undefined).isUnclear, false)
  assert.equal(lost(at, true, undefined).isUnclear, true)
})
