import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inTime, Turnstile } from './limits.ts'

test('an answer that takes too long becomes a 504, and one in time is passed on', async () => {
  const never = new Promise<never>(() => undefined)
  await assert.rejects(inTime(5, never), {
    kind: 'Timeout',
    message: /unable to return a response in the time allotted/,
  })
  assert.equal(await inTime(60_000, Promise.resolve('here')), 'here')
  await assert.rejects(inTime(60_000, Promise.reject(new Error('own'))), { message: 'own' })
})

test('a turnstile lets in as many as it may, and others when those have left, however they leave', async () => {
  const turnstile = new Turnstile(1, 'full')
  const first = Promise.withResolvers<string>()
  const inside = turnstile.pass(() => first.promise)
  await assert.rejects(
    turnstile.pass(async () => 'second'),
    { kind: 'TooMany', message: 'full', data: { retryAfterSeconds: 1 } },
  )
  first.reject(new Error('gone'))
  await assert.rejects(inside, { message: 'gone' })
  assert.equal(await turnstile.pass(async () => 'third'), 'third')
})
