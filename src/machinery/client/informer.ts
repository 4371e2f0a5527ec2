import type { ApiObject, Kind, Stored } from '#apis/meta/object.ts'
import { explain, faultKind } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { delay } from '#base/wait.ts'
import type { Client, Key, Scope, WatchEvent } from './client.ts'
import { type Indexes, InformerCache, type Listener } from './informer-cache.ts'

/** A local cache of all objects of a kind, kept up to date. Its objects are shared: never change them. */
export interface Informer<T extends ApiObject, I extends string = string> {
  /** Resolves when the cache is complete for the first time. Stays open when the signal aborts before. */
  readonly synced: Promise<void>
  get(key: Key): Stored<T> | undefined
  /** In no particular order. */
  list(): readonly Stored<T>[]
  /** The objects that have `value` in the index `name`. */
  indexed(name: I, value: string): readonly Stored<T>[]
  /**
   * Calls the listener for every change, in order, after the cache shows it; first for every object in the cache, as an
   * addition. An object deleted and recreated unseen is reported as both. Returns what ends it.
   */
  onChange(listener: Listener<Stored<T>>): () => void
}

export type InformerOptions<T extends ApiObject, I extends string> = Readonly<{
  log: Log
  /** Ends the informer; the cache stays as it is. */
  signal: AbortSignal
  indexes?: Indexes<Stored<T>, I>
  /** How to wait; tests pass their own. */
  pause?: (ms: number, signal: AbortSignal) => Promise<void>
}>

/** The first wait after a failure, milliseconds; doubles up to the second. */
const firstRetryMs = 50
const lastRetryMs = 30_000

/** Lists objects once and watches them from there, until the signal aborts. */
export function makeInformer<T extends ApiObject, I extends string = never>(
  client: Client,
  kind: Kind<T>,
  scope: Scope,
  options: InformerOptions<T, I>,
): Informer<T, I> {
  const informer = new Reflector(client, kind, scope, options)
  void informer.run()
  return informer
}

/** Calls the listener for every change, as `onChange` does, with the current or else the last object. Returns what ends it. */
export function onAnyChange<T extends ApiObject>(
  informer: Pick<Informer<T>, 'onChange'>,
  listener: (object: Stored<T>, isThere: boolean) => void,
): () => void {
  return informer.onChange((current, previous) => {
    const object = current ?? previous
    if (object) listener(object, current !== undefined)
  })
}

/**
 *     list ─▶ watch ─ ended ─▶ watch again from the last resourceVersion
 *      ▲        ├──── Expired ─▶ list again
 *      └─ wait ─┴──── any other fault: wait, then resume
 */
class Reflector<T extends ApiObject, I extends string> implements Informer<T, I> {
  readonly synced: Promise<void>
  readonly #client: Client
  readonly #kind: Kind<T>
  readonly #scope: Scope
  readonly #log: Log
  readonly #signal: AbortSignal
  readonly #pause: (ms: number, signal: AbortSignal) => Promise<void>
  readonly #cache: InformerCache<Stored<T>, I>
  readonly #listeners = new Set<Listener<Stored<T>>>()
  readonly #becameSynced: () => void
  /** Where to resume; undefined when a list comes next. */
  #resourceVersion: string | undefined
  #failures = 0
  #isTroubled = false
  /** When the watch that is open, or has just ended, was opened. */
  #watchingSince: number | undefined

  constructor(client: Client, kind: Kind<T>, scope: Scope, options: InformerOptions<T, I>) {
    this.#client = client
    this.#kind = kind
    this.#scope = scope
    this.#log = options.log.child({ informer: kind.plural })
    this.#signal = options.signal
    this.#pause = options.pause ?? delay
    // Nothing indexed means that `I` is never.
    const indexes = options.indexes ?? ({} as Indexes<Stored<T>, I>)
    this.#cache = new InformerCache(indexes, (current, previous) => {
      for (const listener of this.#listeners) this.#notify(listener, current, previous)
    })
    const { promise, resolve } = Promise.withResolvers<void>()
    this.synced = promise
    this.#becameSynced = resolve
  }

  get(key: Key): Stored<T> | undefined {
    return this.#cache.get(key)
  }

  list(): readonly Stored<T>[] {
    return this.#cache.list()
  }

  indexed(name: I, value: string): readonly Stored<T>[] {
    return this.#cache.indexed(name, value)
  }

  onChange(listener: Listener<Stored<T>>): () => void {
    for (const object of this.#cache.list()) this.#notify(listener, object, undefined)
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async run(): Promise<void> {
    while (!this.#signal.aborted) {
      let waitMs = 0
      try {
        await this.#listAndWatch()
        // The server ended the watch, perhaps because it shuts down: back off, in case it does so each time.
        waitMs = firstRetryMs
      } catch (error) {
        waitMs = this.#fail(error)
      }
      if (this.#signal.aborted) return
      // Rejects only because of the signal, which the loop checks.
      await this.#pause(waitMs, this.#signal).catch(() => {})
    }
  }

  async #listAndWatch(): Promise<void> {
    if (this.#resourceVersion === undefined) {
      const { items, resourceVersion } = await this.#client.list(this.#kind, this.#scope)
      if (this.#signal.aborted) return
      this.#cache.replace(items)
      this.#resourceVersion = resourceVersion
      this.#becameSynced()
    }
    this.#watchingSince = performance.now()
    const batches = this.#client.watch(this.#kind, this.#resourceVersion, this.#scope, this.#signal)
    for await (const batch of batches) {
      if (this.#signal.aborted) return
      for (const event of batch) this.#apply(event)
      this.#recover()
    }
  }

  #apply(event: WatchEvent<T>): void {
    if (event.type === 'BOOKMARK') {
      this.#resourceVersion = event.resourceVersion
      return
    }
    if (event.type === 'DELETED') this.#cache.delete(event.object)
    else this.#cache.put(event.object)
    this.#resourceVersion = event.object.metadata.resourceVersion
  }

  /** Handles a failure: returns how long to back off. */
  #fail(error: unknown): number {
    if (this.#signal.aborted) return 0
    // A watch that held that long was a good one, even if nothing happened.
    if (this.#watchingSince !== undefined && performance.now() - this.#watchingSince > lastRetryMs) this.#failures = 0
    this.#watchingSince = undefined
    const failures = this.#failures++
    // A list cures it at once; if not, the next failures back off like any other.
    const isExpired = faultKind(error) === 'Expired'
    if (isExpired) this.#resourceVersion = undefined
    const waitMs = isExpired && failures === 0 ? 0 : Math.min(firstRetryMs * 2 ** failures, lastRetryMs)
    const isNews = !isExpired && !this.#isTroubled
    this.#isTroubled ||= isNews
    this.#log[isNews ? 'warn' : 'debug']({ error: explain(error), retryMs: waitMs }, 'List and watch failed')
    return waitMs
  }

  #recover(): void {
    this.#failures = 0
    if (this.#isTroubled) this.#log.info({}, 'List and watch works again')
    this.#isTroubled = false
  }

  #notify(listener: Listener<Stored<T>>, current: Stored<T> | undefined, previous: Stored<T> | undefined): void {
    try {
      listener(current, previous)
    } catch (error) {
      // The other listeners must still be called, and the cache must go on.
      this.#log.error({ object: (current ?? previous)?.metadata.name, error: explain(error) }, 'Listener failed')
    }
  }
}
