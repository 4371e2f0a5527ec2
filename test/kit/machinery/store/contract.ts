import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Fault } from '#base/fault.ts'
import type { JsonObject } from '#base/json.ts'
import type { Store } from '#machinery/store/store.ts'
import type { Tuning } from '#machinery/store/watchable-store.ts'
import { faultOf, fill, increment, type Opened, put, read, remove, span, type Traits, vms } from './contract-kit.ts'
import { compaction, earlier, history, readers, watches } from './contract-watch.ts'

/** Opens an empty store. */
type Open = (tuning?: Tuning) => Promise<Store>

const limits = { timeout: 60_000 }

/** A store of this process alone, which nothing else writes. */
const exact: Traits = { hasGaps: false, isAlone: true }

/** Registers what every store must do. */
export function storeContract(name: string, open: Open, traits = exact): void {
  const opened: Opened = async (t, tuning) => {
    const store = await open(tuning)
    t.after(() => store.close())
    return store
  }
  describe(`Store contract: ${name}`, limits, () => {
    updates(opened)
    concurrency(opened, traits)
    lists(opened)
    following(opened, traits)
    watches(opened)
    readers(opened)
    history(opened)
    earlier(opened)
    compaction(opened, traits)
    endings(opened)
  })
}

function updates(opened: Opened): void {
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
}

function concurrency(opened: Opened, { isAlone }: Traits): void {
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
    if (isAlone) assert.equal(await before, undefined)
    else assert.ok([undefined, 1].includes((await before)?.revision))
    assert.equal(await faultOf(exists), 'AlreadyExists')
    assert.deepEqual((await store.get('/a'))?.value, { n: 1 })
    if (isAlone) assert.equal(await unchanged, await written)
    else assert.deepEqual(await unchanged, await written)
  })
}

function lists(opened: Opened): void {
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

function following(opened: Opened, { isAlone }: Traits): void {
  it('tells a follower what there is, and each change before anybody decides over it', async (t) => {
    const store = await opened(t)
    await store.update('/a', put({ text: 'ä' }))
    await store.update('/b', put({}))
    await store.update('/b', remove({ last: 'words' }))
    const told: unknown[] = []
    const late = store.update('/c', put({ n: 1 }))
    store.onDecided((...what) => told.push(what))
    assert.deepEqual(told.splice(0), [
      ['/a', { text: 'ä' }, 13],
      ['/c', { n: 1 }, 7],
    ])
    const writes = [
      store.update('/c', remove()),
      store.update('/c', () => {
        assert.deepEqual(told.splice(0), [['/c', undefined, 0]])
        return { type: 'put', value: { n: 22 } }
      }),
      store.update('/a', () => undefined),
    ]
    if (isAlone) assert.deepEqual(told, [['/c', { n: 22 }, 8]])
    await Promise.all([late, ...writes])
    assert.deepEqual(told, [['/c', { n: 22 }, 8]])
  })
}

function endings(opened: Opened): void {
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
