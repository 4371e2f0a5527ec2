import { Fault } from '#base/fault.ts'
import { bucketOf } from './rows.ts'
import type { Change } from './store.ts'

/** One live watcher: the changes it has not read yet, up to a limit. */
export class Reader {
  readonly prefix: string
  #unread: Change[] = []
  #fault: Fault | undefined
  #wake: (() => void) | undefined

  constructor(prefix: string) {
    this.prefix = prefix
  }

  /** Takes one more change; false when that is one too many and the reader has been cut. */
  push(change: Change, limit: number): boolean {
    if (this.#unread.length < limit) {
      this.#unread.push(change)
      this.wake()
      return true
    }
    this.fail(new Fault('Expired', `The watch of ${this.prefix} fell more than ${limit} changes behind`))
    return false
  }

  /** Forgets what was not read, so that it costs no more memory; the next `take` throws. */
  fail(fault: Fault): void {
    this.#unread = []
    this.#fault = fault
    this.wake()
  }

  take(): readonly Change[] {
    if (this.#fault) throw this.#fault
    const unread = this.#unread
    if (unread.length > 0) this.#unread = []
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
 * The newest changes and the readers that wait for the next ones. Whoever is behind what is kept here reads the journal
 * until it has caught up, then joins: joining hands over what it lacks and registers it in one synchronous step, so that
 * nothing is seen twice and nothing is missed.
 */
export class Feed {
  readonly #keep: number
  readonly #maxUnread: number
  readonly #readers = new Map<string, Set<Reader>>()
  #recent: Change[] = []
  #start: number

  constructor(start: number, options: Readonly<{ keep: number; maxUnread: number }>) {
    this.#start = start
    this.#keep = options.keep
    this.#maxUnread = options.maxUnread
  }

  /** Every change after this revision is still here. */
  get start(): number {
    return this.#start
  }

  publish(changes: readonly Change[]): void {
    for (const change of changes) {
      const bucket = bucketOf(change.row.key)
      this.#recent.push(change)
      this.#offer(bucket, change)
      if (bucket) this.#offer('', change)
    }
    if (this.#recent.length <= this.#keep) return
    // Half at a time, so that the copy costs next to nothing per change.
    const dropped = this.#recent.length - Math.ceil(this.#keep / 2)
    this.#start = this.#recent[dropped - 1]!.row.revision
    this.#recent = this.#recent.slice(dropped)
  }

  /** Registers a reader whose first batch is what it lacks. `after` must not be before `start`. */
  join(prefix: string, after: number): Readonly<{ reader: Reader; missed: readonly Change[] }> {
    const reader = new Reader(prefix)
    const bucket = bucketOf(prefix)
    const readers = this.#readers.get(bucket)
    if (readers) readers.add(reader)
    else this.#readers.set(bucket, new Set([reader]))
    const missed = this.#recent.filter(({ row }) => row.revision > after && row.key.startsWith(prefix))
    return { reader, missed }
  }

  leave(reader: Reader): void {
    const bucket = bucketOf(reader.prefix)
    const readers = this.#readers.get(bucket)
    readers?.delete(reader)
    if (readers?.size === 0) this.#readers.delete(bucket)
  }

  /** Ends every watch with `fault`. */
  end(fault: Fault): void {
    for (const readers of this.#readers.values()) for (const reader of readers) reader.fail(fault)
    this.#readers.clear()
  }

  #offer(bucket: string, change: Change): void {
    for (const reader of this.#readers.get(bucket) ?? []) {
      if (!change.row.key.startsWith(reader.prefix)) continue
      if (!reader.push(change, this.#maxUnread)) this.leave(reader)
    }
  }
}
