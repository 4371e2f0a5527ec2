import { Fault } from '#base/fault.ts'
import { byKey, Rows } from './rows.ts'
import type { Change, Row } from './store.ts'
import { type Bound, type Sized, WatchCache } from './watch-cache.ts'

/** All changes under a prefix up to a revision, after those of the span before. They may be compacted when they are read. */
export type Span = Readonly<{ changes: readonly Change[]; upTo: number }>

/** Reads changes from where a store keeps them: those after a revision, span after span, until the reader returns. */
type Past = (prefix: string, after: number, signal?: AbortSignal) => AsyncIterable<Span>

export type ViewOptions = Readonly<{
  /** How messages call the store, like "store /var/lib/patchbay/state.db". */
  name: string
  rows: readonly Row[]
  revision: number
  compacted: number
  past: Past
  /** How much of the newest changes is kept in memory; older ones are read by `past`. */
  keep: Bound
  /** A watcher that has more unread than this is cut. */
  maxUnread: Bound
}>

/**
 * The committed rows of a store, its newest changes and its watchers. A store feeds it what has been committed, in order of
 * revision, from wherever that comes.
 */
export class View {
  readonly rows = new Rows()
  readonly #options: ViewOptions
  #watchCache: WatchCache
  #revision: number
  #compacted: number
  #stopped: Fault | undefined

  constructor(options: ViewOptions) {
    this.#options = options
    this.#revision = options.revision
    this.#compacted = options.compacted
    this.#watchCache = new WatchCache(options.revision, options)
    for (const row of options.rows) this.rows.put(row)
  }

  get revision(): number {
    return this.#revision
  }

  get compacted(): number {
    return this.#compacted
  }

  /** Every change after this revision is in memory. */
  get start(): number {
    return this.#watchCache.start
  }

  get isStopped(): boolean {
    return this.#stopped !== undefined
  }

  /** Takes in committed changes, in order, and with them everything up to `revision`. */
  take(changes: readonly Sized[], revision: number): void {
    for (const { change } of changes) {
      if (change.type === 'put') this.rows.put(change.row)
      else this.rows.delete(change.row.key)
    }
    this.#revision = revision
    this.#watchCache.publish(changes)
  }

  /** Begins again at a revision, after a gap in what it was fed: all rows are replaced, and every watch is cut. */
  replace(rows: readonly Row[], revision: number): void {
    for (const { key } of this.rows.list('')) this.rows.delete(key)
    for (const row of rows) this.rows.put(row)
    this.#watchCache.end(new Fault('Expired', `The ${this.#options.name} was out of reach for too long`))
    this.#watchCache = new WatchCache(revision, this.#options)
    this.#compacted = this.#revision = revision
  }

  /** Marks history up to a revision as forgotten. At once, so that a watch in the middle of reading it notices. */
  compactTo(revision: number): void {
    this.#compacted = Math.max(this.#compacted, Math.min(revision, this.#revision))
  }

  async *watch(prefix: string, after: number, signal: AbortSignal): AsyncGenerator<readonly Change[], void> {
    this.requireReached(after)
    let at = after
    while (!signal.aborted && !this.isRecent(at)) {
      for await (const { changes, upTo } of this.#older(prefix, at, signal)) {
        at = upTo
        if (changes.length > 0) yield changes
        if (signal.aborted) return
      }
    }
    if (!signal.aborted) yield* this.#stream(prefix, at, signal)
  }

  async listAt(prefix: string, revision: number): Promise<readonly Row[]> {
    this.requireReached(revision)
    // What the keys that have changed since held then: what the first change of each found.
    const then = new Map<string, Row | undefined>()
    const undo = (changes: readonly Change[]) => {
      for (const { row, previous } of changes) if (!then.has(row.key)) then.set(row.key, previous)
    }
    let at = revision
    while (!this.isRecent(at)) {
      for await (const { changes, upTo } of this.#older(prefix, at)) {
        at = upTo
        undo(changes)
      }
    }
    undo(this.#watchCache.changes(prefix, at))
    const unchanged = this.rows.list(prefix).filter(({ key }) => !then.has(key))
    return [...unchanged, ...[...then.values()].filter((row) => row !== undefined)].sort(byKey)
  }

  /** Whether all changes after a revision are in memory. @throws Fault Expired, Unavailable */
  isRecent(revision: number): boolean {
    this.#requireKept(revision)
    return revision >= this.#watchCache.start
  }

  /** @throws Fault Expired for a revision of the future */
  requireReached(revision: number): void {
    if (revision <= this.#revision) return
    throw new Fault(
      'Expired',
      `Revision ${revision} is not of the ${this.#options.name}, which is at ${this.#revision}`,
    )
  }

  /** @throws Fault Unavailable once it was stopped */
  check(): void {
    if (this.#stopped) throw this.#stopped
  }

  /** Ends every watch with `fault`, and has every later call throw it. */
  stop(fault: Fault): void {
    this.#stopped ??= fault
    this.#watchCache.end(this.#stopped)
  }

  /** Changes that are no longer in memory, until all that follow the last span are, or the signal aborts. */
  async *#older(prefix: string, after: number, signal?: AbortSignal): AsyncGenerator<Span, void> {
    let at = after
    for await (const span of this.#options.past(prefix, at, signal)) {
      if (signal?.aborted) return
      this.#requireKept(at)
      at = span.upTo
      yield span
      if (signal?.aborted || this.isRecent(at)) return
    }
  }

  #requireKept(revision: number): void {
    this.check()
    if (revision >= this.#compacted) return
    const text = `Revision ${revision} of the ${this.#options.name} has been compacted; the oldest is ${this.#compacted}`
    throw new Fault('Expired', text)
  }

  async *#stream(prefix: string, after: number, signal: AbortSignal): AsyncGenerator<readonly Change[], void> {
    const cache = this.#watchCache
    const { watcher, missed } = cache.subscribe(prefix, after)
    const wake = () => watcher.wake()
    signal.addEventListener('abort', wake)
    try {
      if (missed.length > 0) yield missed
      while (!signal.aborted) {
        const changes = watcher.take()
        if (changes.length > 0) yield changes
        else await watcher.wait()
      }
    } finally {
      signal.removeEventListener('abort', wake)
      cache.unsubscribe(watcher)
    }
  }
}
