import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Codes } from './codes.ts'

function open() {
  const clock = { ms: 1_000_000 }
  return { clock, codes: new Codes<string>(() => clock.ms) }
}

test('a code stands for its value once, and for a minute', () => {
  const { clock, codes } = open()
  const { code, endMs } = codes.issue('jane', 'a')
  assert.equal(endMs, clock.ms + 60_000)
  assert.match(code, /^[\w-]{43}$/)
  for (const wrong of ['', 'x', code.slice(1), `${code}x`]) assert.equal(codes.redeem(wrong), undefined)
  assert.equal(codes.redeem(code), 'a')
  assert.equal(codes.redeem(code), undefined)
  const late = codes.issue('jane', 'b')
  clock.ms += 59_999
  assert.equal(codes.redeem(codes.issue('joe', 'c').code), 'c')
  clock.ms += 1
  assert.equal(codes.redeem(late.code), undefined)
})

test('the codes of one user are few, and those of all have an end', () => {
  const { clock, codes } = open()
  const first = codes.issue('jane', 'first').code
  const others = Array.from({ length: 8 }, (_, i) => codes.issue('jane', `${i}`).code)
  assert.equal(codes.redeem(first), undefined)
  assert.deepEqual(
    others.map((code) => codes.redeem(code)),
    ['0', '1', '2', '3', '4', '5', '6', '7'],
  )
  for (let i = 0; i < 1024; i++) codes.issue(`user${i}`, '')
  assert.throws(() => codes.issue('jane', ''), { kind: 'TooMany' })
  clock.ms += 60_000
  assert.ok(codes.issue('jane', '').code)
})
