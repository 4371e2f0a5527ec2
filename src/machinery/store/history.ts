import type { Store } from './store.ts'

type Compactable = Pick<Store, 'revision' | 'compacted' | 'compact'>

/** Calls back after every `ms` milliseconds until the returned function is called. */
type Every = (ms: number, run: () => void) => () => void

const everyTimer: Every = (ms, run) => {
  const timer = setInterval(run, ms)
  timer.unref()
  return () => clearInterval(timer)
}

export type Retention = Readonly<{
  /** History is kept for that long at least, and at most twice as long, milliseconds. */
  ms: number
  /** Most bytes of history; when there are more, the older half is forgotten at once. */
  bytes: number
  onTrouble: (error: unknown) => void
  every?: Every
}>

/** Changes up to a revision and after the mark before, and their bytes. */
type Mark = { revision: number; bytes: number }

/** Into how many marks the bytes of history are divided: the exactness of what is forgotten early. */
const marksPerLimit = 64

/**
 * Decides when which history is forgotten. By time as kube-apiserver compacts etcd: every interval what was there the time
 * before. By size as well, so that large changes end with 410 for old watches and not with a full disk.
 */
export class History {
  readonly #store: Compactable
  readonly #retention: Retention
  readonly #marks: Mark[]
  readonly stop: () => void

  /** `bytes` of history are there already. */
  constructor(store: Compactable, bytes: number, retention: Retention) {
    this.#store = store
    this.#retention = retention
    this.#marks = [{ revision: store.revision, bytes }]
    let before = store.revision
    this.stop = (retention.every ?? everyTimer)(retention.ms, () => {
      const target = before
      before = store.revision
      if (target > store.compacted) this.#forget(target)
    })
  }

  /** Bytes of history that are kept for watches. */
  get bytes(): number {
    return this.#marks.reduce((sum, { revision, bytes }) => sum + (revision > this.#store.compacted ? bytes : 0), 0)
  }

  /** Counts a change that has been committed. */
  add(revision: number, bytes: number): void {
    const last = this.#marks.at(-1)
    const isFull = !last || last.bytes >= this.#retention.bytes / marksPerLimit
    if (isFull) this.#marks.push({ revision, bytes })
    else {
      last.revision = revision
      last.bytes += bytes
    }
    if (isFull && this.bytes > this.#retention.bytes) this.#forgetHalf()
  }

  #forgetHalf(): void {
    let excess = this.bytes - this.#retention.bytes / 2
    const marks = this.#marks.filter(({ revision }) => revision > this.#store.compacted)
    const target = marks.find(({ bytes }) => {
      excess -= bytes
      return excess <= 0
    })
    if (target) this.#forget(target.revision)
  }

  #forget(revision: number): void {
    this.#store.compact(revision).catch(this.#retention.onTrouble)
    const kept = this.#marks.findIndex((mark) => mark.revision > this.#store.compacted)
    this.#marks.splice(0, kept < 0 ? this.#marks.length : kept)
  }
}
