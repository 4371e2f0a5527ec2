import type { ServerHttp2Session } from 'node:http2'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Log } from '#base/log.ts'
import type { Limits } from './limits.ts'
import type { Caller } from './shares.ts'

/** One open connection, and its authenticated user. */
type Connection = {
  readonly socket: Socket
  readonly address: string
  /** Requests under way on it. */
  open: number
  /** Undefined until a request on it was authenticated. */
  caller?: Caller
  /** True once the client has shown a valid certificate, or a request was authenticated. */
  isKnown: boolean
  /** Undefined for HTTP/1.1. */
  session?: ServerHttp2Session
  /** Closes the connection when it had no request for too long. */
  idle?: NodeJS.Timeout
}

/** What an exchange reports about its connection. */
export type ConnectionUse = Readonly<{
  /** The caller was authenticated. Closes the connection when the caller has more than its share of them. */
  isOf(caller: Caller): void
  /** Whether a client certificate was verified on it, or a request authenticated. */
  isKnown(): boolean
  ended(): void
}>

const unknownUse: ConnectionUse = { isOf: () => undefined, isKnown: () => false, ended: () => undefined }

/** Connections beyond the limit that may be in their handshake before one is dropped unseen. */
const headroom = 64

/** Time for the GOAWAY of a closed connection to be sent, milliseconds. */
const goodbyeMs = 1000

/**
 * The open connections of a listener. Their number is limited: each new one beyond the limit closes the least deserving one,
 * unauthenticated ones first. A connection without a request is closed after a while, whatever frames (PING) keep arriving
 * on it; sooner if no user was authenticated on it.
 */
export class Connections {
  readonly #byPeer = new Map<string, Connection>()
  readonly #limits: Limits
  readonly #log: Log

  constructor(limits: Limits, log: Log) {
    this.#limits = limits
    this.#log = log
  }

  /** Most connections the kernel accepts for us. */
  get hardLimit(): number {
    return this.#limits.connections + headroom
  }

  /** Tracks a connection from before its TLS handshake to its end. */
  add(socket: Socket): void {
    const connection: Connection = { socket, address: socket.remoteAddress ?? '', open: 0, isKnown: false }
    const peer = peerOf(socket)
    this.#byPeer.set(peer, connection)
    socket.once('close', () => {
      clearTimeout(connection.idle)
      if (this.#byPeer.get(peer) === connection) this.#byPeer.delete(peer)
    })
    if (this.#byPeer.size > this.#limits.connections) this.#evict()
  }

  /** The TLS handshake of a connection is done. */
  secured(socket: TLSSocket): void {
    const connection = this.#byPeer.get(peerOf(socket))
    if (connection) connection.isKnown = socket.authorized
    if (socket.authorized) closeAtExpiry(socket)
  }

  /** Closes an idle HTTP/2 session. */
  watchIdle(session: ServerHttp2Session): void {
    // Node's own idle timer restarts with each frame of the client, PING included.
    session.setTimeout(0)
    const connection = this.#byPeer.get(peerOf(session.socket))
    if (!connection) return
    connection.session = session
    this.#rest(connection)
  }

  /** A request begins on a connection. */
  begin(peer: Peer): ConnectionUse {
    const connection = this.#byPeer.get(peerOf(peer))
    if (!connection) return unknownUse
    connection.open++
    clearTimeout(connection.idle)
    return {
      isOf: (caller) => {
        if (connection.caller?.key === caller.key) return
        connection.caller = caller
        connection.isKnown ||= caller.isSignedIn
        if (!caller.isReserved && this.#countOf(caller.key) > this.#userMax()) connection.socket.destroy()
      },
      isKnown: () => connection.isKnown,
      ended: () => {
        connection.open--
        if (!connection.open) this.#rest(connection)
      },
    }
  }

  closeAll(): void {
    for (const { socket } of this.#byPeer.values()) socket.destroy()
  }

  #userMax(): number {
    return Math.max(1, Math.floor((this.#limits.connections * this.#limits.userShare) / 100))
  }

  #countOf(key: string): number {
    let count = 0
    for (const { caller } of this.#byPeer.values()) if (caller?.key === key) count++
    return count
  }

  #rest(connection: Connection): void {
    clearTimeout(connection.idle)
    const ms = connection.isKnown ? this.#limits.idleTimeoutMs : this.#limits.headerTimeoutMs
    connection.idle = setTimeout(() => this.#end(connection), ms)
    connection.idle.unref()
  }

  /** Sends a GOAWAY where the protocol has one, so that the client can tell this from a failure. */
  #end({ session, socket }: Connection): void {
    session?.close()
    setTimeout(() => socket.destroy(), session ? goodbyeMs : 0).unref()
  }

  /** Makes room for a new connection. The newest is never chosen: it has had no chance yet to authenticate. */
  #evict(): void {
    const all = [...this.#byPeer.values()].slice(0, -1)
    const victim =
      oldestOfMany(all.filter(({ isKnown, open }) => !isKnown && !open)) ??
      oldestOfMany(all.filter(({ isKnown }) => !isKnown)) ??
      oldestOfMany(all.filter(({ caller, open }) => !caller?.isReserved && !open)) ??
      oldestOfMany(all.filter(({ caller }) => !caller?.isReserved))
    if (!victim) return
    this.#log.warn(
      { connections: this.#limits.connections, address: victim.address, user: victim.caller?.key },
      'Closing a connection: too many are open',
    )
    victim.socket.destroy()
  }
}

/** Interval of the check whether a certificate has expired, milliseconds: clocks are set, and timers do not reach a year. */
const expiryCheckMs = 60_000

/** Closes a connection when the client's certificate has expired: a watch may last longer than the right to it. */
function closeAtExpiry(socket: TLSSocket): void {
  const endsMs = Date.parse(socket.getPeerCertificate().valid_to)
  const check = () => {
    const leftMs = endsMs - Date.now()
    if (leftMs <= 0) socket.destroy()
    else timer = setTimeout(check, Math.min(leftMs, expiryCheckMs)).unref()
  }
  let timer: NodeJS.Timeout | undefined
  check()
  socket.once('close', () => clearTimeout(timer))
}

/** The oldest connection of the caller with most of them: a user, or an address without an authenticated user. */
function oldestOfMany(connections: readonly Connection[]): Connection | undefined {
  const byOwner = Map.groupBy(connections, ({ caller, address }) => caller?.key ?? address)
  let most: readonly Connection[] = []
  for (const own of byOwner.values()) if (own.length > most.length) most = own
  return most[0]
}

/** What identifies a connection, of a socket or HTTP/2's proxy for it. */
type Peer = Readonly<{ remoteAddress?: string | undefined; remotePort?: number | undefined }>

/** Address and port of the client: the one thing that a TCP socket, its TLS socket and HTTP/2's proxy of it agree on. */
function peerOf(peer: Peer): string {
  try {
    return `${peer.remoteAddress} ${peer.remotePort}`
  } catch {
    // HTTP/2's proxy throws once the connection is gone; no connection has this name.
    return ''
  }
}
