import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import { explain, Fault } from '#base/fault.ts'
import { eventually } from '#base/wait.ts'
import { leaderOf, startEtcd, type TestEtcd, type TestMember } from '#kit/machinery/etcd/etcd.ts'
import { faultOf, increment, put, read } from '#kit/machinery/store/contract-kit.ts'
import type { Change, Store } from '../store.ts'
import { type OpenEtcdStore, openEtcdStore } from './etcd.ts'

/** An acknowledged write. */
type Acked = Readonly<{ key: string; n: number; revision: number }>

/** Counts a key of its own up, and remembers what was acknowledged and what failed. */
class Counter {
  readonly acked: Acked[] = []
  failed = 0
  readonly #store: Store
  readonly #key: string
  readonly #stop: AbortSignal

  constructor(store: Store, key: string, stop: AbortSignal) {
    this.#store = store
    this.#key = key
    this.#stop = stop
  }

  async run(): Promise<void> {
    while (!this.#stop.aborted) {
      try {
        const row = await this.#store.update(this.#key, increment)
        assert.ok(row)
        this.acked.push({ key: this.#key, n: Number(row.value.n), revision: row.revision })
      } catch (error) {
        assert.ok(error instanceof Fault && error.kind === 'Unavailable', explain(error))
        this.failed++
      }
    }
  }
}

/** Reads a watch until it has seen a revision. */
async function changesUpTo(store: Store, prefix: string, after: number, last: () => number | undefined) {
  const stop = new AbortController()
  const changes: Change[] = []
  const isDone = () => (last() ?? Number.POSITIVE_INFINITY) <= (changes.at(-1)?.row.revision ?? 0)
  const timer = setInterval(() => isDone() && stop.abort(), 20)
  try {
    for await (const batch of store.watch(prefix, after, stop.signal)) {
      changes.push(...batch)
      if (isDone()) stop.abort()
    }
  } finally {
    clearInterval(timer)
  }
  return changes
}

describe('A store in etcd of three members', { timeout: 180_000 }, () => {
  let etcd: TestEtcd
  before(async () => {
    etcd = await startEtcd({ count: 3, isDurable: true })
  })
  after(() => etcd?.stop())

  let stores = 0
  /** A store that talks to `first`, as long as that answers. */
  async function openAt(t: TestContext, first: TestMember, prefix = `/cluster-${++stores}`): Promise<OpenEtcdStore> {
    const others = etcd.endpoints.filter((url) => url !== first.url)
    const store = await openEtcdStore({ endpoints: [first.url, ...others], prefix })
    t.after(() => store.close())
    return store
  }
  async function followerOf(leader: TestMember): Promise<TestMember> {
    return etcd.members.find((one) => one !== leader) ?? assert.fail('there is one member only')
  }

  it('loses no acknowledged write when the leader is killed, and shows every watcher each change once', async (t) => {
    const leader = await leaderOf(etcd)
    const atLeader = await openAt(t, leader, '/killed')
    const atFollower = await openAt(t, await followerOf(leader), '/killed')
    const from = atLeader.revision
    const stop = new AbortController()
    const counters = [atLeader, atLeader, atFollower, atFollower].map(
      (store, i) => new Counter(store, `/a/b/c/${i}`, stop.signal),
    )
    let last: number | undefined
    const watched = [atLeader, atFollower].map((store) => changesUpTo(store, '/a/', from, () => last))
    const running = counters.map((one) => one.run())
    const enough = (more: readonly number[]) => counters.every((one, i) => one.acked.length >= 50 + (more[i] ?? 0))
    await eventually('writes before', () => enough([]))
    leader.kill('SIGKILL')
    const before = counters.map(({ acked }) => acked.length)
    await eventually('writes after', () => enough(before), { deadlineMs: 60_000 })
    stop.abort()
    await Promise.all(running)
    leader.restart()

    const rows = (await atFollower.list('/a/')).rows
    last = Math.max(...rows.map(({ revision }) => revision))
    for (const changes of await Promise.all(watched)) {
      const revisions = changes.map(({ row }) => row.revision)
      assert.deepEqual(
        revisions,
        [...new Set(revisions)].toSorted((a, b) => a - b),
      )
      for (const [i, { acked, failed }] of counters.entries()) {
        const mine = changes.filter(({ row }) => row.key === `/a/b/c/${i}`)
        assert.deepEqual(
          mine.map(({ row }) => row.value.n),
          mine.map((_, n) => n + 1),
          'each step is seen once',
        )
        assert.ok(mine.length >= acked.length && mine.length <= acked.length + failed, 'nothing is written twice')
        for (const { n, revision } of acked)
          assert.equal(mine[n - 1]?.row.revision, revision, 'it is where it was acked')
        assert.equal(rows[i]?.value.n, mine.length)
      }
    }
  })

  it('goes to another member when the one it talks to stands still, and its watches with it', async (t) => {
    const victim = await followerOf(await leaderOf(etcd))
    const store = await openAt(t, victim)
    const before = await store.update('/a', increment)
    const next = read(store, '', store.revision, 2)
    victim.kill('SIGSTOP')
    try {
      assert.equal((await store.update('/a', increment))?.value.n, 2)
      assert.equal((await store.update('/a', increment))?.value.n, 3)
      assert.deepEqual(
        (await next).map(({ row, previous }) => [row.value.n, previous?.value.n]),
        [
          [2, 1],
          [3, 2],
        ],
      )
      assert.equal((await store.get('/a'))?.value.n, 3)
      assert.ok(before)
    } finally {
      victim.kill('SIGCONT')
    }
  })

  it('refuses reads and writes while no member answers, says so, and goes on after', async (t) => {
    const store = await openAt(t, await leaderOf(etcd))
    await store.update('/a', put({ n: 1 }))
    let last: number | undefined
    const watched = changesUpTo(store, '/a', store.revision, () => last)
    const told: unknown[] = []
    store.onDecided((key, value) => told.push([key, value?.n]))
    for (const one of etcd.members) one.kill('SIGSTOP')
    try {
      assert.equal(await faultOf(store.update('/a', put({ n: 2 }))), 'Unavailable')
      assert.match(store.problem ?? '', /^The store in etcd at http.* does not answer: /)
      assert.equal(await faultOf(store.get('/a')), 'Unavailable')
      assert.deepEqual(told, [
        ['/a', 1],
        ['/a', 2],
        ['/a', 1],
      ])
    } finally {
      for (const one of etcd.members) one.kill('SIGCONT')
    }
    await eventually('it answers again', () => store.problem === undefined)
    // The refused write may have been carried out: its answer said that this is not known.
    const row = await store.update('/a', (now) => put({ n: 10 + Number(now?.value.n) })())
    assert.ok([11, 12].includes(Number(row?.value.n)), `it is ${row?.value.n}`)
    last = row?.revision
    const seen = (await watched).map((change) => change.row.value.n)
    assert.deepEqual(seen, row?.value.n === 11 ? [11] : [2, 12])
  })
})
