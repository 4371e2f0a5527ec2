import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { WebSocket, WebSocketServer } from 'ws'
import { explain, Fault } from '#base/fault.ts'
import type { Upgrade } from './exchange.ts'

/** Bytes in both directions; what is behind it is not this room's matter. */
export type ByteStream = Readonly<{ readable: ReadableStream<Uint8Array>; writable: WritableStream<Uint8Array> }>

/** What a WebSocket may take. */
export type SocketLimits = Readonly<{
  /** Time for a client to read what was sent, and to answer a ping, milliseconds. */
  silenceMs: number
  /** Interval of pings, milliseconds. */
  pingMs?: number
}>

/** Largest message of a client, bytes. */
const maxMessage = 1024 * 1024
/** Bytes that may wait for a slow client before no more are read for it. */
const maxUnread = 256 * 1024
/** Bytes of a client that may wait for what they are sent to, before no more are read from it. */
const maxUnwritten = 64 * 1024
/** What a message costs beside its bytes: many empty ones are not for free. */
const messageCost = 64
const usualPingMs = 10_000
/** Time for the closing handshake, and for what a client has sent last to be taken, milliseconds. */
const closeMs = 5_000

/** @throws Fault BadRequest for a request that opens no WebSocket */
export function requireWebSocket(headers: IncomingHttpHeaders): void {
  const { upgrade, 'sec-websocket-key': key = '', 'sec-websocket-version': version } = headers
  const isWhole = upgrade?.toLowerCase() === 'websocket' && /^[+/0-9a-z]{22}==$/i.test(key) && version === '13'
  if (!isWhole)
    throw new Fault(
      'BadRequest',
      'the request must open a WebSocket: send upgrade: websocket, sec-websocket-version: 13 and a key, over HTTP/1.1',
    )
}

/** Answers an upgrade. Of the subprotocols a client offers, `protocol` is chosen, or none. @throws Fault Aborted, BadRequest */
export function acceptWebSocket(
  { request, socket, head }: Upgrade & Readonly<{ request: IncomingMessage }>,
  { protocol, headers }: Readonly<{ protocol: string; headers: Readonly<Record<string, string>> }>,
): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    // Nothing would come of it.
    if (!socket.readable || !socket.writable)
      return reject(new Fault('Aborted', 'the client left before it was answered'))
    const server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: maxMessage,
      handleProtocols: (offered) => offered.has(protocol) && protocol,
    })
    server.once('headers', (lines) =>
      lines.push(...Object.entries(headers).map(([name, value]) => `${name}: ${value}`)),
    )
    server.once('wsClientError', (cause) => {
      socket.destroy()
      reject(new Fault('BadRequest', 'the request opens no WebSocket', { cause }))
    })
    server.handleUpgrade(request, socket, head, (accepted) => {
      // Until it is carried, nothing of it must be missed.
      accepted.pause()
      resolve(accepted)
    })
  })
}

/**
 * Carries a stream over a WebSocket, in binary messages, until either ends. A client that reads too slowly slows down its own
 * stream and is cut when it reads nothing; one that sends more than is taken is not read meanwhile. Resolves when it is closed.
 */
export async function carry(
  socket: WebSocket,
  stream: ByteStream,
  stopping: AbortSignal,
  limits: SocketLimits,
): Promise<void> {
  const reader = stream.readable.getReader()
  const writer = stream.writable.getWriter()
  writer.closed.catch(() => undefined)
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  // `close` follows.
  socket.on('error', () => undefined)
  const stop = () => end(socket, 1001, 'the server stops')
  stopping.addEventListener('abort', stop, { once: true })
  if (stopping.aborted) stop()
  const stopPings = ping(socket, limits)
  receive(socket, writer)
  socket.resume()
  send(socket, reader, limits.silenceMs).then(
    () => end(socket, 1000, ''),
    (error: unknown) => end(socket, 1011, explain(error)),
  )
  await closed
  stopPings()
  stopping.removeEventListener('abort', stop)
  await flush(writer)
  // What still waits is given up by the one who made the stream.
  for (const given of [writer.abort(), reader.cancel()]) given.catch(() => undefined)
}

/** Lets what a client has sent last arrive, if it is taken in time. */
async function flush(writer: WritableStreamDefaultWriter<Uint8Array>): Promise<void> {
  const late = Promise.withResolvers<void>()
  const timer = setTimeout(late.resolve, closeMs)
  await Promise.race([writer.close().catch(() => undefined), late.promise])
  clearTimeout(timer)
}

/** Sends what is read, as fast as the client takes it. */
async function send(
  socket: WebSocket,
  reader: ReadableStreamDefaultReader<Uint8Array>,
  silenceMs: number,
): Promise<void> {
  for (;;) {
    const { done, value } = await reader.read()
    if (done || socket.readyState !== WebSocket.OPEN) return
    const sent = new Promise<void>((resolve) => socket.send(value, () => resolve()))
    if (socket.bufferedAmount <= maxUnread) continue
    const timer = setTimeout(() => socket.terminate(), silenceMs)
    await sent
    clearTimeout(timer)
  }
}

/** Writes what the client sends; while too much waits, no more is read from it. Text is ignored. */
function receive(socket: WebSocket, writer: WritableStreamDefaultWriter<Uint8Array>): void {
  let waiting = 0
  socket.on('message', (data: Buffer, isBinary) => {
    if (!isBinary) return
    const cost = data.length + messageCost
    waiting += cost
    if (waiting > maxUnwritten) socket.pause()
    const written = () => {
      waiting -= cost
      if (socket.isPaused && waiting <= maxUnwritten) socket.resume()
    }
    writer.write(data).then(written, (error: unknown) => {
      written()
      end(socket, 1011, explain(error))
    })
  })
}

/** Pings a client, and cuts it when nothing comes from it; one that is not read meanwhile cannot be heard. */
function ping(socket: WebSocket, { silenceMs, pingMs = usualPingMs }: SocketLimits): () => void {
  let heardMs = performance.now()
  const hear = () => {
    heardMs = performance.now()
  }
  for (const event of ['pong', 'ping', 'message'] as const) socket.on(event, hear)
  const timer = setInterval(() => {
    if (socket.isPaused) hear()
    if (performance.now() - heardMs > silenceMs + pingMs) socket.terminate()
    else if (socket.readyState === WebSocket.OPEN) socket.ping()
  }, pingMs)
  timer.unref()
  return () => clearInterval(timer)
}

/** Most bytes of the reason in a closing frame (RFC 6455). */
const maxReason = 123

/** Closes a socket, by force if the client does not answer. */
function end(socket: WebSocket, code: number, reason: string): void {
  if (socket.readyState !== WebSocket.OPEN) return
  // Its answer has to be read.
  if (socket.isPaused) socket.resume()
  const bytes = Buffer.from(reason).subarray(0, maxReason)
  // A character must not be cut in two.
  socket.close(code, bytes.toString().replace(/\uFFFD+$/, ''))
  const timer = setTimeout(() => socket.terminate(), closeMs)
  timer.unref()
  socket.once('close', () => clearTimeout(timer))
}
