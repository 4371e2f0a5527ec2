import { explain, Fault } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { delay } from '#base/wait.ts'
import type { EtcdClient } from '../../etcd/client.ts'
import { EtcdFault } from '../../etcd/etcd-fault.ts'
import { alarmsRequest, allKeys, methods, rangeRequest } from '../../etcd/messages.ts'
import { Followers, notify } from '../followers.ts'
import { History } from '../history.ts'
import { byKey } from '../rows.ts'
import type { Change, Decision, DecisionListener, Row, Store } from '../store.ts'
import { type Span, View } from '../view.ts'
import type { Sized } from '../watch-cache.ts'
import { defaultTuning, type Tuning } from '../watchable-store.ts'
import { changesOf } from './changes.ts'
import { compactEtcd } from './compaction.ts'
import { EtcdFeed } from './feed.ts'
import { Freshness } from './freshness.ts'
import type { EtcdKeys } from './keys.ts'
import { loadRows } from './load.ts'
import { Reached } from './reached.ts'
import { EtcdWriter } from './writer.ts'

/** Time for a read to be fresh, milliseconds (kube-apiserver's limit for the same). */
const freshMs = 3000

/** Interval at which etcd is asked whether it answers, milliseconds. */
const lookMs = 2000

type Parts = Readonly<{
  /** How messages call the store, like "store in etcd at http://10.0.0.1:2379". */
  name: string
  client: EtcdClient
  keys: EtcdKeys
  rows: readonly Row[]
  revision: number
  compacted: number
  alarms: readonly string[]
  tuning: Tuning
  log: Log
}>

/**
 * A store in etcd:
 *
 *     update ─ EtcdWriter ─ transactions ─▶ etcd ─ one watch over all keys ─ EtcdFeed ─▶ View ─▶ get, list, watch
 *
 * Revisions are etcd's own. Reads are from memory, once it has everything that was committed before they were asked for.
 */
export class EtcdStore implements Store {
  readonly #name: string
  readonly #client: EtcdClient
  readonly #keys: EtcdKeys
  readonly #view: View
  readonly #followers = new Followers()
  readonly #reached: Reached
  readonly #freshness: Freshness
  readonly #writer: EtcdWriter
  readonly #history: History
  readonly #log: Log
  readonly #stop = new AbortController()
  readonly #running: Promise<unknown>
  /** Revision of the last change of an object; later ones are of bookkeeping. */
  #lastChange: number
  #compacting: Promise<void> = Promise.resolve()
  #isFull: boolean
  #trouble: string | undefined
  #closing: Promise<void> | undefined

  constructor({ name, client, keys, rows, revision, compacted, alarms, tuning, log }: Parts) {
    this.#name = name
    this.#client = client
    this.#keys = keys
    this.#log = log
    this.#lastChange = revision
    this.#isFull = alarms.includes('NOSPACE')
    const tuned = { ...defaultTuning, ...tuning }
    const past = (prefix: string, after: number, signal?: AbortSignal) => this.#past(prefix, after, signal)
    const keep = { count: tuned.keepRecent, bytes: tuned.keepRecentBytes }
    const maxUnread = { count: tuned.maxUnread, bytes: tuned.maxUnreadBytes }
    this.#view = new View({ name, rows, revision, compacted, past, keep, maxUnread })
    this.#reached = new Reached(revision)
    this.#freshness = new Freshness(() => this.#ask())
    const shared = { client, keys, view: this.#view, followers: this.#followers, reached: this.#reached }
    const onOutcome = (trouble: unknown) => this.#noteWrite(trouble)
    this.#writer = new EtcdWriter({ ...shared, name, onOutcome })
    this.#history = this.#startHistory(tuned)
    const onChanges = (changes: readonly Sized[]) => {
      this.#lastChange = changes.at(-1)?.change.row.revision ?? this.#lastChange
      for (const { change, bytes } of changes) this.#history.add(change.row.revision, bytes)
    }
    const feed = new EtcdFeed({ ...shared, writer: this.#writer, onChanges, log })
    this.#running = Promise.all([feed.run(this.#stop.signal), this.#lookOften(this.#stop.signal)])
  }

  get revision(): number {
    return this.#view.revision
  }

  get compacted(): number {
    return this.#view.compacted
  }

  get problem(): string | undefined {
    if (this.#trouble !== undefined) return this.#trouble
    if (!this.#isFull) return undefined
    return `The ${this.#name} is full: delete objects, then run etcdctl defrag and etcdctl alarm disarm, or give etcd a larger --quota-backend-bytes`
  }

  async get(key: string): Promise<Row | undefined> {
    this.#view.check()
    await this.#fresh()
    return this.#view.rows.get(key)
  }

  async list(prefix: string): Promise<Readonly<{ rows: readonly Row[]; revision: number }>> {
    this.#view.check()
    await this.#fresh()
    return { rows: this.#view.rows.list(prefix), revision: this.revision }
  }

  async listAt(prefix: string, revision: number): Promise<readonly Row[]> {
    await this.#come(revision)
    this.#view.requireReached(revision)
    if (this.#view.isRecent(revision)) return this.#view.listAt(prefix, revision)
    try {
      const { rows } = await loadRows(this.#client, this.#keys, this.#keys.range(prefix), revision)
      return rows.toSorted(byKey)
    } catch (error) {
      throw this.#noteCompaction(error, revision)
    }
  }

  // Not async: the first decision is made within the call.
  update(key: string, decide: (current: Row | undefined) => Decision | undefined): Promise<Row | undefined> {
    try {
      this.#view.check()
    } catch (error) {
      return Promise.reject(error)
    }
    return this.#writer.update(key, decide)
  }

  onDecided(listener: DecisionListener): void {
    for (const row of this.#view.rows.list('')) notify(listener, row.key, row)
    this.#writer.pending((...decided) => notify(listener, ...decided))
    this.#followers.add(listener)
  }

  async *watch(prefix: string, after: number, signal: AbortSignal): AsyncGenerator<readonly Change[], void> {
    if (after > this.revision) await this.#come(after)
    yield* this.#view.watch(prefix, after, signal)
  }

  async compact(revision: number): Promise<void> {
    this.#view.check()
    this.#view.compactTo(Math.min(revision, this.#lastChange))
    const target = this.#view.compacted
    // In turns, even after a failed one: its caller got the error.
    this.#compacting = this.#compacting.catch(() => undefined).then(() => compactEtcd(this.#client, this.#keys, target))
    await this.#compacting
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#history.stop()
    this.#view.stop(new Fault('Unavailable', `The ${this.#name} is closed`))
    await this.#writer.done()
    await this.#compacting.catch(() => undefined)
    this.#stop.abort()
    this.#client.close()
    await this.#running
  }

  #startHistory({ historyMs, historyBytes }: Readonly<{ historyMs: number; historyBytes: number }>): History {
    const lastChange = () => this.#lastChange
    const compacted = () => this.compacted
    const compactable = {
      // What bookkeeping writes is no reason to compact again.
      get revision() {
        return lastChange()
      },
      get compacted() {
        return compacted()
      },
      compact: (revision: number) => this.compact(revision),
    }
    const onTrouble = (error: unknown) =>
      this.#log.warn({ cause: explain(error) }, 'Cannot forget old history; trying again later')
    return new History(compactable, 0, { ms: historyMs, bytes: historyBytes, onTrouble })
  }

  /** Waits for a revision that only another server may have shown its client yet. */
  async #come(revision: number): Promise<void> {
    this.#view.check()
    if (revision > this.revision) await this.#fresh()
  }

  /** Resolves when the cache has everything that was committed before this call. @throws Fault Unavailable naming etcd */
  async #fresh(): Promise<void> {
    try {
      const newest = await this.#freshness.newest()
      await this.#reached.until(newest)
      this.#trouble = undefined
    } catch (cause) {
      // A watch that lags behind what its member answers is stuck.
      if (!(cause instanceof EtcdFault)) this.#client.leave(cause)
      this.#noteTrouble()
      throw new Fault('Unavailable', `The ${this.#name} does not answer`, { cause })
    }
  }

  /** The newest revision of etcd. Of a key that is not there, so that nothing is read: the answer's header has it. */
  async #ask(): Promise<number> {
    const before = this.revision
    const { revision } = await this.#client.call(methods.range, rangeRequest({ key: this.#keys.missing }), freshMs)
    if (revision >= before) return revision
    throw new Fault(
      'Unavailable',
      `etcd is at revision ${revision}, before ${before}: start Patchbay again if etcd was restored`,
    )
  }

  /** Notices without any request that etcd does not answer, that it does again, and that there is room again. */
  async #lookOften(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await delay(lookMs, signal).catch(() => undefined)
      if (signal.aborted) return
      try {
        await this.#fresh()
        this.#isFull = (await this.#client.call(methods.alarms, alarmsRequest())).includes('NOSPACE')
      } catch (error) {
        if (!signal.aborted) this.#log.debug({ cause: explain(error) }, 'Etcd does not answer')
      }
    }
  }

  #noteWrite(trouble: unknown): void {
    if (trouble === undefined) this.#trouble = undefined
    else if (trouble instanceof EtcdFault && trouble.matter === 'full') this.#isFull = true
    else if (trouble instanceof Fault && trouble.kind === 'Unavailable') this.#noteTrouble()
  }

  #noteTrouble(): void {
    this.#trouble = `The ${this.#name} does not answer: look at its members with etcdctl endpoint health; guests go on meanwhile`
  }

  async *#past(prefix: string, after: number, signal?: AbortSignal): AsyncGenerator<Span, void> {
    const stop = signal ? AbortSignal.any([signal, this.#stop.signal]) : this.#stop.signal
    const onForeign = () => undefined
    try {
      for await (const { events, revision } of this.#client.watch(allKeys, after, stop)) {
        const changes = changesOf(events, { keys: this.#keys, onForeign }).map(({ change }) => change)
        yield { changes: changes.filter(({ row }) => row.key.startsWith(prefix)), upTo: revision }
      }
    } catch (error) {
      throw this.#noteCompaction(error, after)
    }
  }

  /** What to throw for an error of reading history. */
  #noteCompaction(error: unknown, revision: number): unknown {
    if (!(error instanceof EtcdFault && error.matter === 'compacted')) return error
    const text = `Revision ${revision} of the ${this.#name} has been compacted in etcd`
    return new Fault('Expired', text, { cause: error })
  }
}
