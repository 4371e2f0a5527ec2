import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseChecksum } from './checksum.ts'

test('checksums have an algorithm and the digest of its length', () => {
  for (const [algorithm, length] of [
    ['md5', 32],
    ['sha1', 40],
    ['sha256', 64],
    ['sha512', 128],
  ] as const)
    assert.deepEqual(parseChecksum(`${algorithm.toUpperCase()}:${'A'.repeat(length)}`), {
      algorithm,
      digest: 'a'.repeat(length),
    })
})

test('everything else is refused', () => {
  const wrong = ['', 'sha256', 'sha256:', `sha256:${'a'.repeat(63)}`, `md4:${'a'.repeat(32)}`, `md5:${'g'.repeat(32)}`]
  for (const text of [...wrong, `md5:${'a'.repeat(32)}:`, 'constructor:1', '__proto__:'])
    assert.throws(() => parseChecksum(text), { kind: 'Invalid', message: /is no checksum/ }, text)
})
