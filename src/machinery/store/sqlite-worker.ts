import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { collectWhenIdle } from '#base/idle-collector.ts'
import { Reserve } from './reserve.ts'
import { type CurrentRow, type Diagnosis, type HistoryRow, type LogRow, Refusal, SqliteFile } from './sqlite-file.ts'

/** What the thread is started with. */
export type WorkerOptions = Readonly<{ path: string; maxBytes: number | undefined }>

/** What the thread says before it serves: its rows in portions, then that it is ready; or why it will not. */
export type Opening =
  | Readonly<{ type: 'rows'; rows: readonly CurrentRow[] }>
  | Readonly<{ type: 'ready'; revision: number; compacted: number; historyBytes: number; size: Size }>
  | Readonly<{ type: 'refused'; reason: Refusal['reason'] | undefined; message: string }>

export type Request = Readonly<{ id: number }> &
  Readonly<
    | { do: 'append'; rows: readonly LogRow[]; epoch: number }
    | { do: 'history'; prefix: string; after: number; upTo: number }
    | { do: 'compact'; after: number; upTo: number }
    | { do: 'shrink' }
    | { do: 'copy'; to: string }
    | { do: 'diagnose' }
    | { do: 'close' }
  >

/** The answer to one request: `error` is a sentence when it failed. */
export type Reply = Readonly<{ id: number; value?: readonly HistoryRow[] | Diagnosis | boolean; error?: string }>

/** Bytes of the file that hold something, and whether the disk is as good as full. */
export type Size = Readonly<{ usedBytes: number; lacksDisk: boolean }>

/** The answers to requests that were handled together, and what the file is like after them, unless it is closed. */
export type Replies = Readonly<{ replies: readonly Reply[]; size: Size | undefined }>

type Append = Extract<Request, { do: 'append' }>

/** Rows per message while loading. */
const portion = 1000

/** How often it is looked whether a full disk has room again, milliseconds. */
const recoverMs = 1000

/** Answers requests. All queued requests become one transaction: the more there is to do, the less each write costs. */
class Server {
  readonly #port: MessagePort
  readonly #file: SqliteFile
  /** Failed commits so far; an append of an older epoch was sent before its sender knew, and is refused. */
  #epoch = 0
  #recovering: NodeJS.Timeout | undefined

  constructor(port: MessagePort, file: SqliteFile) {
    this.#port = port
    this.#file = file
    this.#recoverLater()
  }

  serve(first: Request): void {
    const requests = [first]
    for (let next = receiveMessageOnPort(this.#port); next; next = receiveMessageOnPort(this.#port)) {
      requests.push(next.message)
    }
    const replies: Reply[] = this.#append(requests.filter((request) => request.do === 'append'))
    for (const request of requests) if (request.do !== 'append') replies.push(this.#answer(request))
    const isClosed = requests.some((request) => request.do === 'close')
    this.#say({ replies, size: isClosed ? undefined : sizeOf(this.#file) })
    if (isClosed) clearTimeout(this.#recovering)
    else this.#recoverLater()
  }

  #say(replies: Replies): void {
    this.#port.postMessage(replies)
  }

  /** While the disk lacks room it is checked periodically, even without writes. */
  #recoverLater(): void {
    if (!this.#file.lacksDisk || this.#recovering) return
    this.#recovering = setTimeout(() => {
      this.#recovering = undefined
      // The next write reports any error but a full disk; this is retried.
      attempt(() => this.#file.recover())
      this.#say({ replies: [], size: sizeOf(this.#file) })
      this.#recoverLater()
    }, recoverMs)
    this.#recovering.unref()
  }

  #append(appends: readonly Append[]): Reply[] {
    const timely = appends.filter(({ epoch }) => epoch === this.#epoch)
    const error = attempt(() => {
      if (timely.length > 0) this.#file.append(timely.flatMap(({ rows }) => rows))
    })
    if (error) this.#epoch++
    return appends.map((append) => {
      const refused = timely.includes(append) ? error : 'an earlier write failed'
      return { id: append.id, ...(refused && { error: refused }) }
    })
  }

  #answer(request: Exclude<Request, Append>): Reply {
    let value: Reply['value']
    const error = attempt(() => {
      if (request.do === 'history') value = this.#file.history(request.prefix, request.after, request.upTo)
      else if (request.do === 'compact') this.#file.compact(request.after, request.upTo)
      else if (request.do === 'shrink') value = this.#file.shrink()
      else if (request.do === 'copy') this.#file.copyTo(request.to)
      else if (request.do === 'diagnose') value = this.#file.diagnose()
      else this.#file.close()
    })
    return { id: request.id, ...(value !== undefined && { value }), ...(error && { error }) }
  }
}

function sizeOf({ usedBytes, lacksDisk }: SqliteFile): Size {
  return { usedBytes, lacksDisk }
}

/** Runs something; a sentence when it failed. */
function attempt(work: () => void): string | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function start(port: MessagePort, { path, maxBytes }: WorkerOptions): void {
  const say = (opening: Opening) => port.postMessage(opening)
  try {
    const reserve = path === ':memory:' ? undefined : new Reserve(`${path}-reserve`)
    const file = new SqliteFile(path, { ...(maxBytes !== undefined && { maxBytes }), ...(reserve && { reserve }) })
    let rows: CurrentRow[] = []
    for (const row of file.current()) {
      if (rows.push(row) < portion) continue
      say({ type: 'rows', rows })
      rows = []
    }
    say({ type: 'rows', rows })
    const server = new Server(port, file)
    port.on('message', (request: Request) => server.serve(request))
    const { revision, compacted, historyBytes } = file
    say({ type: 'ready', revision, compacted, historyBytes, size: sizeOf(file) })
  } catch (error) {
    const reason = error instanceof Refusal ? error.reason : undefined
    say({ type: 'refused', reason, message: error instanceof Error ? error.message : String(error) })
  }
}

if (parentPort) {
  collectWhenIdle()
  start(parentPort, workerData)
}
