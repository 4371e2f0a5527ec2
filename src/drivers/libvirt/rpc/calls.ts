import { Fault } from '#base/fault.ts'
import type { Frame } from './wire.ts'

/** Options of one call. */
export type CallOptions = Readonly<{ timeoutMs?: number; signal?: AbortSignal }>

/** A timeout for calls that end when the guest does, such as a migration. */
export const forever = Number.POSITIVE_INFINITY

/** setTimeout takes 31 bits; longer times are infinite. */
const longestTimerMs = 2 ** 31 - 1

/**
 * libvirtd stops reading from a connection with five outstanding calls, so that even a quick call would wait for a slow one. The
 * limit is one below.
 */
export const callsInFlight = 4

type Entry = Readonly<{ serial: number; bytes: Buffer; settle: (frame: Frame) => void; fail: (cause: unknown) => void }>

/** One call: `what` completes the sentence "libvirt cannot …". */
export type Call<R> = Readonly<{
  encode: (serial: number) => Buffer
  decode: (frame: Frame) => R
  what: string
  timeoutMs: number
  signal: AbortSignal | undefined
}>

/** The calls of one connection: sent ones, queued ones, and abandoned ones. */
export class Calls {
  readonly #send: (bytes: Buffer) => void
  readonly #sent = new Map<number, Entry>()
  /** Abandoned calls: libvirt still works on them, so each still counts. */
  readonly #abandoned = new Set<number>()
  #waiting: Entry[] = []
  #serial = 0

  constructor(send: (bytes: Buffer) => void) {
    this.#send = send
  }

  /** Number of outstanding and queued calls. */
  get load(): number {
    return this.#sent.size + this.#abandoned.size + this.#waiting.length
  }

  start<R>(call: Call<R>): Promise<R> {
    const { what, timeoutMs, signal } = call
    return new Promise<R>((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      this.#serial += 1
      const serial = this.#serial
      const bytes = call.encode(serial)
      const giveUp = (reason: unknown) => {
        done()
        if (this.#sent.delete(serial)) this.#abandoned.add(serial)
        this.#waiting = this.#waiting.filter((entry) => entry.serial !== serial)
        reject(reason)
      }
      const stop = () => giveUp(signal?.reason)
      const late = () => giveUp(new Fault('Timeout', `libvirt did not ${what} within ${timeoutMs} ms`))
      const timer = timeoutMs > longestTimerMs ? undefined : setTimeout(late, timeoutMs)
      signal?.addEventListener('abort', stop, { once: true })
      const done = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', stop)
      }
      const settle = (frame: Frame) => {
        done()
        try {
          resolve(call.decode(frame))
        } catch (fault) {
          reject(fault)
        }
      }
      const fail = (cause: unknown) => {
        done()
        reject(gone(what, cause))
      }
      this.#waiting.push({ serial, bytes, settle, fail })
      this.#pump()
    })
  }

  /** Handles a reply; one to an abandoned call only lowers the number of outstanding calls. */
  settle(frame: Frame): void {
    const { serial } = frame.header
    const entry = this.#sent.get(serial)
    this.#sent.delete(serial)
    this.#abandoned.delete(serial)
    entry?.settle(frame)
    this.#pump()
  }

  /** Rejects all calls. */
  failAll(cause: unknown): void {
    const entries = [...this.#sent.values(), ...this.#waiting]
    this.#sent.clear()
    this.#abandoned.clear()
    this.#waiting = []
    for (const { fail } of entries) fail(cause)
  }

  #pump(): void {
    while (this.#sent.size + this.#abandoned.size < callsInFlight) {
      const entry = this.#waiting.shift()
      if (!entry) return
      this.#sent.set(entry.serial, entry)
      this.#send(entry.bytes)
    }
  }
}

/** Each pending call gets an error of its own, so that its sentence is about that call. */
export function gone(what: string, cause: unknown): Fault {
  const kind = cause instanceof Fault && cause.kind === 'Aborted' ? 'Aborted' : 'Unavailable'
  return new Fault(kind, `libvirt was gone before it could ${what}`, { cause })
}
