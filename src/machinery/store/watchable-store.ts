import { explain, Fault } from '#base/fault.ts'
import { type Log, silent } from '#base/log.ts'
import type { Backend, Contents, Write } from './backend.ts'
import { History } from './history.ts'
import { byKey, Rows } from './rows.ts'
import type { Change, Decision, DecisionListener, Row, Store } from './store.ts'
import { WatchCache } from './watch-cache.ts'

export type Tuning = Readonly<{
  /** How many of the newest changes are kept in memory for watches; older ones are read from the backend. */
  keepRecent?: number
  /** Most bytes of them. */
  keepRecentBytes?: number
  /** A watcher with more unread changes than this is cut. */
  maxUnread?: number
  /** So is one with more unread bytes. */
  maxUnreadBytes?: number
  /** How long history is kept for watches to resume from. */
  historyMs?: number
  /** Most bytes of history; when there are more, older history is forgotten earlier. */
  historyBytes?: number
  /** Above that many bytes on disk, what makes the store grow is refused. */
  quotaBytes?: number
  /** The key of the row that reports a full store, and may therefore be created in one; it stays small. */
  alarmKey?: string
  log?: Log
}>

/** Revisions handled by one call of the backend: some milliseconds of work, so that no caller waits long behind it. */
const spanOfHistory = 250
const spanOfCompaction = 200

const mebibyte = 1024 * 1024

/** Defaults of a store; docs/limits.md lists them. */
const defaults = {
  keepRecent: 1000,
  keepRecentBytes: 64 * mebibyte,
  maxUnread: 10_000,
  maxUnreadBytes: 16 * mebibyte,
  historyMs: 300_000,
  historyBytes: 256 * mebibyte,
  quotaBytes: 2048 * mebibyte,
}

/** An object may still grow up to this size when the store is full, characters: so that nodes keep reporting. */
const smallText = 16 * 1024

/** A larger one may grow by so much, characters: so that what is to be deleted can be marked so. */
const smallGrowth = 512

/** A decided change that is not yet known to be durable. */
type Pending = Write & Readonly<{ done: PromiseWithResolvers<Row> }>

/**
 * The store's behaviour, above any backend.
 *
 * `update` decides at once, over the newest pending row of its key, so that many updates of one key share one commit:
 *
 *     update ─ decide ─▶ queued ─ flushSoon ─▶ sent ─ append ok ─────▶ committed: rows, watchers, caller
 *                                               └──── append failed ─▶ everything pending is rejected, nothing changed
 */
export class WatchableStore implements Store {
  readonly #name: string
  readonly #backend: Backend
  readonly #rows = new Rows()
  readonly #watchCache: WatchCache
  /** Newest pending write per key. */
  readonly #pending = new Map<string, Pending>()
  #queued: Pending[] = []
  readonly #listeners: DecisionListener[] = []
  /** Sent to the backend, oldest first. */
  #sent: (readonly Pending[])[] = []
  /** Failed appends so far. */
  #epoch = 0
  #allocated: number
  #revision: number
  #compacted: number
  /** How far the backend has followed `compacted`. */
  #swept: number
  #compacting: Promise<void> = Promise.resolve()
  readonly #history: History
  readonly #quotaBytes: number
  readonly #alarmKey: string | undefined
  readonly #onTrouble: (error: unknown) => void
  #lastFailure: string | undefined
  #stopped: Fault | undefined
  #closing: Promise<void> | undefined

  /** `name` is how messages call it, like "store /var/lib/patchbay/state.db". */
  constructor(name: string, backend: Backend, contents: Contents, tuning: Tuning = {}) {
    this.#name = name
    this.#backend = backend
    this.#allocated = this.#revision = contents.revision
    this.#compacted = this.#swept = contents.compacted
    const tuned = { ...defaults, ...tuning }
    this.#watchCache = new WatchCache(contents.revision, {
      keep: { count: tuned.keepRecent, bytes: tuned.keepRecentBytes },
      maxUnread: { count: tuned.maxUnread, bytes: tuned.maxUnreadBytes },
    })
    for (const row of contents.rows) this.#rows.put(row)
    this.#quotaBytes = tuned.quotaBytes
    this.#alarmKey = tuned.alarmKey
    const log = tuning.log ?? silent
    this.#onTrouble = (error) => log.warn({ cause: explain(error) }, 'Cannot forget old history; trying again later')
    this.#history = new History(this, contents.historyBytes, {
      ms: tuned.historyMs,
      bytes: tuned.historyBytes,
      onTrouble: this.#onTrouble,
    })
    void backend.broken.then((cause) => this.#stop(new Fault('Unavailable', `The ${name} stopped working`, { cause })))
  }

  get revision(): number {
    return this.#revision
  }

  get compacted(): number {
    return this.#compacted
  }

  /** Why writes fail or are refused, as a sentence with what to do; undefined when they are not. */
  get problem(): string | undefined {
    if (this.#lastFailure !== undefined) return this.#lastFailure
    return this.#fullness()
  }

  async get(key: string): Promise<Row | undefined> {
    this.#check()
    return this.#rows.get(key)
  }

  async list(prefix: string): Promise<Readonly<{ rows: readonly Row[]; revision: number }>> {
    this.#check()
    return { rows: this.#rows.list(prefix), revision: this.#revision }
  }

  async update(key: string, decide: (current: Row | undefined) => Decision | undefined): Promise<Row | undefined> {
    this.#check()
    const pending = this.#pending.get(key)
    const current = pending ? rowAfter(pending.change) : this.#rows.get(key)
    let decision: Decision | undefined
    try {
      decision = decide(current)
    } catch (error) {
      // The row it objects to may not be on disk yet: no client may see it before it is.
      await pending?.done.promise
      throw error
    }
    const value = decision?.value ?? current?.value
    if (!decision || !value || (decision.type === 'delete' && !current)) {
      await pending?.done.promise
      return current
    }
    // Before a revision is given away, because this may throw.
    const text = JSON.stringify(value)
    this.#requireRoom(key, decision.type, current, text)
    const row: Row = { key, revision: ++this.#allocated, value }
    const change: Change = { type: decision.type, row, ...(current && { previous: current }) }
    return this.#enqueue({ change, text, done: Promise.withResolvers<Row>() })
  }

  onDecided(listener: DecisionListener): void {
    for (const row of this.#rows.list('')) notify(listener, row.key, row)
    for (const { change, text } of this.#pending.values()) notify(listener, change.row.key, rowAfter(change), text)
    this.#listeners.push(listener)
  }

  async *watch(prefix: string, after: number, signal: AbortSignal): AsyncGenerator<readonly Change[], void> {
    this.#requireReached(after)
    let at = after
    while (!signal.aborted && !this.#isRecent(at)) {
      const { changes, upTo } = await this.#older(prefix, at)
      if (signal.aborted) return
      this.#requireKept(at)
      at = upTo
      if (changes.length > 0) yield changes
    }
    if (!signal.aborted) yield* this.#stream(prefix, at, signal)
  }

  async listAt(prefix: string, revision: number): Promise<readonly Row[]> {
    this.#requireReached(revision)
    // What the keys that have changed since held then: what the first change of each found.
    const then = new Map<string, Row | undefined>()
    const undo = (changes: readonly Change[]) => {
      for (const { row, previous } of changes) if (!then.has(row.key)) then.set(row.key, previous)
    }
    let at = revision
    while (!this.#isRecent(at)) {
      const { changes, upTo } = await this.#older(prefix, at)
      this.#requireKept(at)
      at = upTo
      undo(changes)
    }
    undo(this.#watchCache.changes(prefix, at))
    const unchanged = this.#rows.list(prefix).filter(({ key }) => !then.has(key))
    return [...unchanged, ...[...then.values()].filter((row) => row !== undefined)].sort(byKey)
  }

  /** Some changes that the watch cache has no more, and up to which revision these are all. They may be gone when they are read. */
  async #older(prefix: string, after: number): Promise<Readonly<{ changes: readonly Change[]; upTo: number }>> {
    const upTo = Math.min(after + spanOfHistory, this.#watchCache.start)
    return { changes: await this.#backend.history(prefix, after, upTo), upTo }
  }

  /** Whether the watch cache has all changes after a revision. @throws Fault Expired, Unavailable */
  #isRecent(revision: number): boolean {
    this.#requireKept(revision)
    return revision >= this.#watchCache.start
  }

  #requireKept(revision: number): void {
    this.#check()
    if (revision < this.#compacted) throw this.#expired(revision)
  }

  #requireReached(revision: number): void {
    if (revision <= this.#revision) return
    throw new Fault('Expired', `Revision ${revision} is not of the ${this.#name}, which is at ${this.#revision}`)
  }

  async compact(revision: number): Promise<void> {
    this.#check()
    // At once, so that a watch in the middle of reading history notices that it may be incomplete.
    this.#compacted = Math.max(this.#compacted, Math.min(revision, this.#revision))
    const target = this.#compacted
    // In turns, even after a failed one: its caller got the error, and the rest must still be compacted in order.
    this.#compacting = this.#compacting.catch(ignore).then(() => this.#sweep(target))
    await this.#compacting
  }

  async #sweep(target: number): Promise<void> {
    while (this.#swept < target) {
      this.#check()
      const upTo = Math.min(this.#swept + spanOfCompaction, target)
      await this.#backend.compact(this.#swept, upTo)
      this.#swept = upTo
    }
    while (!this.#stopped && (await this.#backend.shrink()));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#stop(new Fault('Unavailable', `The ${this.#name} is closed`))
    this.#flush()
    await Promise.allSettled(this.#sent.flat().map(({ done }) => done.promise))
    await this.#compacting.catch(ignore)
    await this.#backend.close()
  }

  /** What the store is full of, as a sentence; undefined when there is room. */
  #fullness(): string | undefined {
    const { usedBytes, lacksDisk } = this.#backend
    if (lacksDisk) return `The disk of the ${this.#name} is full: free some space, it goes on by itself then`
    if (usedBytes <= this.#quotaBytes) return undefined
    const sizes = `${usedBytes} of ${this.#quotaBytes} bytes`
    return `The ${this.#name} is full (${sizes}): delete objects, or start with a larger --store-quota`
  }

  /** Deletes, and updates that do not let an object grow, are possible in a full store, too. @throws Fault Unavailable */
  #requireRoom(key: string, type: Decision['type'], current: Row | undefined, text: string): void {
    const fullness = this.#fullness()
    if (fullness === undefined) return
    this.#forgetAll()
    if (type === 'delete' || (text.length <= smallText && (current || this.#alarmKey === key))) return
    if (current && text.length <= JSON.stringify(current.value).length + smallGrowth) return
    throw new Fault('Unavailable', `Writing ${key} is refused. ${fullness}`)
  }

  /** In a full store history gives way before any object does. */
  #forgetAll(): void {
    if (this.#revision > this.#compacted) this.compact(this.#revision).catch(this.#onTrouble)
  }

  #check(): void {
    if (this.#stopped) throw this.#stopped
  }

  #stop(fault: Fault): void {
    this.#stopped ??= fault
    this.#history.stop()
    this.#watchCache.end(this.#stopped)
  }

  #enqueue(pending: Pending): Promise<Row> {
    const { change, text } = pending
    this.#pending.set(change.row.key, pending)
    for (const listener of this.#listeners) notify(listener, change.row.key, rowAfter(change), text)
    this.#queued.push(pending)
    if (this.#queued.length === 1) this.#flushSoon()
    return pending.done.promise
  }

  /** A lone write is sent at once; behind another, all writes of this turn of the event loop are sent together. */
  #flushSoon(): void {
    const flush = () => this.#flush()
    if (this.#sent.length === 0) queueMicrotask(flush)
    else setImmediate(flush)
  }

  #flush(): void {
    const batch = this.#queued
    if (batch.length === 0) return
    this.#queued = []
    this.#sent.push(batch)
    const epoch = this.#epoch
    this.#backend.append(batch, epoch).then(
      () => this.#commit(batch),
      (cause) => this.#lose(epoch, cause),
    )
  }

  #commit(batch: readonly Pending[]): void {
    this.#sent.shift()
    this.#lastFailure = undefined
    for (const pending of batch) {
      const { type, row } = pending.change
      if (type === 'put') this.#rows.put(row)
      else this.#rows.delete(row.key)
      if (this.#pending.get(row.key) === pending) this.#pending.delete(row.key)
      this.#revision = row.revision
    }
    this.#watchCache.publish(batch.map(({ change, text }) => ({ change, bytes: text.length })))
    for (const { change, text } of batch) this.#history.add(change.row.revision, text.length)
    for (const { change, done } of batch) done.resolve(change.row)
    if (this.#fullness() !== undefined) this.#forgetAll()
  }

  /** Rejects everything pending: a write outside the failed append may have been decided over one inside it. */
  #lose(epoch: number, cause: unknown): void {
    if (epoch !== this.#epoch) return
    this.#epoch++
    const lost = [...this.#sent.flat(), ...this.#queued]
    this.#sent = []
    this.#queued = []
    this.#pending.clear()
    for (const key of new Set(lost.map(({ change }) => change.row.key)))
      for (const listener of this.#listeners) notify(listener, key, this.#rows.get(key))
    const why = remedyOf(cause)
    this.#lastFailure = `Writing to the ${this.#name} failed${why || `: ${explain(cause)}`}`
    for (const { change, done } of lost) {
      done.reject(new Fault('Unavailable', `Writing ${change.row.key} to the ${this.#name} failed${why}`, { cause }))
    }
  }

  async *#stream(prefix: string, after: number, signal: AbortSignal): AsyncGenerator<readonly Change[], void> {
    const { watcher, missed } = this.#watchCache.subscribe(prefix, after)
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
      this.#watchCache.unsubscribe(watcher)
    }
  }

  #expired(revision: number): Fault {
    const text = `Revision ${revision} of the ${this.#name} has been compacted; the oldest is ${this.#compacted}`
    return new Fault('Expired', text)
  }
}

function notify(listener: DecisionListener, key: string, row: Row | undefined, text?: string): void {
  listener(key, row?.value, row ? Buffer.byteLength(text ?? JSON.stringify(row.value)) : 0)
}

function rowAfter(change: Change): Row | undefined {
  return change.type === 'put' ? change.row : undefined
}

/** What to do about a failed write, when it can be said. */
function remedyOf(cause: unknown): string {
  return /disk is full|ENOSPC/.test(explain(cause))
    ? ': the disk is full; free some space, it goes on by itself then'
    : ''
}

function ignore(): void {}
