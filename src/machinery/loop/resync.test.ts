import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HandTimers } from '#kit/machinery/loop/hand-timers.ts'
import { startResync } from './resync.ts'

/** Rounds of 30 s over numbers, in time that passes by hand. */
function open(count: number) {
  const timers = new HandTimers()
  const stop = new AbortController()
  const state = { all: Array.from({ length: count }, (_, i) => i), seen: [] as number[] }
  const enqueue = (one: number) => state.seen.push(one)
  startResync({ list: () => state.all, enqueue, everyMs: 30_000, signal: stop.signal, timers })
  /** Passes time in the steps the timers ask for, and resolves to how many were looked at in each. */
  const pass = (ms: number): number[] => {
    const counts: number[] = []
    const end = timers.now() + ms
    for (let [wait] = timers.waits; wait !== undefined && timers.now() + wait <= end; [wait] = timers.waits) {
      const before = state.seen.length
      timers.pass(wait)
      counts.push(state.seen.length - before)
    }
    timers.pass(end - timers.now())
    return counts
  }
  return { timers, stop, state, pass }
}

test('ten thousand things are looked at once in each round, few at a time', () => {
  const { state, pass } = open(10_000)
  const counts = pass(30_000)
  assert.equal(new Set(state.seen).size, 10_000)
  assert.equal(state.seen.length, 10_000)
  assert.ok(Math.max(...counts) <= 17, `${Math.max(...counts)} at once`)
  pass(30_000)
  assert.equal(state.seen.length, 20_000)
})

test('a few things have a look each in their own time, and nobody is woken in between', () => {
  const { state, pass } = open(3)
  assert.deepEqual([pass(10_000), state.seen], [[1], [0]])
  assert.deepEqual([pass(10_000), state.seen], [[1], [0, 1]])
  assert.deepEqual([pass(10_000), state.seen], [[1], [0, 1, 2]])
  assert.deepEqual(
    [pass(30_000), state.seen],
    [
      [1, 1, 1],
      [0, 1, 2, 0, 1, 2],
    ],
  )
})

test('what comes has its turn in the next round; none is no reason to stop', () => {
  const { state, pass } = open(0)
  assert.deepEqual(pass(30_000), [0])
  state.all = [7]
  pass(30_000)
  assert.deepEqual(state.seen, [])
  pass(30_000)
  assert.deepEqual(state.seen, [7])
})

test('who was held up catches up, and nothing is looked at after the end', () => {
  const { timers, stop, state } = open(10)
  timers.pass(45_000)
  assert.equal(state.seen.length, 10)
  stop.abort()
  timers.pass(60_000)
  assert.deepEqual([state.seen.length, timers.waits], [10, []])
})
