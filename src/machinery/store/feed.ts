import { Fault } from '#base/fault.ts'
import { bucketOf } from './rows.ts'
import type { Change } from './store.ts'

/** A change and the bytes its value has as JSON, which stand for what it takes in memory. */
export type Sized = Readonly<{ change: Change; bytes: number }>

/** How much is kept: changes by number, and by bytes. */
export type Bound = Readonly<{ count: number; bytes: number }>

/** One live watcher: the changes it has not read yet, up to a limit. */
export class Reader {
  readonly prefix: string
  #unread: Change[] = []
  #bytes = 0
  #fault: Fault | undefined
  #wake: (() => void) | undefined

  constructor(prefix: string) {
    this.prefix = prefix
  }

  /** Takes one more change; false when that is one too many and the reader has been cut. */
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
 * The newest changes and the readers that wait for the next ones. Whoever is behind what is kept here reads the journal
 * until it has caught up, then joins: joining hands over what it lacks and registers it in one synchronous step, so that
 * nothing is seen twice and nothing is missed.
 */
export class Feed {
  readonly #keep: Bound
  readonly #maxUnread: Bound
  readonly #readers = new Map<string, Set<Reader>>()
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

  /** Registers a reader whose first batch is what it lacks. `after` must not be before `start`. */
  join(prefix: string, after: number): Readonly<{ reader: Reader; missed: readonly Change[] }> {
    const reader = new Reader(prefix)
    const bucket = bucketOf(prefix)
    const readers = this.#readers.get(bucket)
    if (readers) readers.add(reader)
    else this.#readers.set(bucket, new Set([reader]))
    const missed = this.#recent.map(({ change }) => change)
    return { reader, missed: missed.filter(({ row }) => row.revision > after && row.key.startsWith(prefix)) }
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

  #offer(bucket: string, sized: Sized): void {
    for (const reader of this.#readers.get(bucket) ?? []) {
      if (!sized.change.row.key.startsWith(reader.prefix)) continue
      if (!reader.push(sized, this.#maxUnread)) this.leave(reader)
    }
  }
}
