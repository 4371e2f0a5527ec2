import { type CallOptions, callsInFlight } from './calls.ts'
import type { Connection } from './connection.ts'
import type { Procedure } from './procedures.ts'

/**
 * Places for slow calls: `workerLimit` times four. Below the number of threads our libvirtd has (daemon/config.ts), so
 * that a host full of guests whose agents hang still has a thread for quick calls.
 */
const workerLimit = 3

/** Opening one costs about 2 ms, keeping one costs libvirtd a little memory. */
const defaultIdleMs = 30_000

type Worker = {
  readonly opening: Promise<Connection>
  connection?: Connection
  assigned: number
  idle?: NodeJS.Timeout
}

/** Connections for calls that may take long. They are opened when needed and closed when idle. */
export class Pool {
  readonly #open: () => Promise<Connection>
  readonly #idleMs: number
  #workers: Worker[] = []

  constructor(open: () => Promise<Connection>, idleMs: number = defaultIdleMs) {
    this.#open = open
    this.#idleMs = idleMs
  }

  /** How many connections there are now. */
  get size(): number {
    return this.#workers.length
  }

  /** As Connection.call, on whichever connection has room. */
  async call<A, R>(procedure: Procedure<A, R>, args: A, what: string, options: CallOptions): Promise<R> {
    const worker = this.#pick()
    worker.assigned += 1
    clearTimeout(worker.idle)
    try {
      const connection = await worker.opening
      return await connection.call(procedure, args, what, options)
    } finally {
      worker.assigned -= 1
      this.#rest(worker)
    }
  }

  /** Closes every connection; pending calls reject. */
  close(): void {
    for (const worker of this.#workers) this.#retire(worker)
  }

  #pick(): Worker {
    const best = this.#workers.toSorted((a, b) => load(a) - load(b))[0]
    if (best && (load(best) < callsInFlight || this.#workers.length >= workerLimit)) return best
    return this.#add()
  }

  #add(): Worker {
    const opening = this.#open()
    const worker: Worker = { opening, assigned: 0 }
    this.#workers.push(worker)
    opening.then(
      (connection) => {
        worker.connection = connection
        return connection.closed.then(() => this.#forget(worker))
      },
      // Whoever waits for it gets the error; the next call tries anew.
      () => this.#forget(worker),
    )
    return worker
  }

  /** A worker whose calls are all over is closed after a while. */
  #rest(worker: Worker): void {
    if (load(worker) === 0) worker.idle = setTimeout(() => this.#retire(worker), this.#idleMs).unref()
  }

  #retire(worker: Worker): void {
    this.#forget(worker)
    // A worker that is still being opened is closed then; an error of opening it is the business of its callers.
    worker.opening.then(
      (connection) => connection.close(),
      () => undefined,
    )
  }

  #forget(worker: Worker): void {
    clearTimeout(worker.idle)
    this.#workers = this.#workers.filter((other) => other !== worker)
  }
}

function load(worker: Worker): number {
  return Math.max(worker.assigned, worker.connection?.load ?? 0)
}
