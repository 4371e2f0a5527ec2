import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2'
import { codes, lost, notEtcd, refused, silent } from './etcd-fault.ts'
import { Frames, frame } from './frames.ts'

/** What shows a member who we are, and us that it is one, in PEM. */
export type EtcdTls = Readonly<{ ca?: string; cert?: string; key?: string }>

type Open = Readonly<{ stream: ClientHttp2Stream; session: ClientHttp2Session }>
type Headers = Readonly<Record<string, string>>

/** A stream may receive so much before we have read it, bytes: the largest answers are pages of the first list. */
const streamWindow = 4 * 1024 * 1024
const sessionWindow = 16 * 1024 * 1024

/** One member of etcd, and the connection to it, which is made when it is needed. */
export class Member {
  readonly url: string
  readonly #tls: EtcdTls
  #session: ClientHttp2Session | undefined
  /** Sessions whose connection was made: over another, nothing can have been sent. */
  readonly #made = new WeakSet<ClientHttp2Session>()

  constructor(url: string, tls: EtcdTls = {}) {
    this.url = url
    this.#tls = tls
  }

  /** One question, one answer. @throws EtcdFault */
  async call(path: string, request: Buffer, deadlineMs: number, headers: Headers = {}): Promise<Buffer> {
    const { stream, session } = this.#open(path, { ...headers, 'grpc-timeout': `${deadlineMs}m` })
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      stream.close(constants.NGHTTP2_CANCEL)
    }, deadlineMs)
    try {
      stream.end(frame(request))
      let answer: Buffer | undefined
      for await (const message of this.#messages(stream, session)) answer = message
      if (answer) return answer
      throw isLate ? silent(this.url, deadlineMs) : notEtcd(this.url, 'an empty answer')
    } catch (error) {
      throw isLate ? silent(this.url, deadlineMs) : error
    } finally {
      clearTimeout(timer)
    }
  }

  /** The messages of a stream that lasts until the signal aborts or the member ends it. @throws EtcdFault */
  async *follow(
    path: string,
    request: Buffer,
    signal: AbortSignal,
    headers: Headers = {},
  ): AsyncGenerator<Buffer, void> {
    if (signal.aborted) return
    const { stream, session } = this.#open(path, headers)
    const stop = () => stream.close(constants.NGHTTP2_CANCEL)
    signal.addEventListener('abort', stop, { once: true })
    try {
      // Left open: etcd ends the watches of a client that has nothing more to say.
      stream.write(frame(request))
      yield* this.#messages(stream, session)
    } catch (error) {
      if (!signal.aborted) throw error
    } finally {
      signal.removeEventListener('abort', stop)
      stop()
    }
  }

  /** Gives the connection up, and with it all that goes on over it; the next call makes another. */
  drop(): void {
    this.#session?.destroy()
    this.#session = undefined
  }

  #open(path: string, headers: Headers): Open {
    try {
      const session = this.#connected()
      const stream = session.request({
        ...{ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' },
        ...headers,
      })
      // Its reader gets its error. When its session ends after the reader has left, it has another, which would end the process.
      stream.on('error', () => undefined)
      return { stream, session }
    } catch (cause) {
      // A session that ended in this moment.
      throw lost(this.url, false, cause)
    }
  }

  #connected(): ClientHttp2Session {
    const open = this.#session
    if (open && !open.closed && !open.destroyed) return open
    const session = connect(this.url, { ...this.#tls, settings: { initialWindowSize: streamWindow } })
    session.on('connect', () => {
      this.#made.add(session)
      // It may have been dropped in the moment it was made.
      if (!session.destroyed) session.setLocalWindowSize(sessionWindow)
    })
    // Each of its streams fails by itself; without a listener the error would end the process.
    session.on('error', () => undefined)
    this.#session = session
    return session
  }

  async *#messages(stream: ClientHttp2Stream, session: ClientHttp2Session): AsyncGenerator<Buffer, void> {
    const frames = new Frames()
    const verdict = verdictOf(stream)
    let failure: unknown
    try {
      for await (const chunk of stream) yield* frames.push(chunk)
    } catch (error) {
      failure = error
    }
    const wasSent = this.#made.has(session)
    throwUnlessWell(this.url, { ...verdict, wasSent, failure })
  }
}

/** How a call ended, as its headers or trailers say. */
type Verdict = { status?: number; code?: number; words?: string }

function verdictOf(stream: ClientHttp2Stream): Verdict {
  const verdict: Verdict = {}
  const note = (headers: Readonly<Record<string, unknown>>) => {
    if (headers[':status'] !== undefined) verdict.status = Number(headers[':status'])
    if (headers['grpc-status'] !== undefined) verdict.code = Number(headers['grpc-status'])
    if (headers['grpc-message'] !== undefined) verdict.words = decoded(String(headers['grpc-message']))
  }
  stream.on('response', note)
  stream.on('trailers', note)
  return verdict
}

type Ended = Verdict & Readonly<{ wasSent: boolean; failure: unknown }>

/** @throws EtcdFault unless the call ended as it should */
function throwUnlessWell(url: string, { status, code, words, wasSent, failure }: Ended): void {
  if (code === codes.ok) return
  if (code !== undefined) throw refused(url, code, words ?? '')
  if (status !== undefined && status !== 200) throw notEtcd(url, `HTTP status ${status}`)
  throw lost(url, wasSent, failure)
}

/** gRPC sends what is not printable as %XX. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
