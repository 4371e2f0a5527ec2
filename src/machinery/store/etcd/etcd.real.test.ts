import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import { explain } from '#base/fault.ts'
import { eventually } from '#base/wait.ts'
import { startEtcd, type TestEtcd } from '#kit/machinery/etcd/etcd.ts'
import { openProxy } from '#kit/machinery/etcd/proxy.ts'
import { faultOf, fill, increment, put, read, remove, vms } from '#kit/machinery/store/contract-kit.ts'
import { EtcdClient } from '../../etcd/client.ts'
import { compactRequest, methods, rangeRequest, txnRequest } from '../../etcd/messages.ts'
import type { Tuning } from '../watchable-store.ts'
import { type OpenEtcdStore, openEtcdStore } from './etcd.ts'
import { EtcdKeys } from './keys.ts'

const mebibyte = 1024 * 1024

/** What an update rejects with, as users see it. */
const refusalOf = (work: Promise<unknown>) => work.then(() => 'none', explain)

describe('A store in etcd', { timeout: 120_000 }, () => {
  let etcd: TestEtcd
  let client: EtcdClient
  before(async () => {
    etcd = await startEtcd()
    client = new EtcdClient({ endpoints: etcd.endpoints })
  })
  after(async () => {
    client?.close()
    await etcd?.stop()
  })

  let prefixes = 0
  const newPrefix = () => `/store-${++prefixes}`
  async function opened(t: TestContext, prefix: string, tuning: Tuning = {}, endpoints = etcd.endpoints) {
    const store = await openEtcdStore({ ...tuning, endpoints, prefix })
    t.after(() => store.close())
    return store
  }
  const write = (key: Buffer, text: string) =>
    client.call(methods.txn, txnRequest({ expect: [], success: [{ put: key, value: Buffer.from(text) }], failure: [] }))
  const bookkeeping = async (prefix: string) => {
    const { lastWords } = new EtcdKeys(prefix)
    return (await client.call(methods.range, rangeRequest(lastWords))).kvs.map(({ key }) => key.toString())
  }

  it('is found again as it was, with revision and rows, by another server', async (t) => {
    const prefix = newPrefix()
    const first = await opened(t, prefix)
    await fill(first, 1200)
    await first.update(`${vms}default/vm-7`, remove({ last: 'words' }))
    const second = await opened(t, prefix)
    assert.deepEqual(await second.list(''), await first.list(''))
    const next = read(second, '', second.revision, 1)
    const row = await first.update('/a', put({ n: 1 }))
    assert.deepEqual((await next)[0]?.row, row)
    assert.deepEqual(await second.get('/a'), row)
  })

  it('decides a write over what another server has written, and refuses nothing because of an old row', async (t) => {
    const prefix = newPrefix()
    const stores = await Promise.all([opened(t, prefix), opened(t, prefix)])
    await Promise.all(
      Array.from({ length: 100 }, (_, i) => (stores[i % 2] ?? assert.fail()).update('/a/b/c/d', increment)),
    )
    const { value } = (await stores[0].get('/a/b/c/d')) ?? {}
    assert.deepEqual(value, { n: 100 })
    // Each sees at once what the other has acknowledged.
    for (let n = 101; n < 150; n++) {
      const [one, other] = n % 2 ? stores : stores.toReversed()
      await one?.update('/a/b/c/d', increment)
      const seen = await other?.update('/a/b/c/d', (row) => {
        if (row?.value.n !== n) throw new Error(`an old row was refused: ${row?.value.n}, not ${n}`)
        return undefined
      })
      assert.equal(seen?.value.n, n)
    }
  })

  it('reports to followers what other servers write', async (t) => {
    const prefix = newPrefix()
    const [own, other] = await Promise.all([opened(t, prefix), opened(t, prefix)])
    const told: unknown[] = []
    own.onDecided((key, value, bytes) => told.push([key, value, bytes]))
    await other.update('/a', put({ n: 1 }))
    await other.update('/a', remove())
    await own.get('/a')
    assert.deepEqual(told, [
      ['/a', { n: 1 }, 7],
      ['/a', undefined, 0],
    ])
  })

  it('refuses an object of 2 MiB by the name of the limit, and one of 3 MiB', async (t) => {
    const store = await opened(t, newPrefix())
    for (const size of [2, 3]) {
      const work = store.update('/a', put({ pad: 'x'.repeat(size * mebibyte) }))
      assert.equal(await faultOf(work), 'TooLarge')
      assert.match(
        await refusalOf(work),
        /^Writing \/a is refused: its \d+ bytes are more than etcd takes \(its --max-request-bytes/,
      )
    }
    assert.equal(await store.get('/a'), undefined)
    await store.update('/a', put({ pad: 'x'.repeat(mebibyte) }))
    assert.equal(store.problem, undefined)
  })

  it('answers Expired for what etcd was made to forget by another program', async (t) => {
    const store = await opened(t, newPrefix(), { keepRecent: 4 })
    const from = store.revision
    await fill(store, 20)
    await client.call(methods.compact, compactRequest(from + 10))
    assert.equal(await faultOf(read(store, '', from + 9, 1)), 'Expired')
    assert.equal(await faultOf(store.listAt(vms, from + 9)), 'Expired')
    assert.equal((await read(store, '', from + 10, 10)).length, 10)
    assert.equal((await store.listAt(vms, from + 10)).length, 10)
  })

  it('shows what one server has compacted to the others, and removes last words that no watch can reach', async (t) => {
    const prefix = newPrefix()
    const [one, other] = await Promise.all([opened(t, prefix), opened(t, prefix)])
    await fill(one, 300)
    for (let i = 0; i < 250; i++) await one.update(`${vms}default/vm-${i}`, remove())
    const early = one.revision - 10
    assert.equal((await bookkeeping(prefix)).length, 250)
    await one.compact(early)
    await eventually('the other has it', () => other.compacted === early)
    assert.equal((await bookkeeping(prefix)).length, 10)
    assert.equal(await faultOf(read(other, '', early - 1, 1)), 'Expired')
    assert.equal((await read(other, '', early, 10)).length, 10)
    const third = await opened(t, prefix)
    assert.equal(third.compacted, early)
  })

  it('reads everything again when what it missed was compacted meanwhile, and cuts its watches', async (t) => {
    const prefix = newPrefix()
    const proxy = await openProxy(etcd.endpoints[0] ?? '')
    t.after(() => proxy.stop())
    const other = await opened(t, prefix)
    await fill(other, 5)
    const store = await opened(t, prefix, {}, [proxy.url])
    const held = new Map<string, unknown>()
    store.onDecided((key, value) => held.set(key, value))
    const watch = store.watch('', store.revision, new AbortController().signal)[Symbol.asyncIterator]()
    const cut = faultOf(watch.next())
    proxy.cut()
    await other.update(`${vms}default/vm-0`, remove())
    await other.update(`${vms}default/vm-1`, put({ i: 'new' }))
    await other.compact(other.revision)
    await other.update('/late', put({}))
    assert.equal(await faultOf(store.get('/late')), 'Unavailable')
    proxy.mend()
    assert.equal(await cut, 'Expired')
    await eventually('it answers again', async () => store.get('/late'))
    assert.deepEqual((await store.list('')).rows, (await other.list('')).rows)
    assert.equal(await faultOf(read(store, '', other.compacted - 1, 1)), 'Expired')
    assert.deepEqual(
      [held.get(`${vms}default/vm-0`), held.get(`${vms}default/vm-1`), held.get('/late')],
      [undefined, { i: 'new' }, {}],
    )
    const next = read(store, '', store.revision, 1)
    const row = await other.update('/late', increment)
    assert.deepEqual((await next)[0]?.row, row)
  })

  it('leaves out values that other programs put below its prefix, and says which', async (t) => {
    const prefix = newPrefix()
    const store = await opened(t, prefix)
    const foreign = Buffer.from(`${prefix}/core/pods/foreign`)
    await write(foreign, 'what is this')
    assert.equal(await store.get('/core/pods/foreign'), undefined)
    assert.match(
      await refusalOf(store.update('/core/pods/foreign', put({}))),
      /is no object of Patchbay: delete it with etcdctl del/,
    )
    assert.match(await refusalOf(openEtcdStore({ endpoints: etcd.endpoints, prefix })), /is no object of Patchbay/)
  })

  it('does not open where no etcd is, and says so', async () => {
    const work = openEtcdStore({ endpoints: ['http://127.0.0.1:1'], prefix: '/x' })
    assert.match(
      await refusalOf(work),
      /^Opening the store in etcd at http:\/\/127.0.0.1:1 failed: etcd at http:\/\/127.0.0.1:1 cannot be reached/,
    )
  })
})

describe('A store in an etcd that is full', { timeout: 120_000 }, () => {
  it('says what to do, and still takes deletes', async (t) => {
    const etcd = await startEtcd({ flags: ['--quota-backend-bytes', String(12 * mebibyte)] })
    t.after(() => etcd.stop())
    const store: OpenEtcdStore = await openEtcdStore({ endpoints: etcd.endpoints, prefix: '/full' })
    t.after(() => store.close())
    const pad = 'x'.repeat(mebibyte)
    let refusal = 'none'
    let stored = 0
    for (; refusal === 'none'; stored++) {
      assert.ok(stored < 30, 'it never was full')
      refusal = await refusalOf(store.update(`/a/b/c/${stored}`, put({ pad })))
    }
    assert.match(
      refusal,
      /^Writing \/a\/b\/c\/\d+ is refused\. The space quota of etcd is used up: delete objects, then run/,
    )
    assert.match(store.problem ?? '', /is full: delete objects/)
    const next = read(store, '', store.revision, 1)
    const gone = await store.update('/a/b/c/0', remove({ last: 'words' }))
    const [change] = await next
    assert.deepEqual([change?.type, change?.row.revision, change?.previous?.value.pad], ['delete', gone?.revision, pad])
    // What was refused is not there, also where etcd says so of the write that it has just carried out.
    assert.equal((await store.list('')).rows.length, stored - 2)
  })
})
