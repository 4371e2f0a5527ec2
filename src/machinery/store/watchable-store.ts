import { explain, Fault } from '#base/fault.ts'
import { type Log, silent } from '#base/log.ts'
import type { Backend, Contents, Write } from './backend.ts'
import { Followers, notify } from './followers.ts'
import { History } from './history.ts'
import type { Change, Decision, DecisionListener, Row, Store } from './store.ts'
import { type Span, View } from './view.ts'

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
export const defaultTuning = {
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
  readonly #view: View
  /** Newest pending write per key. */
  readonly #pending = new Map<string, Pending>()
  #queued: Pending[] = []
  readonly #followers = new Followers()
  /** Sent to the backend, oldest first. */
  #sent: (readonly Pending[])[] = []
  /** Failed appends so far. */
  #epoch = 0
  #allocated: number
  /** How far the backend has followed `compacted`. */
  #swept: number
  #compacting: Promise<void> = Promise.resolve()
  readonly #history: History
  readonly #quotaBytes: number
  readonly #alarmKey: string | undefined
  readonly #onTrouble: (error: unknown) => void
  #lastFailure: string | undefined
  #closing: Promise<void> | undefined

  /** `name` is how messages call it, like "store /var/lib/patchbay/state.db". */
  constructor(name: string, backend: Backend, contents: Contents, tuning: Tuning = {}) {
    this.#name = name
    this.#backend = backend
    this.#allocated = contents.revision
    this.#swept = contents.compacted
    const tuned = { ...defaultTuning, ...tuning }
    this.#view = new View({
      ...contents,
      name,
      past: (prefix, after) => this.#past(prefix, after),
      keep: { count: tuned.keepRecent, bytes: tuned.keepRecentBytes },
      maxUnread: { count: tuned.maxUnread, bytes: tuned.maxUnreadBytes },
    })
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
    return this.#view.revision
  }

  get compacted(): number {
    return this.#view.compacted
  }

  /** Why writes fail or are refused, as a sentence with what to do; undefined when they are not. */
  get problem(): string | undefined {
    if (this.#lastFailure !== undefined) return this.#lastFailure
    return this.#fullness()
  }

  async get(key: string): Promise<Row | undefined> {
    this.#view.check()
    return this.#view.rows.get(key)
  }

  async list(prefix: string): Promise<Readonly<{ rows: readonly Row[]; revision: number }>> {
    this.#view.check()
    return { rows: this.#view.rows.list(prefix), revision: this.revision }
  }

  async update(key: string, decide: (current: Row | undefined) => Decision | undefined): Promise<Row | undefined> {
    this.#view.check()
    const pending = this.#pending.get(key)
    const current = pending ? rowAfter(pending.change) : this.#view.rows.get(key)
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
    for (const row of this.#view.rows.list('')) notify(listener, row.key, row)
    for (const { change, text } of this.#pending.values()) notify(listener, change.row.key, rowAfter(change), text)
    this.#followers.add(listener)
  }

  watch(prefix: string, after: number, signal: AbortSignal): AsyncGenerator<readonly Change[], void> {
    return this.#view.watch(prefix, after, signal)
  }

  listAt(prefix: string, revision: number): Promise<readonly Row[]> {
    return this.#view.listAt(prefix, revision)
  }

  async *#past(prefix: string, after: number): AsyncGenerator<Span, void> {
    for (let at = after; at < this.#view.start; ) {
      const upTo = Math.min(at + spanOfHistory, this.#view.start)
      yield { changes: await this.#backend.history(prefix, at, upTo), upTo }
      at = upTo
    }
  }

  async compact(revision: number): Promise<void> {
    this.#view.check()
    // At once, so that a watch in the middle of reading history notices that it may be incomplete.
    this.#view.compactTo(revision)
    const target = this.#view.compacted
    // In turns, even after a failed one: its caller got the error, and the rest must still be compacted in order.
    this.#compacting = this.#compacting.catch(ignore).then(() => this.#sweep(target))
    await this.#compacting
  }

  async #sweep(target: number): Promise<void> {
    while (this.#swept < target) {
      this.#view.check()
      const upTo = Math.min(this.#swept + spanOfCompaction, target)
      await this.#backend.compact(this.#swept, upTo)
      this.#swept = upTo
    }
    while (!this.#view.isStopped && (await this.#backend.shrink()));
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
    if (this.revision > this.compacted) this.compact(this.revision).catch(this.#onTrouble)
  }

  #stop(fault: Fault): void {
    this.#history.stop()
    this.#view.stop(fault)
  }

  #enqueue(pending: Pending): Promise<Row> {
    const { change, text } = pending
    this.#pending.set(change.row.key, pending)
    this.#followers.tell(change.row.key, rowAfter(change), text)
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
      const { key } = pending.change.row
      if (this.#pending.get(key) === pending) this.#pending.delete(key)
    }
    const changes = batch.map(({ change, text }) => ({ change, bytes: text.length }))
    this.#view.take(changes, batch.at(-1)?.change.row.revision ?? this.revision)
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
      this.#followers.tell(key, this.#view.rows.get(key))
    const why = remedyOf(cause)
    this.#lastFailure = `Writing to the ${this.#name} failed${why || `: ${explain(cause)}`}`
    for (const { change, done } of lost) {
      done.reject(new Fault('Unavailable', `Writing ${change.row.key} to the ${this.#name} failed${why}`, { cause }))
    }
  }
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
