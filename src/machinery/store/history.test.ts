import assert from 'node:assert/strict'
import { test } from 'node:test'
import { History } from './history.ts'

/** A store of which only the revision and what is compacted matter. */
function fakeStore(revision: number) {
  const compactions: number[] = []
  return {
    revision,
    compacted: 0,
    compactions,
    async compact(upTo: number) {
      compactions.push(upTo)
      this.compacted = upTo
    },
  }
}

const noTimer = () => () => undefined
const fail = (error: unknown) => assert.fail(String(error))

test('history is kept for one interval at least, and two at most, however long the interval is', () => {
  const store = fakeStore(10)
  let tick: () => void = () => undefined
  let ended = false
  const history = new History(store, 0, {
    ms: 3_600_000,
    bytes: 1e9,
    onTrouble: fail,
    every: (ms, run) => {
      assert.equal(ms, 3_600_000)
      tick = run
      return () => {
        ended = true
      }
    },
  })
  store.revision = 25
  tick()
  assert.deepEqual(store.compactions, [10])
  store.revision = 40
  tick()
  assert.deepEqual(store.compactions, [10, 25])
  history.stop()
  assert.ok(ended)
})

test('history larger than its limit is forgotten early, the older half first', () => {
  const store = fakeStore(0)
  const history = new History(store, 0, { ms: 1, bytes: 64_000, onTrouble: fail, every: noTimer })
  for (let n = 1; n <= 1000; n++) {
    store.revision = n
    history.add(n, 1000)
    assert.ok(history.bytes <= 66_000, `${history.bytes} bytes are kept`)
  }
  assert.ok(store.compacted > 900)
  assert.ok(history.bytes >= 30_000, 'not more than needed is forgotten')
})

test('history that was there at the start counts', () => {
  const store = fakeStore(5)
  const history = new History(store, 70_000, { ms: 1, bytes: 64_000, onTrouble: fail, every: noTimer })
  store.revision = 6
  history.add(6, 1)
  assert.deepEqual(store.compactions, [5])
})

test('a compaction that fails is reported, and tried again the next time', async () => {
  const told: unknown[] = []
  let tick: () => void = () => undefined
  const store = { revision: 1, compacted: 0, compact: () => Promise.reject(new Error('disk')) }
  new History(store, 0, {
    ms: 1,
    bytes: 1,
    onTrouble: (error) => told.push(error),
    every: (_ms, run) => {
      tick = run
      return () => undefined
    },
  })
  tick()
  tick()
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(told.length, 2)
})
