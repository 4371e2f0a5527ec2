import type { Worker } from 'node:worker_threads'
import { Fault } from '#base/fault.ts'
import type { Backend, Contents, Write } from './backend.ts'
import type { Diagnosis, HistoryRow, LogRow } from './sqlite-file.ts'
import type { Opening, Replies, Reply, Request, Size } from './sqlite-worker.ts'
import type { Change, Row } from './store.ts'

/**
 * Waits until the thread has opened its file.
 * @throws Fault Unavailable when the file cannot be used, Unsupported when it is of a newer schema.
 */
export async function openBackend(
  worker: Worker,
  path: string,
): Promise<Readonly<{ backend: WorkerBackend; contents: Contents }>> {
  const { size, ...contents } = await opening(worker, path)
  return { backend: new WorkerBackend(worker, path, size), contents }
}

type Opened = Contents & Readonly<{ size: Size }>

function opening(worker: Worker, path: string): Promise<Opened> {
  const rows: Row[] = []
  const { promise, resolve, reject } = Promise.withResolvers<Opened>()
  const failed = (cause: unknown) => reject(new Fault('Unavailable', `Opening the store ${path} failed`, { cause }))
  const exited = () => failed(new Error('its thread ended'))
  const listen = (said: Opening) => {
    if (said.type === 'rows') for (const row of said.rows) rows.push({ ...row, value: JSON.parse(row.value) })
    else if (said.type === 'ready') {
      const { revision, compacted, historyBytes, size } = said
      resolve({ rows, revision, compacted, historyBytes, size })
    } else if (said.reason === 'inUse' || said.reason === 'damaged') reject(new Fault('Unavailable', said.message))
    else if (said.reason === 'newer') reject(new Fault('Unsupported', said.message))
    else failed(new Error(said.message))
  }
  worker.on('message', listen).on('error', failed).on('exit', exited)
  return promise.finally(() => worker.off('message', listen).off('error', failed).off('exit', exited))
}

/** The backend on the other side of a thread. */
export class WorkerBackend implements Backend {
  readonly broken: Promise<unknown>
  readonly #worker: Worker
  readonly #path: string
  readonly #calls = new Map<number, PromiseWithResolvers<Reply['value']>>()
  #size: Size
  #lastId = 0
  #ended: Error | undefined
  #closing = false

  constructor(worker: Worker, path: string, size: Size) {
    this.#size = size
    this.#worker = worker
    this.#path = path
    const { promise, resolve } = Promise.withResolvers<unknown>()
    this.broken = promise
    const end = (error: Error) => {
      this.#ended ??= error
      for (const call of this.#calls.values()) call.reject(this.#ended)
      this.#calls.clear()
      if (!this.#closing) resolve(this.#ended)
    }
    worker.on('message', (said: Replies) => this.#settle(said))
    worker.on('error', end)
    worker.on('exit', (code) => end(new Error(`its thread ended with code ${code}`)))
  }

  async append(writes: readonly Write[], epoch: number): Promise<void> {
    await this.#call({ do: 'append', rows: writes.map(toLogRow), epoch })
  }

  async history(prefix: string, after: number, upTo: number): Promise<readonly Change[]> {
    const rows = await this.#ask('Reading the history', { do: 'history', prefix, after, upTo })
    return (rows as readonly HistoryRow[]).map(toChange)
  }

  async compact(after: number, upTo: number): Promise<void> {
    await this.#ask('Compacting', { do: 'compact', after, upTo })
  }

  get usedBytes(): number {
    return this.#size.usedBytes
  }

  get lacksDisk(): boolean {
    return this.#size.lacksDisk
  }

  async shrink(): Promise<boolean> {
    return (await this.#ask('Shrinking the file', { do: 'shrink' })) === true
  }

  /** Writes a whole copy, everything acknowledged before the call included, to a new file. */
  async copyTo(to: string): Promise<void> {
    await this.#ask('Copying', { do: 'copy', to })
  }

  async diagnose(): Promise<Diagnosis> {
    return (await this.#ask('Diagnosing', { do: 'diagnose' })) as Diagnosis
  }

  async close(): Promise<void> {
    this.#closing = true
    if (this.#ended) return
    await this.#ask('Closing', { do: 'close' }).finally(() => this.#worker.terminate())
  }

  async #ask(what: string, request: Asked): Promise<Reply['value']> {
    try {
      return await this.#call(request)
    } catch (cause) {
      throw new Fault('Unavailable', `${what} of the store ${this.#path} failed`, { cause })
    }
  }

  #call(request: Asked): Promise<Reply['value']> {
    if (this.#ended) return Promise.reject(this.#ended)
    const id = ++this.#lastId
    const call = Promise.withResolvers<Reply['value']>()
    this.#calls.set(id, call)
    this.#worker.postMessage({ ...request, id })
    return call.promise
  }

  #settle({ replies, size }: Replies): void {
    this.#size = size ?? this.#size
    for (const { id, value, error } of replies) {
      const call = this.#calls.get(id)
      this.#calls.delete(id)
      if (error === undefined) call?.resolve(value)
      else call?.reject(new Error(error))
    }
  }
}

/** A request before it has a number. */
type Asked = Request extends infer R ? (R extends Request ? Omit<R, 'id'> : never) : never

function toLogRow({ change: { type, row, previous }, text }: Write): LogRow {
  const deleted = type === 'delete' ? 1 : 0
  return { revision: row.revision, key: row.key, deleted, value: text, previous: previous?.revision ?? null }
}

function toChange({ revision, key, deleted, value, previous, previousValue }: HistoryRow): Change {
  const change: Change = { type: deleted ? 'delete' : 'put', row: { key, revision, value: JSON.parse(value) } }
  if (previous === null || previousValue === null) return change
  return { ...change, previous: { key, revision: previous, value: JSON.parse(previousValue) } }
}
