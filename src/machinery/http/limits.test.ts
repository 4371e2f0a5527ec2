import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inTime } from './limits.ts'

test('an answer that takes too long becomes a 504, and one in time is passed on', async () => {
  const never = new Promise<never>(() => undefined)
  await assert.rejects(inTime(5, never), {
    kind: 'Timeout',
    message: /unable to return a response in the time allotted/,
  })
  assert.equal(await inTime(60_000, Promise.resolve('here')), 'here')
  await assert.rejects(inTime(60_000, Promise.reject(new Error('own'))), { message: 'own' })
})
