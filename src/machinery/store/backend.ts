import type { Change, Row } from './store.ts'

/** A change on its way to the backend. `text` is the value of its row as JSON. */
export type Write = Readonly<{ change: Change; text: string }>

/** What a backend holds when it is opened; `historyBytes` is the size of what was superseded and not yet compacted. */
export type Contents = Readonly<{ rows: readonly Row[]; revision: number; compacted: number; historyBytes: number }>

/** Where a store keeps its changes. The store above it does everything else, so that all stores behave alike. */
export interface Backend {
  /**
   * Resolves when the writes are on disk, all or none. Appends may overlap and settle in the order they were made. `epoch`
   * is the number of failed appends the caller knows; an append with an older epoch is refused, because it may build upon
   * what was lost.
   */
  append(writes: readonly Write[], epoch: number): Promise<void>
  /** Durable changes under `prefix` after revision `after` and up to `upTo`, neither of them compacted away. */
  history(prefix: string, after: number, upTo: number): Promise<readonly Change[]>
  /**
   * Forgets what was superseded at or before `upTo`, durably. Everything up to `after` has been forgotten before. Calls do
   * not overlap; the caller keeps the span short, because nothing is written meanwhile.
   */
  compact(after: number, upTo: number): Promise<void>
  /** Gives some of the room that compaction freed back, which takes milliseconds; resolves to whether there is more. */
  shrink(): Promise<boolean>
  /** Bytes on disk that hold something. */
  readonly usedBytes: number
  /** Whether the disk is as good as full: what is left is kept for deletes and for forgetting history. */
  readonly lacksDisk: boolean
  /** Resolves with the reason when the backend fails for good; every later call rejects. */
  readonly broken: Promise<unknown>
  close(): Promise<void>
}
