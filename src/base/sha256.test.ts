import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { sha256Hex } from './sha256.ts'

// NIST's examples for SHA-256 (FIPS 180-4), and its million letters.
for (const [name, text, digest] of [
  ['nothing', '', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
  ['one block', 'abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
  [
    'two blocks',
    'abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq',
    '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
  ],
  ['a million letters', 'a'.repeat(1e6), 'cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0'],
] as const)
  test(`sha256: ${name}`, () => assert.equal(sha256Hex(text), digest))

test('sha256: any text has the digest that OpenSSL gives it', () => {
  const texts = fc.oneof(fc.string({ unit: 'binary', maxLength: 150 }), fc.string({ unit: 'grapheme', maxLength: 50 }))
  fc.assert(fc.property(texts, (text) => assert.equal(sha256Hex(text), hash('sha256', text))))
  // Around the ends of a block, where the padding changes.
  for (let length = 50; length < 140; length++)
    assert.equal(sha256Hex('x'.repeat(length)), hash('sha256', 'x'.repeat(length)))
})
