import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Patience } from './patience.ts'

test('what failed rests for longer each time, others and new wishes do not, and success forgets it', (t) => {
  let now = 0
  t.mock.method(performance, 'now', () => now)
  const patience = new Patience()
  const rests = (name = 'a', wish = 'red') => patience.resting('s', name, wish)?.cause
  const restMs = () => {
    patience.failed('s', 'a', 'red', 'why')
    assert.equal(rests(), 'why')
    const start = now
    while (rests()) now += 50
    return now - start
  }
  assert.deepEqual(Array.from({ length: 8 }, restMs), [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000])
  patience.failed('s', 'a', 'red', 'why')
  assert.deepEqual([rests('b'), rests('a', 'blue')], [undefined, undefined])
  patience.failed('s', 'a', 'blue', 'other')
  assert.equal(rests('a', 'blue'), 'other')
  patience.succeeded('s', 'a')
  assert.equal(rests('a', 'blue'), undefined)
  patience.failed('s', 'a', 'blue', 'other')
  patience.forget('s')
  assert.equal(rests('a', 'blue'), undefined)
})
