import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import fc from 'fast-check'
import { faultOf, put, read, remove } from '#kit/machinery/store/contract-kit.ts'
import { openSqliteStore, type SqliteStore } from './sqlite.ts'
import type { Change, Row } from './store.ts'

const folder = mkdtempSync(join(tmpdir(), 'patchbay-property-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const keys = ['/a/b/c/1', '/a/b/c/2', '/a/b/d/1', '/a/x/c/1', '/odd']
const prefixes = ['', '/a/b/', '/a/b/c/', '/a/', '/odd', '/none/of/']

type Operation = Readonly<
  | { type: 'put' | 'delete' | 'leave'; key: string }
  /** Several puts at once, not awaited one by one. */
  | { type: 'burst'; keys: readonly string[] }
  | { type: 'compact'; part: number }
  | { type: 'reopen' }
>

const key = fc.constantFrom(...keys)
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constantFrom('put', 'delete', 'leave'), key }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('burst'), keys: fc.array(key, { maxLength: 12 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('compact'), part: fc.double({ min: 0, max: 1, noNaN: true }) }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('reopen') }) },
)

/** What the store should be: rows and changes, in the plainest way. */
class Model {
  readonly rows = new Map<string, Row>()
  readonly changes: Change[] = []
  compacted = 0

  get revision(): number {
    return this.changes.length
  }

  change(type: Change['type'], key: string): void {
    const previous = this.rows.get(key)
    if (type === 'delete' && !previous) return
    const revision = this.revision + 1
    const row = { key, revision, value: { at: revision } }
    this.changes.push({ type, row, ...(previous && { previous }) })
    if (type === 'put') this.rows.set(key, row)
    else this.rows.delete(key)
  }
}

async function apply(operation: Operation, model: Model, store: SqliteStore): Promise<void> {
  if (operation.type === 'put' || operation.type === 'delete') {
    model.change(operation.type, operation.key)
    const decide = operation.type === 'put' ? put({ at: model.revision }) : remove({ at: model.revision })
    await store.update(operation.key, decide)
  } else if (operation.type === 'leave') {
    assert.deepEqual(await store.update(operation.key, () => undefined), model.rows.get(operation.key))
  } else if (operation.type === 'burst') {
    const updates = operation.keys.map((key) => {
      model.change('put', key)
      return store.update(key, put({ at: model.revision }))
    })
    await Promise.all(updates)
  } else if (operation.type === 'compact') {
    const revision = Math.floor(operation.part * model.revision)
    model.compacted = Math.max(model.compacted, revision)
    await store.compact(revision)
  }
}

async function check(model: Model, store: SqliteStore): Promise<void> {
  assert.deepEqual([store.revision, store.compacted], [model.revision, model.compacted])
  for (const prefix of prefixes) {
    const rows = [...model.rows.values()].filter((row) => row.key.startsWith(prefix))
    const { rows: listed } = await store.list(prefix)
    assert.deepEqual(
      listed,
      rows.toSorted((a, b) => (a.key < b.key ? -1 : 1)),
    )
    for (let from = model.compacted; from <= model.revision; from++) {
      const expected = model.changes.filter(({ row }) => row.revision > from && row.key.startsWith(prefix))
      assert.deepEqual(await read(store, prefix, from, expected.length), expected)
    }
  }
  if (model.compacted > 0) assert.equal(await faultOf(read(store, '', model.compacted - 1, 1)), 'Expired')
}

describe('SQLite store, any history', { timeout: 120_000 }, () => {
  it('replays what a plain model says, from every revision, across restarts', async () => {
    let runs = 0
    const property = fc.asyncProperty(fc.array(operation, { maxLength: 40 }), async (operations) => {
      // Three recent changes in memory, so that most of each watch comes from the file.
      const options = { path: join(folder, `${++runs}.db`), keepRecent: 3 }
      const model = new Model()
      let store = await openSqliteStore(options)
      try {
        for (const operation of operations) {
          if (operation.type === 'reopen') {
            await store.close()
            store = await openSqliteStore(options)
          }
          await apply(operation, model, store)
        }
        await check(model, store)
      } finally {
        await store.close()
      }
    })
    await fc.assert(property, { numRuns: 25 })
  })
})
