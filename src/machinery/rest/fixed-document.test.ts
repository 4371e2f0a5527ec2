import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { fixedAnswer } from './fixed-document.ts'

const document = { text: 'x'.repeat(10_000) }
const answer = (headers: Record<string, string>, hash?: string) => fixedAnswer(document, { headers, hash })

for (const [accepted, isZipped] of [
  ['gzip', true],
  ['deflate, GZIP', true],
  ['gzip;q=0.5', true],
  ['gzip ; q=1.0', true],
  ['gzip;q=0', false],
  ['gzip;q=0.000', false],
  ['x-gzipped', false],
  ['', false],
] as const)
  test(`a document for who accepts "${accepted}" is ${isZipped ? '' : 'not '}compressed`, () => {
    const { headers, body } = answer({ 'accept-encoding': accepted })
    assert.equal(headers?.['content-encoding'], isZipped ? 'gzip' : undefined)
    const bytes = Buffer.from(body as Uint8Array)
    assert.deepEqual(JSON.parse(String(isZipped ? gunzipSync(bytes) : bytes)), document)
  })

test('a document is written and compressed once, and a small one not compressed', () => {
  const headers = { 'accept-encoding': 'gzip' }
  assert.equal(answer(headers).body, answer(headers).body)
  assert.equal(answer({}).body, answer({}).body)
  assert.equal(fixedAnswer({ a: 1 }, { headers }).headers?.['content-encoding'], undefined)
})

test('a document that the client has is not sent again, and one under its own hash may be kept for ever', () => {
  const tag = String(answer({}).headers?.etag)
  const again = answer({ 'if-none-match': `"other", W/${tag}` })
  assert.deepEqual([again.code, again.body, again.headers?.etag], [304, '', tag])
  assert.equal(answer({ 'if-none-match': '"other"' }).code, 200)
  const caching = (hash?: string) => answer({}, hash).headers?.['cache-control']
  assert.match(String(caching(tag.slice(1, -1))), /immutable/)
  assert.deepEqual([caching('other'), caching()], ['no-cache, private', 'no-cache, private'])
})
