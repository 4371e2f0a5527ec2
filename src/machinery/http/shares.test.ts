import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Caller, Shares } from './shares.ts'

const user = (key: string): Caller => ({ key, isReserved: false, isSignedIn: true })
const admin: Caller = { key: 'admin', isReserved: true, isSignedIn: true }
const refused = { kind: 'TooMany', message: 'full', data: { retryAfterSeconds: 1 } }

test('one user gets a share, all users together leave a part to administrators', () => {
  const shares = new Shares(20, 25, 'full')
  for (const name of ['a', 'b', 'c']) for (let i = 0; i < 5; i++) shares.take(user(name), 1)
  assert.throws(() => shares.take(user('a'), 1), refused)
  for (let i = 0; i < 3; i++) shares.take(user('d'), 1)
  assert.throws(() => shares.take(user('d'), 1), refused)
  assert.throws(() => shares.take(user('e'), 1), refused)
  shares.take(admin, 2)
  assert.throws(() => shares.take(admin, 1), refused)
  assert.equal(shares.taken, 20)
})

test('what is held grows, and is given back once, whoever held it', () => {
  const shares = new Shares(10, 100, 'full')
  const held = shares.take(user('a'), 4)
  held.add(5)
  assert.throws(() => held.add(1), refused)
  held[Symbol.dispose]()
  held[Symbol.dispose]()
  assert.equal(shares.taken, 0)
  shares.take(user('b'), 9)
})

test('a share of a small capacity is one', () => {
  const shares = new Shares(2, 25, 'full')
  const held = shares.take(user('a'), 1)
  assert.throws(() => shares.take(user('a'), 1), refused)
  held[Symbol.dispose]()
  shares.take(user('a'), 1)
})
