import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { Fault, faultKind } from '#base/fault.ts'
import type { JsonObject } from '#base/json.ts'
import { eventually } from '#base/wait.ts'
import type { Tuning } from './journaled.ts'
import type { Change, Decision, Row, Store } from './store.ts'

/** Opens an empty store. */
type Open = (tuning?: Tuning) => Promise<Store>
type With = (t: TestContext, tuning?: Tuning) => Promise<Store>

const vms = '/kubevirt.io/virtualmachines/'
const limits = { timeout: 60_000 }

/** Registers what every store must do. */
export function storeContract(name: string, open: Open): void {
  const opened: With = async (t, tuning) => {
    const store = await open(tuning)
    t.after(() => store.close())
    return store
  }
  describe(`Store contract: ${name}`, limits, () => {
    updates(opened)
    lists(opened)
    watches(opened)
    history(opened)
    endings(opened)
  })
}

/** A decision to write, whatever is there. */
export function put(value: JsonObject): () => Decision {
  return () => ({ type: 'put', value })
}

/** A decision to delete. */
export function remove(value?: JsonObject): () => Decision {
  return () => ({ type: 'delete', ...(value && { value }) })
}

/** The first `count` changes of a watch. */
export async function read(store: Store, prefix: string, after: number, count: number): Promise<Change[]> {
  const stop = new AbortController()
  const changes: Change[] = []
  if (count === 0) return changes
  for await (const batch of store.watch(prefix, after, stop.signal)) {
    assert.ok(batch.length > 0, 'a batch is never empty')
    changes.push(...batch)
    if (changes.length >= count) stop.abort()
  }
  return changes
}

/** The kind of Fault something rejects with. */
export async function faultOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'none',
    (error) => (error instanceof Fault ? error.kind : `not a Fault: ${faultKind(error)} ${error}`),
  )
}

function increment(current: Row | undefined): Decision {
  return { type: 'put', value: { n: Number(current?.value.n ?? 0) + 1 } }
}

async function fill(store: Store, count: number, prefix = `${vms}default/vm-`): Promise<void> {
  await Promise.all(Array.from({ length: count }, (_, i) => store.update(`${prefix}${i}`, put({ i }))))
}

const revisions = (changes: readonly Change[]) => changes.map(({ row }) => row.revision)
const span = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i)

function updates(opened: With): void {
  it('writes what decide returns over what it was shown', async (t) => {
    const store = await opened(t)
    assert.equal(store.revision, 0)
    assert.equal(await store.get('/a'), undefined)
    const first = await store.update('/a', (current) => {
      assert.equal(current, undefined)
      return { type: 'put', value: { n: 1 } }
    })
    assert.deepEqual(first, { key: '/a', revision: 1, value: { n: 1 } })
    const second = await store.update('/a', increment)
    assert.deepEqual(second, { key: '/a', revision: 2, value: { n: 2 } })
    assert.deepEqual(await store.get('/a'), second)
    assert.equal(store.revision, 2)
  })

  it('writes nothing when there is nothing to do', async (t) => {
    const store = await opened(t)
    assert.equal(await store.update('/a', () => undefined), undefined)
    assert.equal(await store.update('/a', remove()), undefined)
    const row = await store.update('/a', put({ n: 1 }))
    assert.deepEqual(await store.update('/a', () => undefined), row)
    assert.equal(store.revision, 1)
  })

  it('rejects with what decide throws, and changes nothing', async (t) => {
    const store = await opened(t)
    const conflict = new Fault('Conflict', 'Too late')
    const refuse = () => {
      throw conflict
    }
    await assert.rejects(store.update('/a', refuse), conflict)
    await store.update('/a', put({ n: 1 }))
    await assert.rejects(store.update('/a', refuse), conflict)
    assert.deepEqual([store.revision, (await store.get('/a'))?.value], [1, { n: 1 }])
  })

  it('rejects a value that is not JSON, and goes on', async (t) => {
    const store = await opened(t)
    const round: Record<string, JsonObject> = {}
    round.self = round
    await assert.rejects(store.update('/a', put(round)), TypeError)
    assert.equal((await store.update('/a', increment))?.revision, 1)
  })

  it('applies concurrent updates of one key one after the other', async (t) => {
    const store = await opened(t)
    const rows = await Promise.all(Array.from({ length: 200 }, () => store.update('/a/b/c/d', increment)))
    assert.deepEqual(
      rows.map((row) => row?.value.n),
      span(1, 200),
    )
    assert.deepEqual(new Set(rows.map((row) => row?.revision)), new Set(span(1, 200)))
    assert.deepEqual((await store.get('/a/b/c/d'))?.value, { n: 200 })
  })

  it('shows a write only once it is durable, also to those who object to it', async (t) => {
    const store = await opened(t)
    const written = store.update('/a', put({ n: 1 }))
    const before = store.get('/a')
    const exists = store.update('/a', (current) => {
      if (current) throw new Fault('AlreadyExists', 'There is one')
      return undefined
    })
    const unchanged = store.update('/a', () => undefined)
    assert.equal(await before, undefined)
    assert.equal(await faultOf(exists), 'AlreadyExists')
    assert.deepEqual((await store.get('/a'))?.value, { n: 1 })
    assert.equal(await unchanged, await written)
  })
}

function lists(opened: With): void {
  it('lists in order of key, within the prefix only', async (t) => {
    const store = await opened(t)
    const all = [
      '/a/vms/ns-2/a',
      '/a/vms/ns/a',
      '/a/vms/ns/b',
      '/a/vms/ns/é',
      '/a/vms/ns2/a',
      '/a/vmsets/ns/a',
      '/b',
      '/b/x/y',
    ]
    await Promise.all(all.toReversed().map((key) => store.update(key, put({ key }))))
    const keys = async (prefix: string) => (await store.list(prefix)).rows.map(({ key }) => key)
    assert.deepEqual(await keys(''), all)
    assert.deepEqual(await keys('/a/vms'), all.slice(0, 6))
    assert.deepEqual(await keys('/a/vms/'), all.slice(0, 5))
    assert.deepEqual(await keys('/a/vms/ns'), all.slice(0, 5))
    assert.deepEqual(await keys('/a/vms/ns/'), all.slice(1, 4))
    assert.deepEqual(await keys('/a/vms/ns/b'), ['/a/vms/ns/b'])
    assert.deepEqual(await keys('/b'), ['/b', '/b/x/y'])
    assert.deepEqual(await keys('/c/'), [])
    assert.equal((await store.list('/c/')).revision, 8)
  })

  it('keeps a list in order while keys come and go', async (t) => {
    const store = await opened(t)
    await fill(store, 20)
    await store.list(vms)
    await Promise.all([store.update(`${vms}default/vm-11`, remove()), store.update(`${vms}default/a`, put({}))])
    await store.update(`${vms}default/vm-5`, increment)
    const { rows } = await store.list(vms)
    assert.deepEqual(
      rows.map(({ key }) => key),
      rows.map(({ key }) => key).toSorted(),
    )
    assert.equal(rows.length, 20)
    assert.equal(rows.find(({ key }) => key.endsWith('vm-5'))?.value.n, 1)
  })
}

function watches(opened: With): void {
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

  it('ends quietly when aborted', async (t) => {
    const store = await opened(t)
    const stop = new AbortController()
    const waiting = store.watch('', 0, stop.signal)[Symbol.asyncIterator]().next()
    stop.abort()
    assert.equal((await waiting).done, true)
    assert.equal((await store.watch('', 0, stop.signal)[Symbol.asyncIterator]().next()).done, true)
  })
}

function history(opened: With): void {
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

  it('refuses to watch from before what was compacted, or from the future', async (t) => {
    const store = await opened(t, { keepRecent: 2 })
    await fill(store, 10)
    await store.update(`${vms}default/vm-9`, remove())
    await store.compact(6)
    assert.equal(store.compacted, 6)
    assert.equal(await faultOf(read(store, '', 5, 1)), 'Expired')
    assert.equal(await faultOf(read(store, '', 12, 1)), 'Expired')
    assert.deepEqual(revisions(await read(store, '', 6, 5)), span(7, 11))
    assert.equal((await store.list('')).rows.length, 9)
    await store.compact(3)
    assert.equal(store.compacted, 6)
    await store.compact(1000)
    assert.equal(store.compacted, 11)
    assert.equal((await store.list('')).rows.length, 9)
    assert.equal((await store.update('/a', increment))?.revision, 12)
  })

  it('compacts while others write, watch and compact', async (t) => {
    const store = await opened(t, { keepRecent: 8 })
    await fill(store, 1200)
    const live = read(store, '', store.revision, 300)
    const writing = Promise.all(Array.from({ length: 300 }, () => store.update('/hot', increment)))
    await Promise.all([store.compact(1100), store.compact(600), store.compact(1200), writing])
    assert.deepEqual(revisions(await live), span(1201, 1500))
    assert.deepEqual(revisions(await read(store, '/hot', 1200, 300)), span(1201, 1500))
  })

  it('forgets old history by itself', async (t) => {
    const store = await opened(t, { historyMs: 20 })
    await fill(store, 5)
    await eventually('compaction', () => store.compacted === 5)
    assert.equal((await store.list('')).rows.length, 5)
  })
}

function endings(opened: With): void {
  it('finishes accepted updates when closed, and refuses later ones', async (t) => {
    const store = await opened(t)
    const watched = store.watch('', 0, new AbortController().signal)[Symbol.asyncIterator]()
    const waiting = faultOf(watched.next())
    const accepted = Array.from({ length: 20 }, () => store.update('/a', increment))
    const closing = store.close()
    assert.equal((await Promise.all(accepted)).at(-1)?.value.n, 20)
    await Promise.all([closing, store.close()])
    assert.equal(await waiting, 'Unavailable')
    for (const call of [
      store.get('/a'),
      store.list(''),
      store.update('/a', increment),
      store.compact(1),
      read(store, '', 0, 1),
    ]) {
      assert.equal(await faultOf(call), 'Unavailable')
    }
  })
}
