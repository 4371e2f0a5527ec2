import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keepHistory } from './history.ts'

test('history is kept for one interval at least, and two at most', async () => {
  const compacted: number[] = []
  const store = { revision: 10, compact: async (revision: number) => void compacted.push(revision) }
  let tick: () => void = () => undefined
  let ended = false
  const stop = keepHistory(
    store,
    300_000,
    (error) => assert.fail(String(error)),
    (ms, run) => {
      assert.equal(ms, 300_000)
      tick = run
      return () => {
        ended = true
      }
    },
  )
  store.revision = 25
  tick()
  assert.deepEqual(compacted, [10])
  store.revision = 40
  tick()
  assert.deepEqual(compacted, [10, 25])
  stop()
  assert.ok(ended)
})

test('a compaction that fails is told, and tried again the next time', async () => {
  const told: unknown[] = []
  let tick: () => void = () => undefined
  const store = { revision: 1, compact: () => Promise.reject(new Error('disk')) }
  keepHistory(
    store,
    1,
    (error) => told.push(error),
    (_ms, run) => {
      tick = run
      return () => undefined
    },
  )
  tick()
  tick()
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(told.length, 2)
})
