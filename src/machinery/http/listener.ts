import { ServerResponse } from 'node:http'
import {
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2'
import { createServer } from 'node:https'
import type { AddressInfo, Server } from 'node:net'
import type { Duplex } from 'node:stream'
import { createSecureContext, type SecureContext } from 'node:tls'
import { explain, Fault } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { Connections } from './connections.ts'
import { type Capacity, Exchange, type Upgrade } from './exchange.ts'
import type { Limits } from './limits.ts'
import { Shares } from './shares.ts'

/** A part of the server: the paths it answers, and how. The Kubernetes API is one. */
export interface Door {
  /** True for the paths this door answers. */
  matches(path: string): boolean
  /** Answers an exchange, refusals included. Anything it throws is a bug. */
  serve(exchange: Exchange): Promise<void>
}

/** A certificate with its private key, both PEM. */
export type TlsPair = Readonly<{ cert: string; key: string }>

/** The server's certificates. */
export type TlsIdentity = Readonly<{
  /** Of our own authority. */
  own: TlsPair
  /** The operator's, for every client that does not request `ownName`. */
  given?: TlsPair
  /** Certificate of the authority that client certificates must come from. */
  clientAuthority: string
}>

/** The server name (SNI) for which clients get the certificate of our own authority even with an operator's one. */
export const ownName = 'patchbay'

export type ListenerOptions = Readonly<{
  listen: Readonly<{ host: string; port: number }>
  tls: TlsIdentity
  limits: Limits
  log: Log
  /** The option that names the address, for the error of one that is taken. */
  option?: string
  /** HTTP/1.1 alone, for doors whose clients cannot speak HTTP/2 as it is written. */
  isHttp1Only?: boolean
}>

/** An open port. `port` is the actual one. */
export type Listener = Readonly<{
  port: number
  /** Uses other certificates for connections from now on. */
  renew(tls: TlsIdentity): void
  close(): Promise<void>
}>

/** Interval of the check for connections that take too long, milliseconds. */
const checkMs = 1000

/** TLS 1.2 without CBC suites; those of TLS 1.3 are all good. */
const ciphers = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':')

/**
 * Serves HTTP/1.1 and HTTP/2 over TLS within limits: a client that is slow or sends too many or too large requests is
 * refused or disconnected, and others are not affected. @throws Fault Unavailable when it cannot listen
 */
export async function openListener(options: ListenerOptions, doors: readonly Door[]): Promise<Listener> {
  const { listen, log, limits } = options
  const contexts = new Contexts(options.tls)
  const connections = new Connections(limits, log)
  const server = makeServer(options, contexts)
  const capacity = capacityOf(limits)
  const serve = (request: Http2ServerRequest, response: Http2ServerResponse, how: How) =>
    serveOne({ doors, connections, capacity, limits, log }, request, response, how)
  server.on('request', (request, response) => void serve(request, response, { isWaiting: false }))
  server.on('checkContinue', (request, response) => void serve(request, response, { isWaiting: true }))
  server.on('upgrade', (request: Http2ServerRequest, socket: Duplex, head: Buffer) => {
    const response = responseOver(request, socket) as unknown as Http2ServerResponse
    void serve(request, response, { isWaiting: false, upgrade: { socket, head } })
  })
  guard(server, connections, limits, log)
  await listening(server, listen, options.option ?? '--listen')
  const { port } = server.address() as AddressInfo
  return {
    port,
    renew: (tls) => {
      contexts.use(tls)
      server.setSecureContext(contexts.shown)
    },
    close: () => {
      connections.closeAll()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

/** Without HTTP/2 it is Node's other server, with the same events and options; HTTP/2's own events do not come. */
function makeServer(options: ListenerOptions, contexts: Contexts): Http2SecureServer {
  const tls = tlsOptions(options, contexts)
  return options.isHttp1Only ? (createServer(tls) as unknown as Http2SecureServer) : createSecureServer(tls)
}

/** The capacities of one listener, shared by all its clients. */
export function capacityOf({
  maxRequestsInflight,
  watches,
  bodyMemoryBytes,
  answerMemoryBytes,
  userShare,
}: Limits): Capacity {
  return {
    requests: new Shares(maxRequestsInflight, userShare, 'too many requests, please try again later'),
    watches: new Shares(watches, userShare, 'too many watches are open, please try again later'),
    bodyBytes: new Shares(
      bodyMemoryBytes,
      userShare,
      'too many bytes of requests are under way, please try again later',
    ),
    answerBytes: new Shares(answerMemoryBytes, userShare, 'too many answers wait to be read, please try again later'),
  }
}

type Serving = Readonly<{
  doors: readonly Door[]
  connections: Connections
  capacity: Capacity
  limits: Limits
  log: Log
}>
type How = Readonly<{ isWaiting: boolean; upgrade?: Upgrade }>

async function serveOne(
  { doors, connections, capacity, limits, log }: Serving,
  request: Http2ServerRequest,
  response: Http2ServerResponse,
  how: How,
): Promise<void> {
  const connection = connections.begin(request.socket)
  response.once('close', () => connection.ended())
  request.on('error', () => undefined)
  const exchange = new Exchange({ request, response, capacity, limits, connection, ...how })
  try {
    await doors.find((door) => door.matches(exchange.path))?.serve(exchange)
    await exchange.send({ code: 404, type: 'text/plain', body: 'nothing is served here\n' })
  } catch (error) {
    const stack = error instanceof Error ? error.stack : undefined
    log.error({ path: exchange.path, cause: explain(error), stack }, 'Request failed by a bug')
    await exchange.send({ code: 500, type: 'text/plain', body: 'internal error\n' })
  }
}

/** A response over a connection that Node has taken out of HTTP because its client asked for an upgrade. */
function responseOver(request: Http2ServerRequest, socket: Duplex): ServerResponse {
  const response = new ServerResponse(request as never)
  response.shouldKeepAlive = false
  response.assignSocket(socket as never)
  response.once('finish', () => socket.end())
  socket.once('close', () => response.emit('close'))
  socket.on('error', () => socket.destroy())
  return response
}

function tlsOptions({ limits }: ListenerOptions, contexts: Contexts) {
  return {
    ...contexts.shown,
    allowHTTP1: true,
    requestCert: true,
    rejectUnauthorized: false,
    SNICallback: (name: string, done: (error: Error | null, context?: SecureContext) => void) =>
      done(null, name === ownName ? contexts.own : undefined),
    handshakeTimeout: limits.headerTimeoutMs,
    maxHeaderSize: limits.headerBytes,
    settings: {
      maxConcurrentStreams: limits.http2MaxStreamsPerConnection,
      maxHeaderListSize: limits.headerBytes,
    },
  }
}

/** The certificates in use, as Node wants them. */
export class Contexts {
  #tls: TlsIdentity
  #own: SecureContext

  constructor(tls: TlsIdentity) {
    this.#tls = tls
    this.#own = createSecureContext(this.#optionsOf(tls.own))
  }

  use(tls: TlsIdentity): void {
    this.#tls = tls
    this.#own = createSecureContext(this.#optionsOf(tls.own))
  }

  get own(): SecureContext {
    return this.#own
  }

  /** For clients that request no name, or another one. */
  get shown() {
    return this.#optionsOf(this.#tls.given ?? this.#tls.own)
  }

  /** Those of our own authority alone. */
  get ours() {
    return this.#optionsOf(this.#tls.own)
  }

  #optionsOf({ cert, key }: TlsPair) {
    return { cert, key, ca: this.#tls.clientAuthority, ciphers, minVersion: 'TLSv1.2' as const }
  }
}

/** Keeps connections within limits. */
function guard(server: Http2SecureServer, connections: Connections, limits: Limits, log: Log): void {
  server.on('connection', (socket) => connections.add(socket))
  // Before Node makes a session of it.
  server.prependListener('secureConnection', (socket) => connections.secured(socket))
  server.maxConnections = connections.hardLimit
  server.on('drop', () => log.warn({ connections: limits.connections }, 'Dropping a connection: too many are open'))
  // HTTP/1.1: Node looks after these itself, and answers 408. The time for a body is that of its exchange.
  Object.assign(server, {
    headersTimeout: limits.headerTimeoutMs,
    requestTimeout: 0,
    keepAliveTimeout: limits.idleTimeoutMs,
    connectionsCheckingInterval: Math.min(checkMs, limits.headerTimeoutMs),
  })
  server.on('session', (session) => connections.watchIdle(session))
  // An error of one connection ends only that one.
  server.on('sessionError', () => undefined)
}

/** Listens on an address. @throws Fault Unavailable that names the option when it is taken */
export async function listening(
  server: Server,
  { host, port }: ListenerOptions['listen'],
  option: string,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen(port, host, () => resolve())
  try {
    await promise
  } catch (cause) {
    throw new Fault(
      'Unavailable',
      `Cannot listen on ${host}:${port}; choose another address with ${option} HOST:PORT`,
      { cause },
    )
  }
  server.off('error', reject)
}
