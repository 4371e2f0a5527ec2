import type { JsonObject } from '#base/json.ts'

/** One key's value as of the revision that wrote it. Immutable and shared: never change `value` in place. */
export type Row = Readonly<{ key: string; revision: number; value: JsonObject }>

/**
 * One committed change. For a delete, `row` carries the deletion's revision and the value `decide` gave it (the last words);
 * `previous` is what the key held before, absent when it was created by this change.
 */
export type Change = Readonly<{ type: 'put' | 'delete'; row: Row; previous?: Row }>

/** What an update wants to happen to a key. `undefined` in its place means: leave it as it is. */
export type Decision = Readonly<{ type: 'put'; value: JsonObject }> | Readonly<{ type: 'delete'; value?: JsonObject }>

/** Called with what a key holds (undefined: nothing any more), and its bytes of JSON. It must neither wait nor throw. */
export type DecisionListener = (key: string, value: JsonObject | undefined, bytes: number) => void

/**
 * A revisioned key-value store. Every implementation passes the same suite (test/kit/machinery/store/contract.ts).
 *
 * - Revisions are integers that only grow; every committed change has its own.
 * - `update` resolves only after the change is on disk. Concurrent updates of one key are applied one after the other.
 * - A watch from a revision sees every later change under its prefix exactly once, in order of revision.
 */
export interface Store {
  /** The newest committed revision; 0 for an empty store. */
  readonly revision: number
  /** The oldest revision a watch may still start from. */
  readonly compacted: number
  /** The committed row of a key. */
  get(key: string): Promise<Row | undefined>
  /** All committed rows whose key starts with `prefix`, in order of key, and the revision they are true at. */
  list(prefix: string): Promise<Readonly<{ rows: readonly Row[]; revision: number }>>
  /**
   * The rows whose key starts with `prefix`, in order of key, as they were at a revision. What it takes grows with what has
   * changed since. @throws Fault Expired when the revision has been compacted away, or is not there yet.
   */
  listAt(prefix: string, revision: number): Promise<readonly Row[]>
  /**
   * Changes one key. `decide` is a pure, synchronous function of the newest row; it may be called more than once and may
   * throw, which rejects the update and changes nothing. Resolves to the row written (for a delete: the row with the
   * deletion's revision), or, when nothing was to be done, to the row as it is, once that is on disk too.
   */
  update(key: string, decide: (current: Row | undefined) => Decision | undefined): Promise<Row | undefined>
  /**
   * Changes under `prefix` after revision `after`, in batches. Ends quietly when the signal aborts.
   * @throws Fault Expired when `after` has been compacted away, or when the reader fell too far behind.
   */
  watch(prefix: string, after: number, signal: AbortSignal): AsyncIterable<readonly Change[]>
  /**
   * Calls the listener for every existing key, and from then on for each change as soon as it is decided: within `update`,
   * before the next decision, and before it is on disk. When the write fails, it is called with the key's earlier value.
   */
  onDecided(listener: DecisionListener): void
  /** Forgets history up to `revision`: watches may no longer start before it. Current rows stay. */
  compact(revision: number): Promise<void>
  /** Waits for accepted updates to reach the disk, then releases everything. Later calls reject with Fault Unavailable. */
  close(): Promise<void>
}
