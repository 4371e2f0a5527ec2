import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, describe, it } from 'node:test'
import { Worker } from 'node:worker_threads'
import { explain, faultKind } from '#base/fault.ts'
import { storeContract } from '#kit/machinery/store/contract.ts'
import { faultOf, put, read, remove } from '#kit/machinery/store/contract-kit.ts'
import { openSqliteStore } from './sqlite.ts'
import { openBackend } from './sqlite-backend.ts'
import type { Store } from './store.ts'
import { WatchableStore } from './watchable-store.ts'

const folder = mkdtempSync(join(tmpdir(), 'patchbay-store-'))
after(() => rmSync(folder, { recursive: true, force: true }))
let files = 0
const newPath = () => join(folder, `${++files}.db`)

storeContract('SQLite file', (tuning) => openSqliteStore({ ...tuning, path: newPath() }))
storeContract('SQLite in memory', (tuning) => openSqliteStore({ ...tuning, path: ':memory:' }))

async function count(store: Store, upTo: number, pad = ''): Promise<void> {
  await Promise.all(Array.from({ length: upTo }, (_, i) => store.update(`/a/b/c/${i % 10}`, put({ i, pad }))))
}

describe('SQLite store', { timeout: 60_000 }, () => {
  it('commits durably on the connection that writes', async (t) => {
    const store = await openSqliteStore({ path: newPath() })
    t.after(() => store.close())
    await count(store, 20)
    assert.deepEqual(await store.diagnose(), {
      journalMode: 'wal',
      synchronous: 2,
      lockingMode: 'exclusive',
      integrity: 'ok',
      logRows: 20,
    })
  })

  it('keeps its files to itself', async (t) => {
    const path = newPath()
    writeFileSync(path, '', { mode: 0o644 })
    const store = await openSqliteStore({ path })
    t.after(() => store.close())
    await count(store, 20)
    const names = readdirSync(folder).filter((name) => join(folder, name).startsWith(path))
    assert.ok(names.length > 1)
    for (const name of names) assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name)
  })

  it('finds everything again, history too', async (t) => {
    const path = newPath()
    const first = await openSqliteStore({ path })
    await count(first, 2500)
    await first.update('/a/b/c/3', remove())
    const [before, changes] = [await first.list(''), await read(first, '', 0, 2501)]
    await first.close()

    const second = await openSqliteStore({ path })
    t.after(() => second.close())
    assert.deepEqual(await second.list(''), before)
    assert.deepEqual(await read(second, '', 0, 2501), changes)
    const across = read(second, '', 2498, 5)
    await count(second, 2)
    assert.deepEqual(
      (await across).map(({ row }) => row.revision),
      [2499, 2500, 2501, 2502, 2503],
    )
  })

  it('never goes back in revisions, nor forgets that it forgot', async (t) => {
    const path = newPath()
    const first = await openSqliteStore({ path })
    await first.update('/a', put({}))
    await first.update('/a', remove())
    await first.compact(2)
    assert.equal((await first.diagnose()).logRows, 0)
    await first.close()

    const second = await openSqliteStore({ path })
    t.after(() => second.close())
    assert.deepEqual([second.revision, second.compacted], [2, 2])
    assert.equal(await faultOf(read(second, '', 1, 1)), 'Expired')
    assert.equal((await second.update('/a', put({})))?.revision, 3)
  })

  it('leaves only current rows after compaction', async (t) => {
    const path = newPath()
    const store = await openSqliteStore({ path })
    await count(store, 2000)
    await Promise.all([0, 1, 2].map((i) => store.update(`/a/b/c/${i}`, remove())))
    const before = await store.list('')
    await store.compact(store.revision)
    assert.equal((await store.diagnose()).logRows, 7)
    await store.close()
    const again = await openSqliteStore({ path })
    t.after(() => again.close())
    assert.deepEqual(await again.list(''), before)
  })

  it('refuses a file that another process has open', async (t) => {
    const path = newPath()
    const other = new DatabaseSync(path)
    t.after(() => other.close())
    other.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; BEGIN EXCLUSIVE; COMMIT')
    const refused = await openSqliteStore({ path }).catch((error) => error)
    assert.equal(faultKind(refused), 'Unavailable')
    assert.equal(refused.message, `The store ${path} is in use by another process`)
  })

  it('refuses to be opened twice, and the first goes on', async (t) => {
    const path = newPath()
    const store = await openSqliteStore({ path })
    t.after(() => store.close())
    assert.equal(await faultOf(openSqliteStore({ path })), 'Unavailable')
    await count(store, 1)
    assert.equal(await faultOf(openSqliteStore({ path })), 'Unavailable')
  })

  it('refuses a file of a newer schema with what to do about it', async () => {
    const path = newPath()
    const db = new DatabaseSync(path)
    db.exec('PRAGMA user_version = 7')
    db.close()
    const refused = await openSqliteStore({ path }).catch((error) => error)
    assert.equal(faultKind(refused), 'Unsupported')
    assert.match(
      refused.message,
      /newer version of Patchbay \(schema 7, this one knows 2\)\. Start that version, or move/,
    )
  })

  it('refuses what is not a database, and a folder that is not there', async () => {
    const path = newPath()
    writeFileSync(path, 'not a database, but long enough to look like one'.repeat(200))
    const refused = await openSqliteStore({ path }).catch((error) => error)
    assert.match(explain(refused), /^Opening the store .* failed: file is not a database$/)
    assert.equal(await faultOf(openSqliteStore({ path: join(folder, 'none', 'x.db') })), 'Unavailable')
  })

  it('survives a full disk: writes fail, reads and later writes work', async (t) => {
    const path = newPath()
    const store = await openSqliteStore({ path, maxBytes: 400_000 })
    t.after(() => store.close())
    await count(store, 100, 'x'.repeat(2000))
    const before = await store.list('')
    const pad = 'x'.repeat(20_000)
    const tooMuch = Array.from({ length: 30 }, (_, i) => store.update(`/big/${i}`, put({ pad })))
    // Lets the store send those; what follows is sent before anybody can know that they failed, and builds upon one.
    await Promise.resolve()
    const small = [store.update('/big/1', put({ n: 1 })), store.update('/a/b/c/1', put({ n: 1 }))]
    for (const update of [...tooMuch, ...small]) assert.equal(await faultOf(update), 'Unavailable')
    assert.deepEqual(await store.list(''), before)
    await store.compact(store.revision)
    const row = await store.update('/big/1', put({ pad }))
    assert.ok(row && row.revision > before.revision)
    assert.deepEqual(await read(store, '', before.revision, 1), [{ type: 'put', row }])
    assert.equal((await store.diagnose()).integrity, 'ok')
    const after = await store.list('')
    await store.close()
    const again = await openSqliteStore({ path })
    t.after(() => again.close())
    assert.deepEqual(await again.list(''), after)
  })

  it('refuses everything when its thread has died', async () => {
    const path = newPath()
    const worker = new Worker(new URL('./sqlite-worker.ts', import.meta.url), { workerData: { path } })
    const { backend, contents } = await openBackend(worker, path)
    const store = new WatchableStore('store', backend, contents)
    await count(store, 1)
    const pending = store.update('/a', put({}))
    await worker.terminate()
    assert.ok(['none', 'Unavailable'].includes(await faultOf(pending)))
    for (const call of [store.get('/a'), store.update('/a', put({})), read(store, '', 0, 1)]) {
      assert.match(
        explain(await call.catch((error) => error)),
        /^The store stopped working: its thread ended with code 1$/,
      )
    }
    await store.close()
    const again = await openSqliteStore({ path })
    assert.ok(again.revision >= 1)
    await again.close()
  })
})
