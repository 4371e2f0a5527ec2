import type { Kind } from '#apis/meta/object.ts'
import type { JsonObject } from '#base/json.ts'
import type { Store } from '../store/store.ts'
import { type Doc, isKept, prefixOf } from './doc.ts'
import type { Served, User } from './strategy.ts'

/** A write about to be decided: last it is checked against the room that is left. */
export type Taking = Readonly<{
  kind: Kind
  next: Doc
  current: Doc | undefined
  /** Bytes of `next` as it would be stored. */
  bytes: number
  user: User
  subresource?: 'status' | undefined
}>

/** Why a write takes more than its namespace may have; undefined when it does not. Must neither wait nor throw. */
export type Ration = (write: Taking) => string | undefined

/** How much of what, by name. */
type Amounts = Readonly<Record<string, bigint>>

/** What one object takes. */
type Share = Readonly<{ bytes: number; amounts: Amounts }>

/** What all objects of a namespace take. */
type Sum = { objects: number; bytes: number; readonly amounts: Map<string, bigint> }

/** A change of what a namespace takes. `isLess`: of something less than before. */
export type UsageListener = (namespace: string, isLess: boolean) => void

/**
 * The usage of each namespace, updated with the store: a decision within `Store.update` sees all writes decided before, so
 * that concurrent writes cannot take the same room twice. It is not stored.
 */
export class Usage {
  readonly #weighs = new Map<string, (object: Doc) => Amounts>()
  readonly #shares = new Map<string, Share>()
  readonly #sums = new Map<string, Sum>()
  readonly #listeners: UsageListener[] = []

  /** Counts objects of the namespaced kinds; what each takes beside its bytes, the strategies say (`amounts`). */
  constructor(store: Store, served: readonly Served[]) {
    for (const { kind, strategy, conversion } of served)
      if (kind.namespaced && !conversion)
        this.#weighs.set(prefixOf(kind, undefined), strategy.amounts ?? (() => nothing))
    store.onDecided((key, value, bytes) => this.#set(key, value, bytes))
  }

  /** Objects and bytes of a namespace. */
  of(namespace: string): Readonly<{ objects: number; bytes: number }> {
    return this.#sums.get(namespace) ?? { objects: 0, bytes: 0 }
  }

  /** How much of an amount all objects of a namespace take together. */
  amountOf(namespace: string, name: string): bigint {
    return this.#sums.get(namespace)?.amounts.get(name) ?? 0n
  }

  /** What an object would take beside its bytes. */
  weigh(kind: Kind, object: Doc): Amounts {
    return this.#weighs.get(prefixOf(kind, undefined))?.(object) ?? nothing
  }

  /** Bytes of the object under a key of the store, and what else it takes. */
  shareOf(key: string): Share | undefined {
    return this.#shares.get(key)
  }

  /** Listeners must neither wait nor throw: they are called while a write is decided. */
  onChange(listener: UsageListener): void {
    this.#listeners.push(listener)
  }

  #set(key: string, value: JsonObject | undefined, bytes: number): void {
    const namespaceAt = key.indexOf('/', key.indexOf('/', 1) + 1) + 1
    const weigh = this.#weighs.get(key.slice(0, namespaceAt))
    if (!weigh) return
    const namespace = key.slice(namespaceAt, key.indexOf('/', namespaceAt))
    const before = this.#shares.get(key)
    const now = value && { bytes, amounts: isKept(value) ? weigh(value) : nothing }
    if (now) this.#shares.set(key, now)
    else this.#shares.delete(key)
    const sum = this.#sums.get(namespace) ?? { objects: 0, bytes: 0, amounts: new Map<string, bigint>() }
    this.#sums.set(namespace, sum)
    if (before) add(sum, before, -1)
    if (now) add(sum, now, 1)
    if (sum.objects === 0) this.#sums.delete(namespace)
    if (before?.amounts === now?.amounts) return
    const isLess = Object.entries(before?.amounts ?? nothing).some(([name, was]) => was > (now?.amounts[name] ?? 0n))
    for (const listener of this.#listeners) listener(namespace, isLess)
  }
}

const nothing: Amounts = Object.freeze({})

function add(sum: Sum, { bytes, amounts }: Share, sign: 1 | -1): void {
  sum.objects += sign
  sum.bytes += sign * bytes
  for (const [name, amount] of Object.entries(amounts))
    sum.amounts.set(name, (sum.amounts.get(name) ?? 0n) + BigInt(sign) * amount)
}
