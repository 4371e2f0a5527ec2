import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, describe, it } from 'node:test'
import { explain } from '#base/fault.ts'
import { eventually } from '#base/wait.ts'
import { faultOf, put, remove } from '#kit/machinery/store/contract-kit.ts'
import { openSqliteStore } from './sqlite.ts'
import { WatchCache } from './watch-cache.ts'

const folder = mkdtempSync(join(tmpdir(), 'patchbay-bounds-'))
after(() => rmSync(folder, { recursive: true, force: true }))
let files = 0
const newPath = () => join(folder, `${++files}.db`)

/** Makes a store with three rows, closes it, and changes its file behind its back. */
async function damagedBy(sql: string): Promise<unknown> {
  const path = newPath()
  const store = await openSqliteStore({ path })
  for (const key of ['/a', '/b', '/c']) await store.update(key, put({ key }))
  await store.close()
  const db = new DatabaseSync(path)
  db.exec(sql)
  db.close()
  const opened = await openSqliteStore({ path }).catch((error) => error)
  if (!(opened instanceof Error)) await opened.close()
  return opened
}

/** Makes a file as the first version wrote them. */
function ofFirstSchema(rows: string): string {
  const path = newPath()
  const db = new DatabaseSync(path)
  db.exec(`
    CREATE TABLE log (revision INTEGER PRIMARY KEY, key TEXT NOT NULL, deleted INTEGER NOT NULL, value TEXT NOT NULL, previous INTEGER);
    CREATE TABLE compacted (revision INTEGER NOT NULL);
    INSERT INTO compacted VALUES (1);
    INSERT INTO log VALUES ${rows};
    PRAGMA user_version = 1;
  `)
  db.close()
  return path
}

describe('a store whose file was changed by others', { timeout: 60_000 }, () => {
  for (const [what, sql, problem] of [
    [
      'a value that is no JSON',
      `UPDATE log SET value = '{' WHERE key = '/b'`,
      /1 of its rows .* written: \/b \(revision 2\)/,
    ],
    ['another value', `UPDATE log SET value = '{"key":"/x"}' WHERE key = '/b'`, /1 of its rows .*: \/b \(revision 2\)/],
    ['another key', `UPDATE log SET key = '/z' WHERE key = '/b'`, /1 of its rows .*: \/z \(revision 2\)/],
    ['a row less', `DELETE FROM log WHERE key = '/c'`, /it has 2 rows where 3 were written/],
  ] as const) {
    it(`is refused in one sentence: ${what}`, async () => {
      const text = explain(await damagedBy(sql))
      assert.match(text, /^The store \S+\.db is damaged: /)
      assert.match(text, problem)
      assert.match(text, /restore a backup with: patchbay restore FILE$/)
    })
  }

  it('goes on with a file of the first schema, which gets checksums and shrinks from then on', async (t) => {
    const path = ofFirstSchema(
      `(2, '/a', 0, '{"n":1}', NULL), (3, '/a', 0, '{"n":2}', 2), (4, '/b', 0, '{"é":"ü"}', NULL)`,
    )
    const first = await openSqliteStore({ path })
    assert.deepEqual([first.revision, first.compacted, (await first.get('/a'))?.value], [4, 1, { n: 2 }])
    await first.update('/c', put({}))
    await first.close()
    const second = await openSqliteStore({ path })
    t.after(() => second.close())
    assert.deepEqual((await second.get('/b'))?.value, { é: 'ü' })
    assert.equal((await second.diagnose()).integrity, 'ok')
  })
})

describe('a file of the first schema, which has no checksums', { timeout: 60_000 }, () => {
  for (const [what, value] of [
    ['a value that is cut off', '{"n":'],
    ['a value that is no object', '7'],
  ] as const) {
    it(`is refused in one sentence with the key, and stays as it is: ${what}`, async () => {
      const path = ofFirstSchema(`(2, '/a', 0, '{"n":1}', NULL), (3, '/b', 0, '${value}', NULL)`)
      for (let start = 1; start <= 2; start++) {
        const opened = await openSqliteStore({ path }).catch((error) => error)
        assert.match(
          explain(opened),
          /^The store \S+\.db is damaged: 1 of its rows are no JSON objects: \/b \(revision 3\)\. .* patchbay restore FILE$/,
        )
      }
      const db = new DatabaseSync(path)
      assert.equal(db.prepare('PRAGMA user_version').get()?.user_version, 1)
      db.close()
    })
  }
})

describe('a store that grows', { timeout: 60_000 }, () => {
  it('gives room back to the file system after compaction', async () => {
    const path = newPath()
    const store = await openSqliteStore({ path })
    const pad = 'x'.repeat(1_000_000)
    for (let n = 0; n < 40; n++) await store.update('/a', put({ n, pad }))
    await store.compact(store.revision)
    await store.close()
    assert.ok(statSync(path).size < 12_000_000, `the file has ${statSync(path).size} bytes`)
  })

  it('refuses what makes it grow above its quota, lets objects shrink and go, and is well again by itself', async (t) => {
    const store = await openSqliteStore({ path: newPath(), quotaBytes: 3_000_000 })
    t.after(() => store.close())
    const pad = 'x'.repeat(500_000)
    const refused = async () => {
      for (let n = 0; n < 20; n++) await store.update(`/a/${n}`, put({ pad }))
    }
    assert.equal(await faultOf(refused()), 'Unavailable')
    assert.match(
      store.problem ?? '',
      /is full \(\d+ of 3000000 bytes\): delete objects, or start with a larger --store-quota$/,
    )
    assert.equal(await faultOf(store.update('/new', put({}))), 'Unavailable')
    assert.equal(await faultOf(store.update('/a/0', put({ pad, more: pad }))), 'Unavailable')
    await store.update('/a/0', put({ pad: 'small' }))
    for (let n = 1; n < 4; n++) await store.update(`/a/${n}`, remove())
    await eventually('there is room', async () => {
      // History is forgotten when a write finds the store full.
      await store.update('/a/0', put({ pad: 'small' }))
      return store.problem === undefined
    })
    await store.update('/new', put({ pad }))
  })

  it('keeps a bounded number of bytes of recent changes: 1,000 changes of 1 MB', () => {
    const cache = new WatchCache(0, { keep: { count: 1000, bytes: 64e6 }, maxUnread: { count: 1, bytes: 1 } })
    for (let revision = 1; revision <= 1000; revision++) {
      cache.publish([{ change: { type: 'put', row: { key: '/a', revision, value: {} } }, bytes: 1_000_000 }])
      assert.ok(cache.bytes <= 64e6)
    }
    assert.equal(1000 - cache.start, cache.bytes / 1e6)
    assert.ok(cache.bytes >= 16e6, 'some are kept')
  })
})
