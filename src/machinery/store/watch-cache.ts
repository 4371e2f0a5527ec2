import { Fault } from '#base/fault.ts'
import { bucketOf } from './rows.ts'
import type { Change } from './store.ts'

/** A change and the bytes its value has as JSON, which stand for what it takes in memory. */
export type Sized = Readonly<{ change: Change; bytes: number }>

/** How much is kept: changes by number, and by bytes. */
export type Bound = Readonly<{ count: number; bytes: number }>

/** One live watcher: the changes it has not read yet, up to a limit. */
export class Watcher {
  readonly prefix: string
  #unread: Change[] = []
  #bytes = 0
  #fault: Fault | undefined
  #wake: (() => void) | undefined

  constructor(prefix: string) {
    this.prefix = prefix
  }

  /** Takes one more change; false when that is one too many and the watcher has been cut. */
  push({ change, bytes }: Sized, limit: Bound): boolean {
    // One change is always taken, however large: it is in memory anyway.
    if (this.#unread.length === 0 || (this.#unread.length < limit.count && this.#bytes + bytes <= limit.bytes)) {
      this.#unread.push(change)
      this.#bytes += bytes
      this.wake()
      return true
    }
    const limits = `${limit.count} changes or ${limit.bytes} bytes`
    this.fail(new Fault('Expired', `The watch of ${this.prefix} fell more than ${limits} behind`))
    return false
  }

  /** Forgets what was not read, so that it costs no more memory; the next `take` throws. */
  fail(fault: Fault): void {
    this.#unread = []
    this.#bytes = 0
    this.#fault = fault
    this.wake()
  }

  take(): readonly Change[] {
    if (this.#fault) throw this.#fault
    const unread = this.#unread
    if (unread.length > 0) this.#unread = []
    this.#bytes = 0
    return unread
  }

  /** Resolves at the next `wake`, which is whenever there is a reason to look again. */
  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  wake(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }
}

/**
 * The newest changes and the watchers that wait for the next ones. A watch that is behind the cache reads the backend until
 * it has caught up, then subscribes: subscribing returns the changes it lacks and registers it in one synchronous step, so
 * that none is seen twice or missed.
 */
export class WatchCache {
  readonly #keep: Bound
  readonly #maxUnread: Bound
  readonly #watchers = new Map<string, Set<Watcher>>()
  #recent: Sized[] = []
  #bytes = 0
  #start: number

  constructor(start: number, options: Readonly<{ keep: Bound; maxUnread: Bound }>) {
    this.#start = start
    this.#keep = options.keep
    this.#maxUnread = options.maxUnread
  }

  /** Bytes of the changes that are kept. */
  get bytes(): number {
    return this.#bytes
  }

  /** Every change after this revision is still here. */
  get start(): number {
    return this.#start
  }

  publish(changes: readonly Sized[]): void {
    for (const sized of changes) {
      const bucket = bucketOf(sized.change.row.key)
      this.#recent.push(sized)
      this.#bytes += sized.bytes
      this.#offer(bucket, sized)
      if (bucket) this.#offer('', sized)
    }
    if (this.#recent.length > this.#keep.count || this.#bytes > this.#keep.bytes) this.#drop()
  }

  /** Drops the older half, so that the copy costs next to nothing per change. */
  #drop(): void {
    let dropped = 0
    const isTooMuch = () =>
      this.#recent.length - dropped > Math.ceil(this.#keep.count / 2) || this.#bytes > this.#keep.bytes / 2
    for (const { change, bytes } of this.#recent) {
      if (!isTooMuch()) break
      dropped++
      this.#bytes -= bytes
      this.#start = change.row.revision
    }
    this.#recent = this.#recent.slice(dropped)
  }

  /** Registers a watcher whose first batch is what it lacks. `after` must not be before `start`. */
  subscribe(prefix: string, after: number): Readonly<{ watcher: Watcher; missed: readonly Change[] }> {
    const watcher = new Watcher(prefix)
    const bucket = bucketOf(prefix)
    const watchers = this.#watchers.get(bucket)
    if (watchers) watchers.add(watcher)
    else this.#watchers.set(bucket, new Set([watcher]))
    return { watcher, missed: this.changes(prefix, after) }
  }

  /** The changes under a prefix after a revision, which must not be before `start`. */
  changes(prefix: string, after: number): readonly Change[] {
    const recent = this.#recent.map(({ change }) => change)
    return recent.filter(({ row }) => row.revision > after && row.key.startsWith(prefix))
  }

  unsubscribe(watcher: Watcher): void {
    const bucket = bucketOf(watcher.prefix)
    const watchers = this.#watchers.get(bucket)
    watchers?.delete(watcher)
    if (watchers?.size === 0) this.#watchers.delete(bucket)
  }

  /** Ends every watch with `fault`. */
  end(fault: Fault): void {
    for (const watchers of this.#watchers.values()) for (const watcher of watchers) watcher.fail(fault)
    this.#watchers.clear()
  }

  #offer(bucket: string, sized: Sized): void {
    for (const watcher of this.#watchers.get(bucket) ?? []) {
      if (!sized.change.row.key.startsWith(watcher.prefix)) continue
      if (!watcher.push(sized, this.#maxUnread)) this.unsubscribe(watcher)
    }
  }
}
