import {
  constants,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import { Readable } from 'node:stream'
import Fastify, { type FastifyReply, type FastifyRequest, type RouteGenericInterface } from 'fastify'
import { explain, Fault, faultKind } from '#base/fault.ts'
import { isObject, type Json, type JsonObject } from '#base/json.ts'
import type { Log } from '#base/log.ts'
import type { KeyPair } from './certificates.ts'
import type { Limits } from './limits.ts'
import { failure } from './status.ts'

export type Request = FastifyRequest<RouteGenericInterface, Http2SecureServer, Http2ServerRequest>
export type Reply = FastifyReply<RouteGenericInterface, Http2SecureServer, Http2ServerRequest, Http2ServerResponse>

export type ListenerOptions = Readonly<{
  listen: Readonly<{ host: string; port: number }>
  tls: KeyPair
  /** Certificate of the authority that client certificates must come from. */
  clientAuthority: string
  limits: Limits
  log: Log
}>

/** An open port. `port` is the one it really listens on. */
export type Listener = Readonly<{ port: number; close(): Promise<void> }>

/** How often connections that take too long are looked for, milliseconds. */
const checkMs = 1000

/**
 * Serves HTTP/1.1 and HTTP/2 over TLS within limits: whoever is slow, asks too much at once or sends too much is refused or
 * cut, and the others do not notice. @throws Fault Unavailable when it cannot listen
 */
export async function openListener(
  options: ListenerOptions,
  answer: (request: Request, reply: Reply) => Promise<void>,
): Promise<Listener> {
  const { listen, log, limits } = options
  const app = Fastify({
    http2: true,
    https: tlsOptions(options),
    bodyLimit: limits.requestBytes,
    exposeHeadRoutes: false,
    frameworkErrors: (error, request, reply) =>
      sendError(log, request as Request, reply as Reply, fromFastify(error, limits)),
  })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.addHook('onRequest', async (request) => {
    requireSmallHeader(request, limits.headerBytes)
    cutWhenSlow(request, limits.requestTimeoutMs)
  })
  app.all('/*', async (request, reply) => {
    await answer(request, reply)
    return reply
  })
  app.setNotFoundHandler((request, reply) => sendError(log, request, reply, notServed()))
  app.setErrorHandler((error, request, reply) => sendError(log, request, reply, fromFastify(error, limits)))
  const sockets = guardConnections(app.server, limits, log)
  try {
    await app.listen(listen)
  } catch (cause) {
    throw new Fault(
      'Unavailable',
      `Cannot listen on ${listen.host}:${listen.port}; choose another address with --listen HOST:PORT`,
      { cause },
    )
  }
  const { port } = app.server.address() as AddressInfo
  return {
    port,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await app.close()
    },
  }
}

function tlsOptions({ tls, clientAuthority, limits }: ListenerOptions) {
  return {
    allowHTTP1: true,
    cert: tls.cert,
    key: tls.key,
    ca: clientAuthority,
    requestCert: true,
    rejectUnauthorized: false,
    minVersion: 'TLSv1.2' as const,
    handshakeTimeout: limits.headerTimeoutMs,
    maxHeaderSize: limits.headerBytes,
    settings: {
      maxConcurrentStreams: limits.http2MaxStreamsPerConnection,
      maxHeaderListSize: limits.headerBytes,
    },
  }
}

/** Keeps connections within limits. Returns those that are open. */
function guardConnections(server: Http2SecureServer, limits: Limits, log: Log): ReadonlySet<Socket> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  server.maxConnections = limits.connections
  server.on('drop', () => log.warn({ connections: limits.connections }, 'Dropping a connection: too many are open'))
  // HTTP/1.1: Node looks after these itself, and answers 408.
  Object.assign(server, {
    headersTimeout: limits.headerTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    connectionsCheckingInterval: Math.min(checkMs, limits.headerTimeoutMs),
  })
  // HTTP/2: a session without streams may rest for a while, as keep-alive connections do.
  server.on('session', (session) => closeWhenIdle(session, limits.idleTimeoutMs))
  return sockets
}

function closeWhenIdle(session: ServerHttp2Session, ms: number): void {
  let open = 0
  session.on('stream', (stream) => {
    open++
    stream.once('close', () => open--)
  })
  // Fastify's own closes connections whose watches have nothing to tell, too.
  session.removeAllListeners('timeout')
  session.setTimeout(ms)
  session.on('timeout', () => {
    if (!open) session.close()
  })
}

/** Over HTTP/2 nothing else counts the bytes of a header. @throws Fault HeaderTooLarge */
function requireSmallHeader({ raw }: Request, max: number): void {
  if (raw.httpVersionMajor < 2) return
  let bytes = 0
  for (const part of raw.rawHeaders) bytes += part.length
  if (bytes > max) throw new Fault('HeaderTooLarge', `the header of the request is larger than ${max} bytes`)
}

/** Ends a request over HTTP/2 whose body does not arrive in time. HTTP/1.1 has the server's own timer. */
function cutWhenSlow({ raw }: Request, ms: number): void {
  const { stream } = raw
  if (raw.httpVersionMajor < 2 || stream.readableEnded) return
  const timer = setTimeout(() => stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM), ms)
  const done = () => clearTimeout(timer)
  stream.once('end', done)
  stream.once('close', done)
}

/** Items of a list that are written at a time. */
const partItems = 100

/** The JSON of items of long lists, which mostly are what they were in the list before. */
const itemTexts = new WeakMap<object, string>()

function itemText(item: Json): string {
  if (!isObject(item)) return JSON.stringify(item)
  const text = itemTexts.get(item) ?? JSON.stringify(item)
  itemTexts.set(item, text)
  return text
}

/** A path or method that nobody answers. */
export function notServed(): Fault {
  return new Fault('NotFound', 'the server could not find the requested resource')
}

/** Answers with a JSON document, unless the request has been answered already because it took too long. */
export async function send(
  reply: Reply,
  code: number,
  body: JsonObject,
  type = 'application/json',
): Promise<undefined> {
  if (reply.sent) return
  const { items } = body
  const isLong = Array.isArray(items) && items.length > partItems
  await reply
    .code(code)
    .type(type)
    .send(isLong ? Readable.from(listParts(body, items)) : JSON.stringify(body))
}

/** The JSON of a long list, part by part: others are served between two parts, and none has to be larger than that. */
function* listParts({ items: _, ...rest }: JsonObject, items: readonly Json[]): Generator<Buffer> {
  const around = JSON.stringify({ ...rest, items: [] })
  const end = ']}'
  let before = around.slice(0, -end.length)
  for (let from = 0; from < items.length; from += partItems) {
    const part = items.slice(from, from + partItems).map(itemText)
    yield Buffer.from(before + part.join(','))
    before = ','
  }
  yield Buffer.from(end)
}

function fromFastify(error: unknown, { requestBytes }: Limits): unknown {
  const { statusCode, code } = error as { statusCode?: number; code?: string }
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return new Fault('TooLarge', `the body of the request is larger than ${requestBytes} bytes`)
  if (error instanceof Fault || !statusCode || statusCode >= 500) return error
  return new Fault('BadRequest', 'the request is malformed', { cause: error })
}

function sendError(log: Log, request: Request, reply: Reply, error: unknown): void {
  const status = failure(error)
  if (faultKind(error) === 'Bug')
    log.error(
      { path: request.url, cause: explain(error), stack: error instanceof Error ? error.stack : undefined },
      'Request failed by a bug',
    )
  const wait = status.details?.retryAfterSeconds
  if (wait !== undefined) void reply.header('retry-after', String(wait))
  void send(reply, status.code, status as unknown as JsonObject)
}
