import assert from 'node:assert/strict'
import { test } from 'node:test'
import { must } from './program.ts'

test('what a program prints is read whole, however its characters are cut into pieces', async () => {
  // Pipes pass on even numbers of bytes, so a letter of two bytes is cut after an odd number of them.
  const text = `a${'é'.repeat(200_000)}`
  const script = `process.stdout.write('a' + 'é'.repeat(200_000))`
  assert.ok((await must(process.execPath, ['-e', script])) === text)
})
