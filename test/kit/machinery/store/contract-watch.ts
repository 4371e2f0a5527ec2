import assert from 'node:assert/strict'
import { it } from 'node:test'
import { eventually } from '#base/wait.ts'
import type { Row } from '#machinery/store/store.ts'
import {
  faultOf,
  fill,
  increment,
  type Opened,
  put,
  read,
  remove,
  revisions,
  span,
  type Traits,
  vms,
} from './contract-kit.ts'

/** What a watch must do. */
export function watches(opened: Opened): void {
  it('watches from the beginning, from the middle and from now', async (t) => {
    const store = await opened(t)
    await fill(store, 10)
    assert.deepEqual(revisions(await read(store, '', 0, 10)), span(1, 10))
    assert.deepEqual(revisions(await read(store, '', 6, 4)), span(7, 10))
    const next = read(store, vms, store.revision, 2)
    await store.update('/elsewhere', put({}))
    await fill(store, 2)
    assert.deepEqual(revisions(await next), [12, 13])
  })

  it('tells what a change replaced, and the last words of a deleted row', async (t) => {
    const store = await opened(t)
    const a = await store.update('/a', put({ n: 1 }))
    const b = await store.update('/a', put({ n: 2 }))
    const gone = await store.update('/a', remove({ n: 3 }))
    await store.update('/a', put({ n: 4 }))
    await store.update('/a', remove())
    const [first, second, third, fourth, fifth] = await read(store, '/a', 0, 5)
    assert.deepEqual(first, { type: 'put', row: a })
    assert.deepEqual(second, { type: 'put', row: b, previous: a })
    assert.deepEqual(third, { type: 'delete', row: { key: '/a', revision: 3, value: { n: 3 } }, previous: b })
    assert.deepEqual(gone, third.row)
    assert.deepEqual(fourth, { type: 'put', row: { key: '/a', revision: 4, value: { n: 4 } } })
    assert.deepEqual(fifth?.row, { key: '/a', revision: 5, value: { n: 4 } })
    assert.equal(await store.get('/a'), undefined)
    assert.deepEqual((await store.list('')).rows, [])
  })

  it('gives each watcher its prefix', async (t) => {
    const store = await opened(t)
    const prefixes = [`${vms}a/`, `${vms}b/`, vms, '/kube', '']
    const counts = [2, 1, 3, 4, 5]
    const watched = prefixes.map((prefix, i) => read(store, prefix, 0, counts[i]!))
    for (const key of [`${vms}a/1`, `${vms}b/1`, '/kubevirt.io/x/a/1', '/a', `${vms}a/1`])
      await store.update(key, increment)
    assert.deepEqual((await Promise.all(watched)).map(revisions), [[1, 5], [2], [1, 2, 5], [1, 2, 3, 5], span(1, 5)])
  })
}

/** What a watch must do for a reader that is slow, or leaves. */
export function readers(opened: Opened): void {
  it('hands a late reader many changes at once', async (t) => {
    const store = await opened(t)
    const stop = new AbortController()
    const batches = store.watch('', 0, stop.signal)[Symbol.asyncIterator]()
    const first = batches.next()
    await store.update('/a', increment)
    assert.equal((await first).value.length, 1)
    for (let i = 0; i < 50; i++) await store.update('/a', increment)
    assert.deepEqual(revisions((await batches.next()).value), span(2, 51))
    stop.abort()
    assert.equal((await batches.next()).done, true)
  })

  it('cuts a reader that falls too far behind, and no other', async (t) => {
    const store = await opened(t, { maxUnread: 10 })
    const signal = new AbortController().signal
    const slow = store.watch('', 0, signal)[Symbol.asyncIterator]()
    const first = slow.next()
    await store.update('/a', increment)
    await first
    const quick = read(store, '', 0, 11)
    for (let i = 0; i < 10; i++) await store.update('/a', increment)
    assert.deepEqual(revisions(await quick), span(1, 11))
    await store.update('/a', increment)
    assert.equal(await faultOf(slow.next()), 'Expired')
    assert.equal((await slow.next()).done, true)
  })

  it('cuts a reader that has too many bytes unread, and takes one change however large', async (t) => {
    const store = await opened(t, { maxUnreadBytes: 5000 })
    const slow = store.watch('', 0, new AbortController().signal)[Symbol.asyncIterator]()
    const first = slow.next()
    const pad = 'x'.repeat(3000)
    await store.update('/a', put({ pad }))
    await first
    await store.update('/a', put({ pad: pad.repeat(3) }))
    assert.deepEqual(revisions((await slow.next()).value), [2])
    await store.update('/a', put({ pad }))
    await store.update('/a', put({ pad }))
    assert.equal(await faultOf(slow.next()), 'Expired')
  })

  it('ends quietly when aborted', async (t) => {
    const store = await opened(t)
    const stop = new AbortController()
    const waiting = store.watch('', 0, stop.signal)[Symbol.asyncIterator]().next()
    stop.abort()
    assert.equal((await waiting).done, true)
    assert.equal((await store.watch('', 0, stop.signal)[Symbol.asyncIterator]().next()).done, true)
  })
}

/** What a watch must do with changes from before it. */
export function history(opened: Opened): void {
  it('shows every change exactly once while it catches up with writers', async (t) => {
    const store = await opened(t, { keepRecent: 16 })
    await fill(store, 1500)
    const watched = [0, 1, 999, 1000, 1490].map((after) => read(store, '', after, 3000 - after))
    const writers = Array.from({ length: 15 }, async (_, w) => {
      for (let i = 0; i < 100; i++) await store.update(`${vms}w${w}/vm-${i % 7}`, increment)
    })
    await Promise.all(writers)
    for (const changes of await Promise.all(watched)) {
      assert.deepEqual(revisions(changes), span(3001 - changes.length, 3000))
      for (const { row, previous } of changes) {
        assert.equal(Number(row.value.n ?? 1), Number(previous?.value.n ?? 0) + 1)
      }
    }
  })

  it('makes a list and a watch from its revision one whole', async (t) => {
    const store = await opened(t)
    const writers = Array.from({ length: 8 }, async (_, w) => {
      for (let i = 0; i < 60; i++) await store.update(`/a/b/c/${(w * 7 + i) % 20}`, i % 3 ? increment : remove())
    })
    await eventually('some writes', () => store.revision > 50, { everyMs: 1 })
    const { rows, revision } = await store.list('/a/')
    const seen = new Map(rows.map((row) => [row.key, row]))
    await Promise.all(writers)
    for (const { type, row } of await read(store, '/a/', revision, store.revision - revision)) {
      if (type === 'put') seen.set(row.key, row)
      else seen.delete(row.key)
    }
    const expected = (await store.list('/a/')).rows
    assert.deepEqual(
      [...seen.values()].toSorted((a, b) => (a.key < b.key ? -1 : 1)),
      expected,
    )
  })
}

/** Lists as they were at earlier revisions. */
export function earlier(opened: Opened): void {
  it('lists what was there at each revision, while others write', async (t) => {
    const store = await opened(t, { keepRecent: 16 })
    const then: { revision: number; rows: readonly Row[] }[] = []
    for (let i = 0; i < 400; i++) {
      await store.update(`/a/b/c/${(i * 7) % 20}`, i % 3 ? increment : remove())
      if (i % 5 === 0) await store.update('/a/d/other', increment)
      if (i % 40 === 0) then.push(await store.list('/a/b/'))
    }
    const writers = Array.from({ length: 8 }, async (_, w) => {
      for (let i = 0; i < 60; i++) await store.update(`/a/b/c/${(w * 7 + i) % 20}`, i % 3 ? increment : remove())
    })
    const lists = then.map(async ({ revision, rows }) =>
      assert.deepEqual(await store.listAt('/a/b/', revision), rows, `revision ${revision}`),
    )
    await Promise.all([...writers, ...lists])
    assert.deepEqual(await store.listAt('/a/b/', 0), [])
    assert.deepEqual(await store.listAt('/a/b/', store.revision), (await store.list('/a/b/')).rows)
  })

  it('lists nothing of before what was compacted, nor of the future', async (t) => {
    const store = await opened(t, { keepRecent: 4 })
    await fill(store, 20)
    assert.equal(store.revision, 20)
    await store.compact(10)
    assert.equal(await faultOf(store.listAt(vms, 9)), 'Expired')
    assert.equal(await faultOf(store.listAt(vms, store.revision + 1)), 'Expired')
    assert.equal((await store.listAt(vms, 10)).length, 10)
  })
}

/** What is left of history after compaction. */
export function compaction(opened: Opened, { hasGaps }: Traits): void {
  it('refuses to watch from before what was compacted, or from the future', async (t) => {
    const store = await opened(t, { keepRecent: 2 })
    await fill(store, 10)
    await store.update(`${vms}default/vm-9`, remove())
    await store.compact(6)
    assert.equal(store.compacted, 6)
    assert.equal(await faultOf(read(store, '', 5, 1)), 'Expired')
    if (!hasGaps) assert.equal(store.revision, 11)
    assert.equal(await faultOf(read(store, '', store.revision + 1, 1)), 'Expired')
    assert.deepEqual(revisions(await read(store, '', 6, 5)), span(7, 11))
    assert.equal((await store.list('')).rows.length, 9)
    await store.compact(3)
    assert.equal(store.compacted, 6)
    await store.compact(1000)
    assert.equal(store.compacted, 11)
    assert.equal((await store.list('')).rows.length, 9)
    const { revision = 0 } = (await store.update('/a', increment)) ?? {}
    if (hasGaps) assert.ok(revision > 11, `the next revision is ${revision}`)
    else assert.equal(revision, 12)
  })

  it('compacts while others write, watch and compact', async (t) => {
    const store = await opened(t, { keepRecent: 8 })
    await fill(store, 1200)
    const live = read(store, '', store.revision, 300)
    const writing = Promise.all(Array.from({ length: 300 }, () => store.update('/hot', increment)))
    await Promise.all([store.compact(1100), store.compact(600), store.compact(1200), writing])
    const seen = await live
    assert.deepEqual(
      seen.map(({ row }) => row.value.n),
      span(1, 300),
    )
    assert.deepEqual(revisions(await read(store, '/hot', 1200, 300)), revisions(seen))
    if (hasGaps)
      assert.deepEqual(
        revisions(seen),
        [...new Set(revisions(seen))].toSorted((a, b) => a - b),
      )
    else assert.deepEqual(revisions(seen), span(1201, 1500))
  })

  it('forgets history that takes too many bytes by itself', async (t) => {
    const store = await opened(t, { historyBytes: 50_000 })
    const pad = 'x'.repeat(1000)
    for (let n = 0; n < 200; n++) await store.update('/a', put({ n, pad }))
    assert.ok(store.compacted > 100, `compacted up to ${store.compacted}`)
    assert.equal(await faultOf(read(store, '', 0, 1)), 'Expired')
    assert.ok((await read(store, '', store.compacted, 1)).length > 0)
  })

  it('forgets old history by itself', async (t) => {
    const store = await opened(t, { historyMs: 20 })
    await fill(store, 5)
    await eventually('compaction', () => store.compacted === 5)
    assert.equal((await store.list('')).rows.length, 5)
  })
}
