import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { explain } from '#base/fault.ts'
import { faultOf, put, read } from '#kit/machinery/store/contract-kit.ts'
import type { Backend, Write } from './backend.ts'
import type { Decision, Row } from './store.ts'
import { WatchableStore } from './watchable-store.ts'

type Append = Readonly<{ epoch: number; keys: readonly string[] }> & PromiseWithResolvers<void>

/** A backend whose every append is settled by hand. */
class HandJournal implements Backend {
  readonly appends: Append[] = []
  readonly compactions: [number, number][] = []
  readonly #broken = Promise.withResolvers<unknown>()
  readonly broken = this.#broken.promise
  compactFails = false
  usedBytes = 0
  lacksDisk = false

  append(writes: readonly Write[], epoch: number): Promise<void> {
    const settled = Promise.withResolvers<void>()
    this.appends.push({ ...settled, epoch, keys: writes.map(({ change }) => change.row.key) })
    return settled.promise
  }

  async history(): Promise<readonly []> {
    return []
  }

  async compact(after: number, upTo: number): Promise<void> {
    if (this.compactFails) throw new Error('disk full')
    this.compactions.push([after, upTo])
  }

  async shrink(): Promise<boolean> {
    return false
  }

  break(cause: unknown): void {
    this.#broken.resolve(cause)
  }

  async close(): Promise<void> {}
}

function open(revision = 0): { backend: HandJournal; store: WatchableStore } {
  const backend = new HandJournal()
  const contents = { rows: [], revision, compacted: 0, historyBytes: 0 }
  return { backend, store: new WatchableStore('store under test', backend, contents) }
}

/** Lets every promise that can settle do so. */
const settled = () => new Promise((resolve) => setImmediate(resolve))

function increment(current: Row | undefined): Decision {
  return { type: 'put', value: { n: Number(current?.value.n ?? 0) + 1 } }
}

describe('WatchableStore', () => {
  it('sends what was decided in one turn as one append, without waiting for the one before', async () => {
    const { backend, store } = open()
    const first = [store.update('/a', increment), store.update('/a', increment), store.update('/b', increment)]
    await settled()
    const second = store.update('/a', increment)
    await settled()
    assert.deepEqual(
      backend.appends.map(({ keys }) => keys),
      [['/a', '/a', '/b'], ['/a']],
    )
    backend.appends[0]!.resolve()
    await Promise.all(first)
    assert.deepEqual([store.revision, (await store.get('/a'))?.value], [3, { n: 2 }])
    backend.appends[1]!.resolve()
    assert.deepEqual((await second)?.value, { n: 3 })
  })

  it('rejects everything pending when an append fails, changes nothing and goes on', async () => {
    const { backend, store } = open()
    const doomed = [store.update('/a', increment), store.update('/b', increment)]
    await settled()
    const overlapping = [store.update('/a', increment), store.update('/a', () => undefined)]
    overlapping.push(
      store.update('/a', () => {
        throw new Error('never told, because the row it saw never was')
      }),
    )
    await settled()
    const unsent = store.update('/c', increment)
    backend.appends[0]!.reject(new Error('disk full'))
    backend.appends[1]!.reject(new Error('an earlier write failed'))
    for (const update of [...doomed, ...overlapping, unsent]) assert.equal(await faultOf(update), 'Unavailable')
    assert.match(
      explain(await doomed[0]!.catch((error) => error)),
      /^Writing \/a to the store under test failed: disk full$/,
    )
    assert.deepEqual([await store.get('/a'), await store.get('/c'), store.revision], [undefined, undefined, 0])

    const after = store.update('/a', increment)
    await settled()
    const last = backend.appends.at(-1)!
    assert.equal(last.epoch, 1)
    last.resolve()
    const row = await after
    assert.deepEqual(row?.value, { n: 1 })
    assert.ok(row.revision > 4, 'a revision that failed is never given away again')
    assert.deepEqual(
      (await read(store, '', 0, 1)).map((change) => change.row),
      [row],
    )
  })

  it('tells followers what a key holds after all when a write is lost', async () => {
    const { backend, store } = open()
    const told: unknown[] = []
    const first = store.update('/a', increment)
    await settled()
    backend.appends[0]!.resolve()
    await first
    store.onDecided((key, value) => told.push([key, value]))
    assert.deepEqual(told.splice(0), [['/a', { n: 1 }]])
    const lost = Promise.allSettled([
      store.update('/a', increment),
      store.update('/a', increment),
      store.update('/b', put({})),
    ])
    await settled()
    assert.deepEqual(told.splice(0), [
      ['/a', { n: 2 }],
      ['/a', { n: 3 }],
      ['/b', {}],
    ])
    backend.appends[1]!.reject(new Error('disk full'))
    await lost
    assert.deepEqual(told, [
      ['/a', { n: 1 }],
      ['/b', undefined],
    ])
  })

  it('refuses everything, saying why, once its backend is broken', async () => {
    const { backend, store } = open()
    const waiting = read(store, '', 0, 1)
    await settled()
    backend.break(new Error('its thread ended'))
    const sentence = /^The store under test stopped working: its thread ended$/
    assert.match(explain(await waiting.catch((error) => error)), sentence)
    const calls = [
      store.get('/a'),
      store.list(''),
      store.update('/a', put({})),
      store.compact(1),
      read(store, '', 0, 1),
    ]
    for (const call of calls) {
      assert.equal(await faultOf(call), 'Unavailable')
      assert.match(explain(await call.catch((error) => error)), sentence)
    }
    await store.close()
  })

  it('compacts in short spans, and after a failure goes on where it was', async () => {
    const { backend, store } = open(2000)
    await store.compact(500)
    assert.deepEqual(backend.compactions, [
      [0, 200],
      [200, 400],
      [400, 500],
    ])
    backend.compactFails = true
    await assert.rejects(store.compact(600), /disk full/)
    assert.equal(store.compacted, 600)
    backend.compactFails = false
    await store.compact(650)
    assert.deepEqual(backend.compactions.at(-1), [500, 650])
  })
})
