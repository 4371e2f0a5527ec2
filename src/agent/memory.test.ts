import assert from 'node:assert/strict'
import { test } from 'node:test'
import { backingOff } from '#core/instance/backoff.ts'
import { Memories } from './memory.ts'

test('what failed backs off, longer each time, until what it depends on changes or it succeeds', (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1000 })
  const memories = new Memories()
  const restMs = (depends: string) => {
    const { failures } = memories.of('u')
    let ms = 0
    while (backingOff(failures, 'plug red', depends, Date.now() + ms)) ms += 50
    return ms
  }
  for (const expected of [250, 500, 1000]) {
    memories.failed('u', 'plug red', 'ns/red', new Error('no'))
    assert.equal(restMs('ns/red'), expected)
  }
  assert.equal(restMs('ns/blue'), 0, 'its owner has changed it')
  memories.failed('u', 'plug red', 'ns/blue', new Error('no'))
  assert.equal(restMs('ns/blue'), 250, 'another attempt begins from the start')
  memories.failed('u', 'plug green', '', new Error('no'))
  memories.succeeded('u', 'plug red')
  assert.deepEqual([...memories.of('u').failures.keys()], ['plug green'])
  assert.equal(memories.of('v').failures.size, 0, 'another sandbox has nothing to do with it')
})

test('a request to release a card keeps its first time, until the guest no longer has the card', (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1000 })
  const memories = new Memories()
  memories.unplugRequested('u', 'red')
  t.mock.timers.tick(500)
  memories.unplugRequested('u', 'red')
  memories.unplugRequested('u', 'blue')
  assert.deepEqual(
    [...memories.of('u').requested.unplug],
    [
      ['red', { firstMs: 1000, lastMs: 1500 }],
      ['blue', { firstMs: 1500, lastMs: 1500 }],
    ],
  )
  assert.deepEqual(memories.unplugged('u', new Set(['default', 'blue'])), ['red'])
  assert.deepEqual(memories.unplugged('u', new Set(['default', 'blue'])), [], 'it is said once')
  assert.deepEqual([...memories.of('u').requested.unplug.keys()], ['blue'])
})

test('a request to shut down is remembered beside others', (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1000 })
  const memories = new Memories()
  memories.unplugRequested('u', 'red')
  memories.shutdownRequested('u')
  const { shutdownMs, unplug } = memories.of('u').requested
  assert.deepEqual([shutdownMs, unplug.has('red')], [1000, true])
})

test('cards that lost their taps are remembered until each is plugged again', () => {
  const memories = new Memories()
  memories.lostTaps('u', ['red', 'blue'])
  memories.lostTaps('u', [])
  memories.lostTaps('u', ['green'])
  memories.plugged('u', 'blue')
  memories.plugged('u', 'unknown')
  assert.deepEqual([...memories.of('u').deaf], ['red', 'green'])
  memories.forget('u')
  assert.equal(memories.of('u').deaf.size, 0)
})
