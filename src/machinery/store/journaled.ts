import { Fault } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { Feed } from './feed.ts'
import type { Contents, Journal, Write } from './journal.ts'
import { retainHistory } from './retention.ts'
import { Rows } from './rows.ts'
import type { Change, Decision, Row, Store } from './store.ts'

export type Tuning = Readonly<{
  /** How many of the newest changes are kept in memory for watches; older ones are read from the journal. */
  keepRecent?: number
  /** A watcher with more unread changes than this is cut. */
  maxUnread?: number
  /** How long history is kept for watches to resume from. */
  historyMs?: number
  log?: Log
}>

/** Revisions handled by one call of the journal: some milliseconds of work, so that nobody waits long behind it. */
const spanOfHistory = 250
const spanOfCompaction = 200

/** A decided change that is not yet known to be durable. */
type Pending = Write & Readonly<{ done: PromiseWithResolvers<Row> }>

/**
 * The store's behaviour, above any journal.
 *
 * `update` decides at once, over the newest pending row of its key, so that many updates of one key share one commit:
 *
 *     update ─ decide ─▶ queued ─ flushSoon ─▶ sent ─ append ok ─────▶ committed: rows, watchers, caller
 *                                               └──── append failed ─▶ everything pending is rejected, nothing changed
 */
export class JournaledStore implements Store {
  readonly #name: string
  readonly #journal: Journal
  readonly #rows = new Rows()
  readonly #feed: Feed
  /** Newest pending write per key. */
  readonly #pending = new Map<string, Pending>()
  #queued: Pending[] = []
  /** Sent to the journal, oldest first. */
  #sent: (readonly Pending[])[] = []
  /** Failed appends so far. */
  #epoch = 0
  #allocated: number
  #revision: number
  #compacted: number
  /** How far the journal has followed `compacted`. */
  #swept: number
  #compacting: Promise<void> = Promise.resolve()
  readonly #stopRetaining: () => void
  #stopped: Fault | undefined
  #closing: Promise<void> | undefined

  /** `name` is how messages call it, like "store /var/lib/patchbay/state.db". */
  constructor(name: string, journal: Journal, contents: Contents, tuning: Tuning = {}) {
    this.#name = name
    this.#journal = journal
    this.#allocated = this.#revision = contents.revision
    this.#compacted = this.#swept = contents.compacted
    this.#feed = new Feed(contents.revision, { keep: tuning.keepRecent ?? 1000, maxUnread: tuning.maxUnread ?? 10_000 })
    for (const row of contents.rows) this.#rows.put(row)
    this.#stopRetaining = retainHistory(this, tuning.historyMs ?? 300_000, tuning.log)
    void journal.broken.then((cause) => this.#stop(new Fault('Unavailable', `The ${name} stopped working`, { cause })))
  }

  get revision(): number {
    return this.#revision
  }

  get compacted(): number {
    return this.#compacted
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
      // What it objects to may not be on disk yet: nobody may learn of it before it is.
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
    const row: Row = { key, revision: ++this.#allocated, value }
    const change: Change = { type: decision.type, row, ...(current && { previous: current }) }
    return this.#enqueue({ change, text, done: Promise.withResolvers<Row>() })
  }

  async *watch(prefix: string, after: number, signal: AbortSignal): AsyncGenerator<readonly Change[], void> {
    if (after > this.#revision) {
      throw new Fault('Expired', `Revision ${after} is not of the ${this.#name}, which is at ${this.#revision}`)
    }
    let at = after
    for (;;) {
      if (signal.aborted) return
      this.#check()
      if (at < this.#compacted) throw this.#expired(at)
      if (at >= this.#feed.start) break
      const upTo = Math.min(at + spanOfHistory, this.#feed.start)
      const changes = await this.#journal.history(prefix, at, upTo)
      if (signal.aborted) return
      this.#check()
      // It may have been compacted away while it was read.
      if (at < this.#compacted) throw this.#expired(at)
      at = upTo
      if (changes.length > 0) yield changes
    }
    yield* this.#follow(prefix, at, signal)
  }

  async compact(revision: number): Promise<void> {
    this.#check()
    // At once, so that a watch in the middle of reading history notices that it may be incomplete.
    this.#compacted = Math.max(this.#compacted, Math.min(revision, this.#revision))
    const target = this.#compacted
    // In turns, and after one that failed, too: its caller has heard of that, and the rest must still be swept in order.
    this.#compacting = this.#compacting.catch(ignore).then(() => this.#sweep(target))
    await this.#compacting
  }

  async #sweep(target: number): Promise<void> {
    while (this.#swept < target) {
      this.#check()
      const upTo = Math.min(this.#swept + spanOfCompaction, target)
      await this.#journal.compact(this.#swept, upTo)
      this.#swept = upTo
    }
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
    await this.#journal.close()
  }

  #check(): void {
    if (this.#stopped) throw this.#stopped
  }

  #stop(fault: Fault): void {
    this.#stopped ??= fault
    this.#stopRetaining()
    this.#feed.end(this.#stopped)
  }

  #enqueue(pending: Pending): Promise<Row> {
    this.#pending.set(pending.change.row.key, pending)
    this.#queued.push(pending)
    if (this.#queued.length === 1) this.#flushSoon()
    return pending.done.promise
  }

  /** A lone write goes at once; behind another, whatever the event loop still brings in this turn goes along with it. */
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
    this.#journal.append(batch, epoch).then(
      () => this.#commit(batch),
      (cause) => this.#lose(epoch, cause),
    )
  }

  #commit(batch: readonly Pending[]): void {
    this.#sent.shift()
    for (const pending of batch) {
      const { type, row } = pending.change
      if (type === 'put') this.#rows.put(row)
      else this.#rows.delete(row.key)
      if (this.#pending.get(row.key) === pending) this.#pending.delete(row.key)
      this.#revision = row.revision
    }
    this.#feed.publish(batch.map(({ change }) => change))
    for (const { change, done } of batch) done.resolve(change.row)
  }

  /** Gives up everything pending: whatever is not of the failed append may have been decided over something that is. */
  #lose(epoch: number, cause: unknown): void {
    if (epoch !== this.#epoch) return
    this.#epoch++
    const lost = [...this.#sent.flat(), ...this.#queued]
    this.#sent = []
    this.#queued = []
    this.#pending.clear()
    for (const { change, done } of lost) {
      done.reject(new Fault('Unavailable', `Writing ${change.row.key} to the ${this.#name} failed`, { cause }))
    }
  }

  async *#follow(prefix: string, after: number, signal: AbortSignal): AsyncGenerator<readonly Change[], void> {
    const { reader, missed } = this.#feed.join(prefix, after)
    const wake = () => reader.wake()
    signal.addEventListener('abort', wake)
    try {
      if (missed.length > 0) yield missed
      while (!signal.aborted) {
        const changes = reader.take()
        if (changes.length > 0) yield changes
        else await reader.wait()
      }
    } finally {
      signal.removeEventListener('abort', wake)
      this.#feed.leave(reader)
    }
  }

  #expired(revision: number): Fault {
    const text = `Revision ${revision} of the ${this.#name} has been compacted; the oldest is ${this.#compacted}`
    return new Fault('Expired', text)
  }
}

function rowAfter(change: Change): Row | undefined {
  return change.type === 'put' ? change.row : undefined
}

function ignore(): void {}
