import { type CallOptions, callsInFlight } from './calls.ts'
import type { Connection } from './connection.ts'
import type { Procedure } from './procedures.ts'

/**
 * Most slow calls are `workerLimit` times four: fewer than the threads of libvirtd (daemon/config.ts), so that quick calls always
 * find a thread, even when the agents of all guests hang.
 */
const workerLimit = 3

/** How long an idle connection is kept, milliseconds. Opening one takes about 2 ms; an idle one costs libvirtd some memory. */
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

  /** Number of connections. */
  get size(): number {
    return this.#workers.length
  }

  /** Like Connection.call, on any connection with room. */
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
      // Its callers get the error; the next call tries again.
      () => this.#forget(worker),
    )
    return worker
  }

  /** Closes a worker some time after its last call has ended. */
  #rest(worker: Worker): void {
    if (load(worker) === 0) worker.idle = setTimeout(() => this.#retire(worker), this.#idleMs).unref()
  }

  #retire(worker: Worker): void {
    this.#forget(worker)
    // A worker that is still being opened is closed once it is open; its callers handle a failure.
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
