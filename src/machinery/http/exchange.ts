import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { constants, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { Fault } from '#base/fault.ts'
import type { ConnectionUse } from './connections.ts'
import type { Limits } from './limits.ts'
import { pieces } from './pieces.ts'
import type { Caller, Held, Shares } from './shares.ts'

/** The answer to an exchange. */
export type Answer = Readonly<{
  code: number
  /** Content type; empty for an answer without content. */
  type: string
  headers?: Readonly<Record<string, string | readonly string[]>>
  /** Whole, or in parts, each made when the client has read the ones before it. */
  body: string | Uint8Array | Iterable<Uint8Array>
}>

/** The capacities that exchanges share. */
export type Capacity = Readonly<{ requests: Shares; watches: Shares; bodyBytes: Shares; answerBytes: Shares }>

/** What only an admitted exchange can do. */
export type Entered = Readonly<{
  /** The body, read on the first call. @throws Fault TooLarge, TooMany, Aborted */
  body(): Promise<Buffer>
  /**
   * The body as it comes, of any size: what is not read is not sent. A client that sends nothing for the request timeout is
   * disconnected. @throws Fault Aborted when the client left
   */
  pieces(): AsyncIterable<Buffer>
  /** Answers with lines or frames as they come, until the caller ends the stream. */
  stream(type: string, headers?: Answer['headers']): LineStream
  /** Takes the connection over, unanswered, for protocols such as WebSocket. @throws Fault BadRequest without an upgrade request */
  upgrade(): Upgrade & Readonly<{ request: IncomingMessage }>
}>

/** An answer without an end known in advance. */
export type LineStream = Readonly<{
  /** Resolves when there is room for more. A client that reads nothing for the request timeout is disconnected. */
  write(text: string | Uint8Array): Promise<void>
  end(): void
}>

/** A connection that its client wants to use for another protocol. */
export type Upgrade = Readonly<{ socket: Duplex; head: Buffer }>

export type Parts = Readonly<{
  request: Http2ServerRequest
  response: Http2ServerResponse
  capacity: Capacity
  limits: Limits
  connection: ConnectionUse
  /** Sends `100 Continue` to a client that waits for it (`Expect: 100-continue`). */
  isWaiting: boolean
  upgrade?: Upgrade
}>

/** Most bytes read of a refused body over HTTP/1.1 from an unauthenticated client. */
const maxDiscarded = 16 * 1024
/** Answers below this size are not counted, bytes: a stream has buffers of this order anyway. */
const smallAnswer = 64 * 1024

/**
 * One request and its answer, over HTTP/1.1 or HTTP/2. Until `enter` the body is not read: a door authenticates and
 * authorizes by the header alone.
 */
export class Exchange {
  readonly method: string
  /** As it was sent, without the query. */
  readonly path: string
  /** The query, without its question mark. */
  readonly search: string
  readonly headers: IncomingHttpHeaders
  /** Address of the client. */
  readonly address: string
  /** Aborts when the client has left. */
  readonly closed: AbortSignal
  readonly #parts: Parts
  #isAnswered = false
  #body: Promise<Buffer> | undefined
  #bodyBytes: Held | undefined
  /** Ends a request over HTTP/1.1 whose body does not arrive in time: Node's own timer has no exceptions. */
  readonly #arrival: NodeJS.Timeout | undefined

  constructor(parts: Parts) {
    const { request, response } = parts
    this.#parts = parts
    const [path = '', ...search] = (request.url ?? '').split('?')
    this.method = request.method ?? 'GET'
    this.path = path
    this.search = search.join('?')
    this.headers = request.headers
    this.address = addressOf(request)
    const closed = new AbortController()
    this.closed = closed.signal
    if (request.httpVersionMajor < 2 && this.#hasBody()) {
      // What is left of a body after an early answer keeps no process alive.
      this.#arrival = setTimeout(() => this.#late(), parts.limits.requestTimeoutMs).unref()
      request.once('end', () => clearTimeout(this.#arrival))
    }
    response.on('error', () => closed.abort())
    response.once('close', () => {
      closed.abort()
      // What is left of a body is waited for; a connection that is closed brings none.
      if (request.complete || request.socket?.destroyed) clearTimeout(this.#arrival)
      this.#bodyBytes?.[Symbol.dispose]()
    })
  }

  /** The socket of the connection, with the client's certificate. The same object for all exchanges of one connection. */
  get socket(): TLSSocket {
    const request = this.#parts.request as Http2ServerRequest & { socket: TLSSocket }
    return (request.stream?.session?.socket ?? request.socket) as TLSSocket
  }

  /** Refuses a header that is too large; over HTTP/1.1 Node has done so before. @throws Fault HeaderTooLarge */
  requireSmallHeader(): void {
    const { request, limits } = this.#parts
    if (request.httpVersionMajor < 2) return
    let bytes = 0
    for (const part of request.rawHeaders) bytes += part.length
    if (bytes > limits.headerBytes)
      throw new Fault('HeaderTooLarge', `the header of the request is larger than ${limits.headerBytes} bytes`)
  }

  /**
   * Runs `work` as one of the requests or watches in flight. Its place is free again when `work` is done: the answer is sent
   * afterwards. @throws Fault TooMany when there is no place for this caller
   */
  async enter<T>(caller: Caller, what: 'requests' | 'watches', work: (entered: Entered) => Promise<T>): Promise<T> {
    const { capacity, connection } = this.#parts
    connection.isOf(caller)
    using _place = capacity[what].take(caller, 1)
    return await work({
      body: () => (this.#body ??= this.#readBody(caller)),
      pieces: () => {
        clearTimeout(this.#arrival)
        return pieces(this.#parts, this.#hasBody(), () => this.#cut())
      },
      stream: (type, headers) => this.#stream(type, headers),
      upgrade: () => this.#upgrade(),
    })
  }

  /**
   * Sends an answer, unless there is one already. Resolves when the client has read it or is gone. @throws Fault TooMany
   * when too much waits for slow readers of this caller
   */
  async send(answer: Answer, caller?: Caller): Promise<void> {
    if (this.#isAnswered || this.closed.aborted) return
    const { body } = answer
    const isWhole = typeof body === 'string' || body instanceof Uint8Array
    const bytes = isWhole ? Buffer.byteLength(body) : 0
    using _held = caller && bytes > smallAnswer ? this.#parts.capacity.answerBytes.take(caller, bytes) : undefined
    this.#isAnswered = true
    this.#writeHead(answer, isWhole ? bytes : undefined, this.#dropBody())
    const { response } = this.#parts
    const done = Promise.withResolvers<void>()
    // A client that reads nothing for that long holds memory on purpose.
    const timer = setTimeout(() => this.#cut(), this.#parts.limits.requestTimeoutMs)
    response.once('finish', () => done.resolve())
    this.closed.addEventListener('abort', () => done.resolve(), { once: true })
    try {
      if (isWhole) response.end(this.method === 'HEAD' ? '' : body)
      else await this.#writeParts(body, timer)
      await done.promise
    } finally {
      clearTimeout(timer)
      this.#endBody()
    }
  }

  #writeHead({ code, type, headers }: Answer, length: number | undefined, isLast: boolean): void {
    const { response } = this.#parts
    response.writeHead(code, {
      ...(type && { 'content-type': type }),
      ...(length !== undefined && { 'content-length': String(length) }),
      ...(isLast && { connection: 'close' }),
      ...(headers as Record<string, string | string[]> | undefined),
    })
  }

  async #writeParts(parts: Iterable<Uint8Array>, timer: NodeJS.Timeout): Promise<void> {
    const { response } = this.#parts
    for (const part of this.method === 'HEAD' ? [] : parts) {
      if (this.closed.aborted) return
      if (!response.write(part)) await this.#drained()
      timer.refresh()
    }
    response.end()
  }

  /** Resolves when there is room for more, or the client is gone. */
  #drained(): Promise<void> {
    const { response } = this.#parts
    return new Promise((resolve) => {
      const done = () => {
        response.off('drain', done)
        this.closed.removeEventListener('abort', done)
        resolve()
      }
      response.once('drain', done)
      this.closed.addEventListener('abort', done, { once: true })
    })
  }

  /** As Node does it. */
  #late(): void {
    const { request, response } = this.#parts
    if (request.complete || request.socket.destroyed) return
    if (!response.headersSent) request.socket.write('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n')
    request.socket.destroySoon()
  }

  #cut(): void {
    const { request, response } = this.#parts
    if (request.httpVersionMajor < 2) request.socket.destroy()
    else response.stream?.close(constants.NGHTTP2_ENHANCE_YOUR_CALM)
  }

  #hasBody(): boolean {
    const { headers, httpVersionMajor, stream } = this.#parts.request
    if (httpVersionMajor >= 2) return !stream.endAfterHeaders
    return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
  }

  #isBodyRead(): boolean {
    const { readableEnded, complete } = this.#parts.request
    return readableEnded || complete || !this.#hasBody()
  }

  /**
   * Drops what arrives of an unread body over HTTP/1.1, so that the client can read the answer and the connection stays
   * open. For an unauthenticated client the limit is low, because each connection waited for holds memory. Called before the
   * answer is sent: after that Node would read it all. Returns whether the body is too long for that.
   */
  #dropBody(): boolean {
    const { request, connection, limits } = this.#parts
    if (request.httpVersionMajor >= 2 || this.#isBodyRead()) return false
    const most = connection.isKnown() ? limits.requestBytes : maxDiscarded
    let left = most
    request.on('data', (chunk: Buffer) => {
      left -= chunk.length
      if (left < 0) request.socket.destroySoon()
    })
    request.resume()
    return Number(request.headers['content-length'] ?? 0) > most
  }

  /** RFC 9113, 8.1: over HTTP/2 a complete answer, then NO_ERROR, tells the client to stop sending. */
  #endBody(): void {
    const { request, response } = this.#parts
    if (request.httpVersionMajor >= 2 && !request.stream?.readableEnded)
      response.stream?.close(constants.NGHTTP2_NO_ERROR)
  }

  async #readBody(caller: Caller): Promise<Buffer> {
    const { request, response, limits, capacity, isWaiting } = this.#parts
    if (!this.#hasBody()) return Buffer.alloc(0)
    const announced = Number(request.headers['content-length'] ?? 0)
    if (announced > limits.requestBytes) throw tooLarge(limits.requestBytes)
    // The announced size is reserved at once: half-read bodies waiting for each other's memory would all fail.
    const held = capacity.bodyBytes.take(caller, announced)
    this.#bodyBytes = held
    if (isWaiting) response.writeContinue()
    const chunks: Buffer[] = []
    let bytes = 0
    const stop = this.#cutWhenSlow()
    try {
      await eachChunk(request, (chunk) => {
        bytes += chunk.length
        if (bytes > limits.requestBytes) throw tooLarge(limits.requestBytes)
        if (bytes > announced) held.add(Math.min(chunk.length, bytes - announced))
        chunks.push(chunk)
      })
    } finally {
      stop()
    }
    const [only] = chunks
    return only && chunks.length === 1 ? only : Buffer.concat(chunks)
  }

  /** Ends a request over HTTP/2 whose body does not arrive in time. */
  #cutWhenSlow(): () => void {
    if (this.#parts.request.httpVersionMajor < 2) return () => undefined
    const timer = setTimeout(() => this.#cut(), this.#parts.limits.requestTimeoutMs)
    return () => clearTimeout(timer)
  }

  #stream(type: string, headers: Answer['headers']): LineStream {
    const { request, response } = this.#parts
    this.#isAnswered = true
    response.writeHead(200, {
      'content-type': type,
      'cache-control': 'no-cache, private',
      ...(headers as Record<string, string | string[]> | undefined),
    })
    // kubectl waits for the headers before it goes on, even while there is nothing to send.
    // HTTP/2 sends them at once; HTTP/1.1 is made to, by a method that only its response has.
    if (request.httpVersionMajor < 2) (response as unknown as ServerResponse).flushHeaders()
    return {
      write: async (text) => {
        if (this.closed.aborted || response.write(text)) return
        const timer = setTimeout(() => this.#cut(), this.#parts.limits.requestTimeoutMs)
        await this.#drained()
        clearTimeout(timer)
      },
      end: () => {
        if (!this.closed.aborted) response.end()
      },
    }
  }

  #upgrade(): ReturnType<Entered['upgrade']> {
    const { upgrade, request } = this.#parts
    if (!upgrade) throw new Fault('BadRequest', 'the request must ask for an upgrade of the connection')
    this.#isAnswered = true
    // Only HTTP/1.1 has upgrades.
    return { ...upgrade, request: request as unknown as IncomingMessage }
  }
}

function tooLarge(max: number): Fault {
  return new Fault('TooLarge', `the body of the request is larger than ${max} bytes`)
}

/**
 * Passes on a body piece by piece until it has ended or `take` throws. Not by iterating: leaving a loop over a request would
 * destroy its connection, and with it the answer. @throws Fault Aborted when the client left
 */
function eachChunk(request: Http2ServerRequest, take: (chunk: Buffer) => void): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onData = (chunk: Buffer) => {
    try {
      take(chunk)
    } catch (error) {
      reject(error)
    }
  }
  const onClose = () => reject(new Fault('Aborted', 'the client left before its request had arrived'))
  request.on('data', onData)
  request.once('end', resolve)
  request.once('close', onClose)
  if (request.readableEnded) resolve()
  else if (request.destroyed) onClose()
  return promise.finally(() => {
    request.off('data', onData)
    request.off('end', resolve)
    request.off('close', onClose)
    // It keeps flowing, so that unwanted data is dropped instead of kept.
  })
}

function addressOf(request: Http2ServerRequest): string {
  try {
    return request.socket.remoteAddress ?? ''
  } catch {
    // HTTP/2's proxy for the socket throws when the connection closed while its request was still on the way.
    return ''
  }
}
