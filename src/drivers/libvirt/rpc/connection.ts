import { connect as connectSocket, type Socket } from 'node:net'
import { Fault } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { type CallOptions, Calls, gone } from './calls.ts'
import { faultOf } from './errors.ts'
import { type Procedure, procedures } from './procedures.ts'
import { encodeFrame, type Frame, FrameReader, frameStatus, frameType, program } from './wire.ts'
import { XdrReader, XdrWriter } from './xdr.ts'

/** Options of a connection. Times in milliseconds. */
export type ConnectionOptions = Readonly<{
  socketPath: string
  log: Log
  /** Aborts connecting, or closes the open connection. */
  signal?: AbortSignal
  /** Default timeout of a call. */
  callTimeoutMs?: number
  /** Interval of keepalive pings without other traffic; after `pingLimit` unanswered pings the connection is closed. */
  pingEveryMs?: number
  pingLimit?: number
}>

/** Default timeout of calls: enough for a libvirtd that waits for a busy QEMU; slower calls have their own. */
const defaultCallTimeoutMs = 30_000
const defaultPingEveryMs = 5000
const defaultPingLimit = 5

/** libvirt's number of the feature keepalive. */
const keepaliveFeature = 10

const keepaliveProcedure = { ping: 1, pong: 2 } as const

/**
 * One connection to a libvirtd. Life: connecting -> open -> closed, never back.
 *
 * Calls may overlap; replies come in any order. When it closes, for whatever reason, every pending call rejects with a
 * Fault Unavailable and `closed` resolves with the reason.
 */
export class Connection {
  /** Resolves, never rejects, when the connection is over. */
  readonly closed: Promise<Fault>
  readonly #socket: Socket
  readonly #log: Log
  readonly #callTimeoutMs: number
  readonly #reader = new FrameReader()
  readonly #calls: Calls
  readonly #listeners = new Set<(frame: Frame) => void>()
  #reason: Fault | undefined
  #unanswered = 0
  #pinger: NodeJS.Timeout | undefined
  #resolveClosed: (reason: Fault) => void = () => undefined

  /** Used by `connect`, which opens the connection. */
  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket
    this.#calls = new Calls((bytes) => socket.write(bytes))
    this.#log = options.log
    this.#callTimeoutMs = options.callTimeoutMs ?? defaultCallTimeoutMs
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve
    })
    socket.on('data', (bytes) => this.#receive(bytes))
    socket.on('error', (cause) => this.#fail(new Fault('Unavailable', 'The connection to libvirt broke', { cause })))
    socket.on('close', () => this.#fail(new Fault('Unavailable', 'libvirt closed the connection')))
    const stop = () =>
      this.#fail(new Fault('Aborted', 'The connection to libvirt was given up', { cause: options.signal?.reason }))
    options.signal?.addEventListener('abort', stop, { once: true })
    void this.closed.then(() => options.signal?.removeEventListener('abort', stop))
  }

  get isOpen(): boolean {
    return this.#reason === undefined
  }

  /** Number of calls that have not ended, including abandoned ones that libvirt still works on. */
  get load(): number {
    return this.#calls.load
  }

  /**
   * Calls a procedure. `what` completes the sentence "libvirt cannot …". Time in the queue counts as time of the call.
   * @throws Fault of the kind libvirt's error means; Timeout, Aborted; Unavailable when the connection is over.
   */
  async call<A, R>(procedure: Procedure<A, R>, args: A, what: string, options: CallOptions = {}): Promise<R> {
    if (this.#reason) throw gone(what, this.#reason)
    const { signal, timeoutMs = this.#callTimeoutMs } = options
    const encode = (serial: number) => encodeCall(procedure, args, serial)
    const decode = (frame: Frame) => decodeReply(procedure, frame, what)
    return this.#calls.start({ encode, decode, what, timeoutMs, signal })
  }

  /** Calls the listener with every event message, undecoded, until the returned function is called. */
  onMessage(listener: (frame: Frame) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Starts keepalive pings. */
  watchPeer(everyMs: number, limit: number): void {
    this.#pinger = setInterval(() => {
      if (this.#unanswered >= limit) {
        return this.#fail(new Fault('Unavailable', `libvirt has not answered for ${everyMs * limit} ms`))
      }
      // The first tick after a message only counts: the silence must last a whole interval.
      if (this.#unanswered > 0) this.#sendKeepalive(keepaliveProcedure.ping)
      this.#unanswered += 1
    }, everyMs).unref()
  }

  /** Closes the connection. Pending calls reject. */
  close(): void {
    this.#fail(new Fault('Unavailable', 'The connection to libvirt was closed'))
  }

  #receive(bytes: Buffer): void {
    this.#unanswered = 0
    try {
      for (const frame of this.#reader.push(bytes)) this.#dispatch(frame)
    } catch (fault) {
      this.#fail(
        fault instanceof Fault ? fault : new Fault('Bug', 'A libvirt message could not be handled', { cause: fault }),
      )
    }
  }

  #dispatch(frame: Frame): void {
    const { header } = frame
    if (header.program === program.keepalive) {
      if (header.procedure === keepaliveProcedure.ping) this.#sendKeepalive(keepaliveProcedure.pong)
    } else if (header.type === frameType.reply) {
      this.#calls.settle(frame)
    } else if (header.type === frameType.message) {
      for (const listener of this.#listeners) listener(frame)
    } else {
      this.#log.debug({ procedure: header.procedure, type: header.type }, 'Ignoring an unexpected libvirt message')
    }
  }

  #sendKeepalive(procedure: number): void {
    const header = { program: program.keepalive, procedure, type: frameType.message, serial: 0, status: 0 }
    if (this.#socket.writable) this.#socket.write(encodeFrame(header, Buffer.alloc(0)))
  }

  #fail(reason: Fault): void {
    if (this.#reason) return
    this.#reason = reason
    clearInterval(this.#pinger)
    this.#socket.destroy()
    this.#calls.failAll(reason)
    this.#resolveClosed(reason)
  }
}

/**
 * Opens a connection to the libvirtd behind a unix socket and to its QEMU driver.
 * @throws Fault Unavailable when no process listens there or it uses another protocol; Timeout; Aborted.
 */
export async function connect(options: ConnectionOptions): Promise<Connection> {
  const socket = await openSocket(options)
  const connection = new Connection(socket, options)
  try {
    const { types } = await connection.call(procedures.authList, undefined, 'list its ways to log in')
    const authNone = 0
    if (!types.includes(authNone)) throw new Fault('Forbidden', `libvirt at ${options.socketPath} wants a login`)
    // Asking whether the server supports keepalive enables it.
    const answer = await connection.call(
      procedures.connectSupportsFeature,
      { feature: keepaliveFeature },
      'say what it supports',
    )
    await connection.call(procedures.connectOpen, { uri: 'qemu:///system', flags: 0 }, 'open its QEMU driver')
    if (answer.supported) {
      connection.watchPeer(options.pingEveryMs ?? defaultPingEveryMs, options.pingLimit ?? defaultPingLimit)
    }
    return connection
  } catch (error) {
    connection.close()
    throw error
  }
}

function openSocket({ socketPath, signal }: ConnectionOptions): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const socket = connectSocket(socketPath)
    const stop = () => {
      socket.destroy()
      reject(signal?.reason)
    }
    const refused = (cause: Error) => {
      signal?.removeEventListener('abort', stop)
      reject(new Fault('Unavailable', `libvirt does not answer at ${socketPath}`, { cause }))
    }
    socket.once('error', refused)
    socket.once('connect', () => {
      socket.off('error', refused)
      signal?.removeEventListener('abort', stop)
      resolve(socket)
    })
    signal?.addEventListener('abort', stop, { once: true })
  })
}

function encodeCall<A, R>(procedure: Procedure<A, R>, args: A, serial: number): Buffer {
  const body = new XdrWriter()
  procedure.args.write(body, args)
  const header = { program: procedure.program, procedure: procedure.number, type: frameType.call, serial, status: 0 }
  return encodeFrame(header, body.bytes())
}

function decodeReply<A, R>(procedure: Procedure<A, R>, frame: Frame, what: string): R {
  const from = new XdrReader(frame.body)
  if (frame.header.status === frameStatus.error) throw faultOf(from, what)
  return procedure.result.read(from)
}
