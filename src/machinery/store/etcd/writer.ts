import { randomBytes } from 'node:crypto'
import { Fault } from '#base/fault.ts'
import type { JsonObject } from '#base/json.ts'
import { delay } from '#base/wait.ts'
import type { EtcdClient } from '../../etcd/client.ts'
import { EtcdFault, isPassing } from '../../etcd/etcd-fault.ts'
import {
  type KeyValue,
  methods,
  type Operation,
  rangeRequest,
  type TxnAnswer,
  txnRequest,
} from '../../etcd/messages.ts'
import type { Followers } from '../followers.ts'
import type { Decision, Row } from '../store.ts'
import type { View } from '../view.ts'
import { opened, sealed } from './envelope.ts'
import type { EtcdKeys } from './keys.ts'
import { requiredRow } from './load.ts'
import type { Reached } from './reached.ts'
import { Turns } from './turns.ts'

/** Time for a write with all its attempts, milliseconds: that of an election, and not much more. */
const patienceMs = 5000
const pauseMs = 50

type Decide = (current: Row | undefined) => Decision | undefined

/** What was seen of a key. A row from the cache may be old: nothing is refused because of it. */
type Seen = Readonly<{ row: Row | undefined; isFresh: boolean }>

/** What a decision came to: a write, or an end without one. */
type Verdict =
  | Readonly<{ do: 'write'; type: Decision['type']; value: JsonObject; text: string; lastWords: string }>
  | Readonly<{ do: 'leave' }>
  | Readonly<{ do: 'refuse'; reason: unknown }>

type Write = Extract<Verdict, { do: 'write' }>

/** A write that is under way. `row` is there as soon as the watch has brought it. */
type Own = { readonly id: string; readonly key: string; readonly write: Write; row?: Row }

type Parts = Readonly<{
  name: string
  client: EtcdClient
  keys: EtcdKeys
  view: View
  followers: Followers
  reached: Reached
  /** Called with the end of each attempt to write: what is the matter, if anything. */
  onOutcome: (trouble: unknown) => void
}>

/**
 * Changes keys by transactions that expect the revision they were decided over:
 *
 *     decide over the cached row ─ write ─▶ transaction ─ succeeded ─▶ wait until the watch has it ─▶ done
 *        ▲                        │            ▲  │  └──── lost: its other branch has read the newest row ─┐
 *        │                        │            └──┘ no clear answer: the same again, at another member     │
 *        │                        └ refuse, leave ─▶ read the newest row; unless it is the same one: ──────┤
 *        └─────────────────────────────────────────────────────────────────────────────────────────────────┘
 */
export class EtcdWriter {
  readonly #parts: Parts
  readonly #turns = new Turns()
  readonly #own = new Map<string, Own>()
  readonly #process = randomBytes(9).toString('base64url')
  #count = 0

  constructor(parts: Parts) {
    this.#parts = parts
  }

  update(key: string, decide: Decide): Promise<Row | undefined> {
    return this.#turns.run(key, () => this.#update(key, decide))
  }

  /** Whether a write of the key is under way, whose outcome its followers get from here. */
  isBusy(key: string): boolean {
    return this.#turns.isBusy(key)
  }

  /** The value of a write of this process that is under way. */
  valueOf(id: string): JsonObject | undefined {
    return this.#own.get(id)?.write.value
  }

  /** The watch has brought a change. */
  noteFed(id: string, row: Row): void {
    const own = this.#own.get(id)
    if (own) own.row = row
  }

  /** Calls back with what was decided and is not known to be written, by key. */
  pending(tell: (key: string, row: Row | undefined, text: string) => void): void {
    for (const own of this.#own.values()) tell(own.key, decidedRow(own), own.write.text)
  }

  /** Resolves when all that has been accepted is done. */
  done(): Promise<void> {
    return this.#turns.done()
  }

  async #update(key: string, decide: Decide): Promise<Row | undefined> {
    let seen: Seen = { row: this.#parts.view.rows.get(key), isFresh: false }
    for (;;) {
      const verdict = judge(seen.row, decide)
      if (verdict.do === 'write') {
        const end = await this.#write(key, seen.row, verdict)
        if ('written' in end) return end.written
        seen = { row: end.found, isFresh: true }
      } else {
        const now = seen.isFresh ? seen.row : await this.#read(key)
        if (now?.revision === seen.row?.revision) return this.#end(seen.row, verdict)
        seen = { row: now, isFresh: true }
      }
    }
  }

  async #end(row: Row | undefined, verdict: Verdict): Promise<Row | undefined> {
    if (row) await this.#fed(row.revision)
    if (verdict.do === 'refuse') throw verdict.reason
    return row
  }

  /** One write, until it is known to be done or not. */
  async #write(key: string, current: Row | undefined, write: Write) {
    const own: Own = { id: `${this.#process}-${(++this.#count).toString(36)}`, key, write }
    const { view, followers, onOutcome } = this.#parts
    this.#own.set(own.id, own)
    followers.tell(key, decidedRow(own), write.text)
    try {
      const end = await this.#transact(key, current, write, own)
      if ('revision' in end) {
        onOutcome(undefined)
        await this.#fed(end.revision)
        this.#tellNewer(key, write.type === 'put' ? end.revision : undefined, end.revision)
        return { written: own.row ?? { key, revision: end.revision, value: write.value } }
      }
      followers.tell(key, end.found)
      return end
    } catch (error) {
      onOutcome(error)
      followers.tell(key, view.rows.get(key))
      throw explained(error, key, write.text, this.#parts.name)
    } finally {
      this.#own.delete(own.id)
    }
  }

  async #transact(key: string, current: Row | undefined, write: Write, own: Own) {
    const end = performance.now() + patienceMs
    let isUnclear = false
    let withWords = true
    for (;;) {
      try {
        const answer = await this.#parts.client.once(methods.txn, this.#request(key, current, write, own.id, withWords))
        if (answer.succeeded) return { revision: answer.revision }
        return await this.#afterLoss(answer, own, isUnclear)
      } catch (error) {
        if (!(error instanceof EtcdFault)) throw error
        if (error.matter === 'full') {
          // A full etcd takes no put, and last words are one. What it deletes gives room.
          if (write.type === 'put' || !withWords) return await this.#unlessDone(key, own, error)
          withWords = false
          isUnclear = true
          continue
        }
        isUnclear ||= error.isUnclear
        const isOver = performance.now() + pauseMs >= end
        if (isOver && isUnclear) throw new Fault('Unavailable', unclearText, { cause: error })
        if (isOver || !isPassing(error)) throw error
        await delay(pauseMs)
      }
    }
  }

  /** The write that uses the quota up is refused, and carried out all the same; those after it are not. @throws the refusal */
  async #unlessDone(key: string, own: Own, refusal: EtcdFault) {
    const { client, keys } = this.#parts
    const { kvs, revision } = await client.call(methods.range, rangeRequest({ key: keys.object(key) }))
    const end = await this.#afterLoss({ revision, succeeded: false, found: kvs }, own, true)
    if ('revision' in end) return end
    throw refusal
  }

  /** The expected revision was not there: because of another writer, or because an attempt with no answer did it after all. */
  async #afterLoss(answer: TxnAnswer, own: Own, isUnclear: boolean) {
    const [kv] = answer.found
    if (kv && opened(kv.value).id === own.id) return { revision: kv.modRevision }
    // Another may have changed it again since: the watch has seen every change.
    if (isUnclear) await this.#parts.reached.until(answer.revision)
    if (own.row) return { revision: own.row.revision }
    return { found: this.#rowOf(kv) }
  }

  #request(key: string, current: Row | undefined, write: Write, id: string, withWords: boolean): Buffer {
    const { keys } = this.#parts
    const at = keys.object(key)
    const words: Operation[] = withWords ? [{ put: keys.last(key), value: sealed({ id, text: write.lastWords }) }] : []
    const success: Operation[] =
      write.type === 'put' ? [{ put: at, value: sealed({ id, text: write.text }) }] : [...words, { remove: at }]
    return txnRequest({
      expect: [{ key: at, modRevision: current?.revision ?? 0 }],
      success,
      failure: [{ range: at }],
    })
  }

  /** The newest row of a key, whatever the cache has. */
  async #read(key: string): Promise<Row | undefined> {
    const { client, keys, name } = this.#parts
    try {
      const answer = await client.call(methods.range, rangeRequest({ key: keys.object(key) }))
      return this.#rowOf(answer.kvs[0])
    } catch (cause) {
      this.#parts.onOutcome(cause)
      throw new Fault('Unavailable', `Reading ${key} from the ${name} failed`, { cause })
    }
  }

  #rowOf(kv: KeyValue | undefined): Row | undefined {
    return kv && requiredRow(this.#parts.keys, kv)
  }

  /** What was written is in the cache when its writer gets the answer, unless the watch is stuck: it is committed all the same. */
  async #fed(revision: number): Promise<void> {
    await this.#parts.reached.until(revision).catch(() => undefined)
  }

  /** Reports what another server made of a key while a write of it was under way here. */
  #tellNewer(key: string, written: number | undefined, revision: number): void {
    const { view, followers } = this.#parts
    const row = view.rows.get(key)
    if (view.revision >= revision && row?.revision !== written) followers.tell(key, row)
  }
}

/** What a key holds once its write is done. It has no revision yet. */
function decidedRow({ key, write }: Own): Row | undefined {
  return write.type === 'put' ? { key, revision: 0, value: write.value } : undefined
}

const unclearText = 'etcd did not say whether it was carried out'

function judge(current: Row | undefined, decide: Decide): Verdict {
  try {
    const decision = decide(current)
    const value = decision?.value ?? current?.value
    if (!decision || !value || (decision.type === 'delete' && !current)) return { do: 'leave' }
    const text = JSON.stringify(value)
    return { do: 'write', type: decision.type, value, text, lastWords: decision.value ? text : '' }
  } catch (reason) {
    return { do: 'refuse', reason }
  }
}

function explained(error: unknown, key: string, text: string, name: string): unknown {
  if (!(error instanceof Fault)) return error
  if (error.kind === 'TooLarge') {
    const bytes = Buffer.byteLength(text)
    const limit = 'etcd takes (its --max-request-bytes, 1.5 MiB unless it was set)'
    return new Fault('TooLarge', `Writing ${key} is refused: its ${bytes} bytes are more than ${limit}`, {
      cause: error,
    })
  }
  if (error instanceof EtcdFault && error.matter === 'full')
    return new Fault('Unavailable', `Writing ${key} is refused. ${error.message}`, { cause: error })
  return new Fault('Unavailable', `Writing ${key} to the ${name} failed`, { cause: error })
}
