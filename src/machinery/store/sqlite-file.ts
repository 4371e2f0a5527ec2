import { chmodSync, closeSync, existsSync, openSync } from 'node:fs'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'
import type { Reserve } from './reserve.ts'

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

/** Why a file cannot be used: `inUse` by another process, of a `newer` schema, or `damaged`. */
type RefusalReason = 'inUse' | 'newer' | 'damaged'

export class Refusal extends Error {
  readonly reason: RefusalReason

  constructor(reason: RefusalReason, message: string) {
    super(message)
    this.reason = reason
  }
}

/** 2 added checksums, the count of rows, and a file that shrinks. */
const schemaVersion = 2

/** Pages returned to the file system per call (2 MiB), so that no write waits long behind it. */
const pagesPerShrink = 256

/** Free pages that are left in the file (4 MiB): the next writes need them. */
const sparePages = 512

/** SQLite's `auto_vacuum = INCREMENTAL`. */
const incremental = 2

/** How many damaged keys a refusal names. */
const namedKeys = 5

/** Long enough for a predecessor that was just killed to be gone. */
const lockTimeoutMs = 500

/** SQLite's code for "another process holds the lock"; extended codes have it in their low byte. */
const busy = 5

/** SQLite's code for a disk without room, or a file at its largest. */
const full = 13

// Two or three 2 KB values fit a page of 8 KiB, one a page of 4 KiB: faster to append to and to scan. Checkpoints at 4 MB
// are short enough to wait for (7 ms here; at 8 MB 12 ms, for 5% more writes per second).
const setUp = `
  PRAGMA page_size = 8192;
  PRAGMA auto_vacuum = INCREMENTAL;
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
    previous INTEGER,
    sum INTEGER NOT NULL
  );
  CREATE TABLE compacted (revision INTEGER NOT NULL);
  INSERT INTO compacted VALUES (0);
  CREATE TABLE counted (rows INTEGER NOT NULL);
  INSERT INTO counted VALUES (0);
  PRAGMA user_version = ${schemaVersion};
`

// Rows from before have no checksum to be checked against: they get the one of what is there.
const migration = `
  ALTER TABLE log ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
  UPDATE log SET sum = row_sum(revision, key, deleted, value, previous);
  CREATE TABLE counted (rows INTEGER NOT NULL);
  INSERT INTO counted SELECT count(*) FROM log;
  PRAGMA user_version = ${schemaVersion};
`

const currentRows = `
  SELECT revision, key, value FROM log
  WHERE NOT deleted AND revision NOT IN (SELECT previous FROM log WHERE previous IS NOT NULL)
`

// The span of revisions limits the rows that are read, however few keys match.
const historyRows = `
  SELECT l.revision, l.key, l.deleted, l.value, l.previous, p.value AS previousValue
  FROM log l LEFT JOIN log p ON p.revision = l.previous
  WHERE l.revision > :after AND l.revision <= :upTo AND substr(l.key, 1, length(:prefix)) = :prefix
  ORDER BY l.revision
`

/**
 * The log in a SQLite file: one row per change, append-only until it is compacted. Synchronous; lives in the worker.
 *
 * A superseded row is always deleted before the row that superseded it, so a row that is no row's `previous` is current.
 */
export class SqliteFile {
  readonly #db: DatabaseSync
  readonly #path: string
  readonly #insert: StatementSync
  readonly #history: StatementSync
  readonly #reserve: Reserve | undefined

  /** `reserve` is given up when the disk is full. @throws Refusal when the file is not ours to use. */
  constructor(path: string, { maxBytes, reserve }: Readonly<{ maxBytes?: number; reserve?: Reserve }> = {}) {
    makePrivate(path)
    this.#path = path
    this.#reserve = reserve
    this.#db = new DatabaseSync(path, { timeout: lockTimeoutMs })
    try {
      this.#prepareFile(maxBytes)
      this.#verify()
    } catch (error) {
      this.#db.close()
      if (codeOf(error) === busy) {
        throw new Refusal('inUse', `The store ${path} is in use by another process`)
      }
      throw error
    }
    this.#insert = this.#db.prepare('INSERT INTO log VALUES (?, ?, ?, ?, ?, ?)')
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
    return this.#db.prepare(currentRows).iterate() as Iterable<CurrentRow>
  }

  /** Writes all rows in one durable transaction, or none. */
  append(rows: readonly LogRow[]): void {
    this.#transaction(() => {
      for (const row of rows) this.#insert.run(row.revision, row.key, row.deleted, row.value, row.previous, sumOf(row))
      this.#count(rows.length)
    })
  }

  history(prefix: string, after: number, upTo: number): HistoryRow[] {
    return this.#history.all({ prefix, after, upTo }) as HistoryRow[]
  }

  compact(after: number, upTo: number): void {
    const span = { after, upTo }
    const inSpan = 'revision > :after AND revision <= :upTo'
    this.#transaction(() => {
      const superseded = `DELETE FROM log WHERE revision IN (SELECT previous FROM log WHERE ${inSpan} AND previous IS NOT NULL)`
      const gone = [superseded, `DELETE FROM log WHERE ${inSpan} AND deleted`].map((sql) =>
        Number(this.#db.prepare(sql).run(span).changes),
      )
      this.#count(-gone.reduce((sum, rows) => sum + rows, 0))
      this.#db.prepare('UPDATE compacted SET revision = ?').run(upTo)
    })
  }

  /** Drops all history and continues at a later revision: no watch can resume from an earlier one. */
  skipTo(revision: number): void {
    this.compact(this.compacted, revision)
  }

  /** Gives some free pages back to the file system; whether there are more. */
  shrink(): boolean {
    if (this.#freePages <= sparePages) return false
    const pages = Math.min(pagesPerShrink, this.#freePages - sparePages)
    this.#withReserve(() => this.#db.exec(`PRAGMA incremental_vacuum(${pages})`))
    return this.#freePages > sparePages
  }

  /** Bytes of the file that hold something. */
  get usedBytes(): number {
    const pages = Number(this.#pragma('PRAGMA page_count')) - this.#freePages
    return pages * Number(this.#pragma('PRAGMA page_size'))
  }

  /** Whether the disk is as good as full: the reserve is in use, or could not be made. */
  get lacksDisk(): boolean {
    return this.#reserve?.isWhole === false
  }

  /** Takes the reserve again, as far as there is room, when the log has been brought into the file and given back. */
  recover(): void {
    try {
      this.#db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
    } catch (error) {
      // The file may have to grow for it: the log stays, and nothing is lost.
      if (codeOf(error) !== full) throw error
    }
    this.#reserve?.take()
  }

  /** Bytes of values that have been superseded or deleted and are kept for watches. */
  get historyBytes(): number {
    const sql = `SELECT (SELECT total(length(value)) FROM log) - (SELECT total(length(value)) FROM (${currentRows}))`
    return Number(this.#pragma(sql))
  }

  /** Writes a whole copy of this moment to a file that is not there yet. */
  copyTo(path: string): void {
    makePrivate(path)
    this.#db.prepare('VACUUM INTO ?').run(path)
  }

  get #freePages(): number {
    return Number(this.#pragma('PRAGMA freelist_count'))
  }

  #count(more: number): void {
    this.#db.prepare('UPDATE counted SET rows = rows + ?').run(more)
  }

  /** @throws Refusal when a row is not as it was written, or is missing */
  #verify(): void {
    let rows = 0
    const damaged = this.#findRows((row) => {
      rows++
      return sumOf(row) !== row.sum
    })
    const counted = Number(this.#pragma('SELECT rows FROM counted'))
    this.#refuseIf([
      ...(damaged ? [`${damaged.count} of its rows are not as they were written: ${damaged.names}`] : []),
      ...(counted === rows ? [] : [`it has ${rows} rows where ${counted} were written`]),
    ])
  }

  /** How many rows of the log are bad, and the names of some. */
  #findRows(isBad: (row: LogRow & { sum: number }) => boolean): { count: number; names: string } | undefined {
    const named: string[] = []
    let count = 0
    const all = this.#db.prepare('SELECT * FROM log').iterate()
    for (const row of all as Iterable<LogRow & { sum: number }>) {
      if (!isBad(row) || ++count > namedKeys) continue
      named.push(`${row.key} (revision ${row.revision})`)
    }
    return count ? { count, names: `${named.join(', ')}${count > namedKeys ? ' …' : ''}` } : undefined
  }

  #refuseIf(problems: readonly string[]): void {
    if (problems.length === 0) return
    const text = `The store ${this.#path} is damaged: ${problems.join('; ')}`
    throw new Refusal('damaged', `${text}. Nothing was changed; restore a backup with: patchbay restore FILE`)
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

  #prepareFile(maxBytes: number | undefined): void {
    this.#db.exec(setUp)
    const version = Number(this.#pragma('PRAGMA user_version'))
    if (version > schemaVersion) {
      const text = `The store ${this.#path} was written by a newer version of Patchbay (schema ${version}, this one knows ${schemaVersion})`
      throw new Refusal('newer', `${text}. Start that version, or move the file away to begin with an empty store`)
    }
    if (version === 0) this.#db.exec(schema)
    if (version === 1) this.#migrate()
    this.#db.exec('COMMIT')
    // A file that was made before it could shrink is written once as a whole.
    if (Number(this.#pragma('PRAGMA auto_vacuum')) !== incremental) this.#db.exec('PRAGMA auto_vacuum = 2; VACUUM')
    if (maxBytes !== undefined) {
      this.#db.exec(`PRAGMA max_page_count = ${Math.ceil(maxBytes / Number(this.#pragma('PRAGMA page_size')))}`)
    }
  }

  /** @throws Refusal for unreadable rows: once they have a checksum, later checks would not find them */
  #migrate(): void {
    const unreadable = this.#findRows(({ value }) => !isObject(value))
    this.#refuseIf(unreadable ? [`${unreadable.count} of its rows are no JSON objects: ${unreadable.names}`] : [])
    const sum = (revision: unknown, key: unknown, deleted: unknown, value: unknown, previous: unknown) =>
      sumOf({ revision, key, deleted, value, previous } as LogRow)
    this.#db.function('row_sum', { deterministic: true }, sum)
    this.#db.exec(migration)
  }

  #transaction(work: () => void): void {
    this.#withReserve(() => this.#transactionOnce(work))
  }

  /** Does something that leaves nothing behind when it fails; again with room of the reserve when the disk is full. */
  #withReserve(work: () => void): void {
    for (;;) {
      try {
        work()
        return
      } catch (error) {
        if (codeOf(error) !== full || !this.#reserve?.give()) throw error
      }
    }
  }

  #transactionOnce(work: () => void): void {
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

/** SQLite's code of an error, without what makes it more exact. */
function codeOf(error: unknown): number {
  return Number((error as { errcode?: unknown }).errcode) & 0xff
}

function isObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null
  } catch {
    return false
  }
}

/** The checksum of a row: of everything in it, so that no part can change unseen. */
function sumOf({ revision, key, deleted, value, previous }: LogRow): number {
  return crc32(value, crc32(`${revision} ${deleted} ${previous} ${key}`))
}

/**
 * Readable by its owner only; SQLite gives the files beside it the same mode. An existing file is never opened here: closing
 * it would drop the lock that another store in this process may hold on it.
 */
function makePrivate(path: string): void {
  if (path === ':memory:') return
  if (existsSync(path)) chmodSync(path, 0o600)
  else closeSync(openSync(path, 'wx', 0o600))
}
