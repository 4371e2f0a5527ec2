import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pageHeaders } from './headers.ts'

const sources = (headers: Record<string, string>) =>
  /connect-src ([^;]*);/.exec(pageHeaders(headers)['content-security-policy'] ?? '')?.[1]

test('WebSockets of the server itself are allowed by the name that the browser has for it', () => {
  assert.equal(sources({ host: 'vms.example.org:6443' }), "'self' wss://vms.example.org:6443")
  assert.equal(sources({ ':authority': '[::1]:6443', host: 'other' }), "'self' wss://[::1]:6443")
  assert.equal(sources({}), "'self'")
})

test('a name that is none is not repeated in the policy', () => {
  for (const host of [
    "a; script-src *; x 'unsafe-inline'",
    'a b',
    '*',
    'a,b',
    '[::1',
    'a:b',
    'a:123456',
    `${'a'.repeat(300)}`,
  ])
    assert.equal(sources({ host }), "'self'", host)
})
