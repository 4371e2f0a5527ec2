import { chmodSync, closeSync, existsSync, openSync } from 'node:fs'
import { DatabaseSync, type StatementSync } from 'node:sqlite'

/** What sits in one row of the log. `previous` is the revision of the row that this one supersedes. */
export type LogRow = Readonly<{
  revision: number
  key: string
  deleted: number
  value: string
  previous: number | null
}>

/** A row of the log together with the value it superseded, if any. */
export type HistoryRow = LogRow & Readonly<{ previousValue: string | null }>

/** A row that has not been superseded. */
export type CurrentRow = Readonly<{ revision: number; key: string; value: string }>

/** How the writing connection is set up, and whether the file is sound. */
export type Diagnosis = Readonly<{
  journalMode: string
  synchronous: number
  lockingMode: string
  integrity: string
  logRows: number
}>

/** Why a file cannot be used: `inUse` by another process, or of a `newer` schema. */
export class Refusal extends Error {
  readonly reason: 'inUse' | 'newer'

  constructor(reason: 'inUse' | 'newer', message: string) {
    super(message)
    this.reason = reason
  }
}

const schemaVersion = 1

/** Long enough for a predecessor that was just killed to be gone. */
const lockTimeoutMs = 500

/** SQLite's code for "somebody else holds the lock"; more exact codes have it in their low byte. */
const busy = 5

// Two or three 2 KB values fit a page of 8 KiB, one a page of 4 KiB: faster to append to and to scan. Checkpoints at 4 MB
// are short enough to wait for (7 ms here; at 8 MB 12 ms, for 5% more writes per second).
const setUp = `
  PRAGMA page_size = 8192;
  PRAGMA locking_mode = EXCLUSIVE;
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  PRAGMA wal_autocheckpoint = 500;
  PRAGMA journal_size_limit = 16777216;
  PRAGMA cache_size = -16384;
  BEGIN EXCLUSIVE;
`

// A write is one insert at the end of one rowid table; nothing is ever looked up by key, so there is no second index.
const schema = `
  CREATE TABLE log (
    revision INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    deleted INTEGER NOT NULL,
    value TEXT NOT NULL,
    previous INTEGER
  );
  CREATE TABLE compacted (revision INTEGER NOT NULL);
  INSERT INTO compacted VALUES (0);
  PRAGMA user_version = ${schemaVersion};
`

const currentRows = `
  SELECT revision, key, value FROM log
  WHERE NOT deleted AND revision NOT IN (SELECT previous FROM log WHERE previous IS NOT NULL)
`

// The span of revisions bounds how much is looked at, however few keys match.
const historyRows = `
  SELECT l.revision, l.key, l.deleted, l.value, l.previous, p.value AS previousValue
  FROM log l LEFT JOIN log p ON p.revision = l.previous
  WHERE l.revision > :after AND l.revision <= :upTo AND substr(l.key, 1, length(:prefix)) = :prefix
  ORDER BY l.revision
`

/**
 * The log in a SQLite file: one row per change, append-only until it is compacted. Synchronous; lives in the worker.
 *
 * A row that superseded another is never deleted before it, so whatever no row names as its `previous` is current.
 */
export class SqliteFile {
  readonly #db: DatabaseSync
  readonly #insert: StatementSync
  readonly #history: StatementSync

  /** @throws Refusal when the file is not ours to use. */
  constructor(path: string, maxBytes?: number) {
    makePrivate(path)
    this.#db = new DatabaseSync(path, { timeout: lockTimeoutMs })
    try {
      this.#prepareFile(path, maxBytes)
    } catch (error) {
      this.#db.close()
      if ((Number((error as { errcode?: unknown }).errcode) & 0xff) === busy) {
        throw new Refusal('inUse', `The store ${path} is in use by another process`)
      }
      throw error
    }
    this.#insert = this.#db.prepare('INSERT INTO log VALUES (?, ?, ?, ?, ?)')
    this.#history = this.#db.prepare(historyRows)
  }

  /** The newest revision there ever was: deleted rows of the log are older than the compacted revision. */
  get revision(): number {
    return Math.max(this.compacted, Number(this.#pragma('SELECT max(revision) FROM log') ?? 0))
  }

  get compacted(): number {
    return Number(this.#pragma('SELECT revision FROM compacted'))
  }

  current(): Iterable<CurrentRow> {
    return this.#db.prepare(currentRows).iterate() as Iterable<unknown> as Iterable<CurrentRow>
  }

  /** Writes all rows in one durable transaction, or none. */
  append(rows: readonly LogRow[]): void {
    this.#transaction(() => {
      for (const row of rows) this.#insert.run(row.revision, row.key, row.deleted, row.value, row.previous)
    })
  }

  history(prefix: string, after: number, upTo: number): HistoryRow[] {
    return this.#history.all({ prefix, after, upTo }) as unknown as HistoryRow[]
  }

  compact(after: number, upTo: number): void {
    const span = { after, upTo }
    const inSpan = 'revision > :after AND revision <= :upTo'
    this.#transaction(() => {
      this.#db
        .prepare(
          `DELETE FROM log WHERE revision IN (SELECT previous FROM log WHERE ${inSpan} AND previous IS NOT NULL)`,
        )
        .run(span)
      this.#db.prepare(`DELETE FROM log WHERE ${inSpan} AND deleted`).run(span)
      this.#db.prepare('UPDATE compacted SET revision = ?').run(upTo)
    })
  }

  diagnose(): Diagnosis {
    return {
      journalMode: String(this.#pragma('PRAGMA journal_mode')),
      synchronous: Number(this.#pragma('PRAGMA synchronous')),
      lockingMode: String(this.#pragma('PRAGMA locking_mode')),
      integrity: String(this.#pragma('PRAGMA integrity_check')),
      logRows: Number(this.#pragma('SELECT count(*) FROM log')),
    }
  }

  close(): void {
    this.#db.close()
  }

  #prepareFile(path: string, maxBytes: number | undefined): void {
    this.#db.exec(setUp)
    const version = Number(this.#pragma('PRAGMA user_version'))
    if (version > schemaVersion) {
      const text = `The store ${path} was written by a newer version of Patchbay (schema ${version}, this one knows ${schemaVersion})`
      throw new Refusal('newer', `${text}. Start that version, or move the file away to begin with an empty store`)
    }
    if (version === 0) this.#db.exec(schema)
    this.#db.exec('COMMIT')
    if (maxBytes !== undefined) {
      this.#db.exec(`PRAGMA max_page_count = ${Math.ceil(maxBytes / Number(this.#pragma('PRAGMA page_size')))}`)
    }
  }

  #transaction(work: () => void): void {
    this.#db.exec('BEGIN IMMEDIATE')
    try {
      work()
      this.#db.exec('COMMIT')
    } catch (error) {
      // Some failures have rolled back already.
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      throw error
    }
  }

  /** The first column of the first row. */
  #pragma(sql: string): unknown {
    return Object.values(this.#db.prepare(sql).get() ?? {})[0]
  }
}

/**
 * Readable by nobody else; SQLite gives the files beside it the same mode. An existing file is never opened here: closing
 * it again would drop the lock that another store in this process may hold on it.
 */
function makePrivate(path: string): void {
  if (path === ':memory:') return
  if (existsSync(path)) chmodSync(path, 0o600)
  else closeSync(openSync(path, 'wx', 0o600))
}
