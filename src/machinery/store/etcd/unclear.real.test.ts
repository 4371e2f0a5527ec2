import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import { silent } from '#base/log.ts'
import { startEtcd, type TestEtcd } from '#kit/machinery/etcd/etcd.ts'
import { faultOf, increment, put, read, remove } from '#kit/machinery/store/contract-kit.ts'
import { EtcdClient } from '../../etcd/client.ts'
import { lost } from '../../etcd/etcd-fault.ts'
import { type Method, methods } from '../../etcd/messages.ts'
import { openEtcdStore } from './etcd.ts'
import { EtcdKeys } from './keys.ts'
import { EtcdStore } from './store.ts'

/** What becomes of one transaction: its answer is lost, or it never arrives. */
type Mishap = 'answer lost' | 'request lost'

/** A client whose connection breaks off just then. */
class UnluckyClient extends EtcdClient {
  readonly mishaps: Mishap[] = []
  /** Called between a transaction and its mishap. */
  meanwhile: () => Promise<unknown> = async () => undefined

  override async once<T>(method: Method<T>, request: Buffer, deadlineMs?: number): Promise<T> {
    const mishap = method.path === methods.txn.path ? this.mishaps.shift() : undefined
    if (mishap === 'request lost') throw lost(this.endpoint, true, new Error('in this test'))
    const answer = await super.once(method, request, deadlineMs)
    if (mishap === undefined) return answer
    await this.meanwhile()
    throw lost(this.endpoint, true, new Error('in this test'))
  }
}

describe('A write whose answer is lost', { timeout: 60_000 }, () => {
  let etcd: TestEtcd
  before(async () => {
    etcd = await startEtcd()
  })
  after(() => etcd?.stop())

  let prefixes = 0
  async function opened(t: TestContext) {
    const prefix = `/unclear-${++prefixes}`
    const other = await openEtcdStore({ endpoints: etcd.endpoints, prefix })
    t.after(() => other.close())
    const client = new UnluckyClient({ endpoints: etcd.endpoints })
    const { rows, revision } = await other.list('')
    const parts = { name: 'store under test', client, keys: new EtcdKeys(prefix), rows, revision, compacted: 0 }
    const store = new EtcdStore({ ...parts, alarms: [], tuning: {}, log: silent })
    t.after(() => store.close())
    return { store, client, other }
  }

  it('is made once, whether the request or the answer was lost', async (t) => {
    const { store, client } = await opened(t)
    const from = store.revision
    client.mishaps.push('answer lost', 'request lost', 'answer lost', 'answer lost')
    for (let n = 1; n <= 5; n++) assert.equal((await store.update('/a', increment))?.value.n, n)
    const seen = await read(store, '/a', from, 5)
    assert.deepEqual(
      seen.map(({ row }) => row.value.n),
      [1, 2, 3, 4, 5],
    )
  })

  it('is known by its watch to be made when another server has written over it since', async (t) => {
    const { store, client, other } = await opened(t)
    await store.update('/a', put({ n: 1 }))
    client.mishaps.push('answer lost')
    client.meanwhile = () => other.update('/a', increment)
    const row = await store.update('/a', increment)
    assert.equal(row?.value.n, 2, 'its own, and not one more')
    assert.equal((await store.get('/a'))?.value.n, 3)
  })

  it('is known to be made when it was a delete, with and without an object there again', async (t) => {
    const { store, client, other } = await opened(t)
    await store.update('/a', put({ n: 1 }))
    client.mishaps.push('answer lost')
    const gone = await store.update('/a', (row) => {
      assert.ok(row, 'it is deleted once')
      return remove({ last: 'words' })()
    })
    assert.deepEqual(gone?.value, { last: 'words' })
    const next = await store.update('/a', put({ n: 2 }))
    client.mishaps.push('answer lost')
    client.meanwhile = () => other.update('/a', put({ n: 3 }))
    const again = await store.update('/a', remove())
    assert.equal(again?.revision, (next?.revision ?? 0) + 1)
    assert.deepEqual((await store.get('/a'))?.value, { n: 3 })
  })

  it('is decided again when it was not made and another was', async (t) => {
    const { store, client, other } = await opened(t)
    await store.update('/a', put({ n: 1 }))
    const shown: unknown[] = []
    client.mishaps.push('request lost')
    // The watch of this store may have it before or after its first decision.
    const foreign = other.update('/a', put({ n: 7 }))
    const own = store.update('/a', (row) => {
      shown.push(row?.value.n)
      return increment(row)
    })
    const [row] = await Promise.all([own, foreign])
    assert.ok([2, 8].includes(Number(row?.value.n)), `it is ${row?.value.n}, decided over ${shown}`)
    assert.equal((await store.get('/a'))?.value.n, row?.value.n === 2 ? 7 : 8)
  })

  it('is refused as Unavailable when no attempt gets an answer', async (t) => {
    const { store, client } = await opened(t)
    client.mishaps.push(...Array.from({ length: 1000 }, (): Mishap => 'request lost'))
    const written = store.update('/a', put({ n: 1 }))
    await assert.rejects(written, /^Fault: Writing \/a to the store under test failed$/)
    assert.equal(await faultOf(written), 'Unavailable')
    client.mishaps.length = 0
    assert.equal(await store.get('/a'), undefined)
  })
})
