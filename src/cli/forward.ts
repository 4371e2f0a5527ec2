import { createSocket } from 'node:dgram'
import { createServer, type Server, type Socket } from 'node:net'
import type { Readable, Writable } from 'node:stream'
import { createWebSocketStream, type WebSocket } from 'ws'
import { explain, Fault } from '#base/fault.ts'
import { pluralOf, type StreamContext, protocol as subprotocol, type Target } from './streams.ts'
import { pathOf } from './virtctl.ts'

/** A port here that leads to one of a guest. */
export type Forward = Readonly<{ protocol: 'tcp' | 'udp'; local: number; remote: number }>

/** How long a client of a UDP port is remembered after its last datagram, milliseconds. */
const idleMs = 60_000

/** `[tcp|udp/]LOCAL[:REMOTE]`. @throws Fault Invalid */
export function forwardOf(text: string): Forward {
  const [, protocol = 'tcp', local = '', remote = local] = /^(?:(tcp|udp)\/)?(\d{1,5})(?::(\d{1,5}))?$/.exec(text) ?? []
  const forward: Forward = {
    protocol: protocol === 'udp' ? 'udp' : 'tcp',
    local: Number(local),
    remote: Number(remote),
  }
  const isPort = (port: number) => port >= 1 && port <= 65_535
  if (local && isPort(forward.remote) && (isPort(forward.local) || forward.local === 0)) return forward
  throw new Fault('Invalid', `${JSON.stringify(text)} is no port; write it like 8080, 8080:80 or udp/5353:53`)
}

/** Opens a port of a guest. */
export function openPort(
  { channels }: StreamContext,
  { kind, name, namespace }: Target,
  { protocol, remote }: Pick<Forward, 'protocol' | 'remote'>,
  signal?: AbortSignal,
): Promise<WebSocket> {
  const path = `${pathOf(namespace, pluralOf[kind], name, 'portforward')}/${remote}/${protocol}`
  return channels.open(path, subprotocol, signal)
}

/** Forwards ports until the signal aborts. @throws Fault Unavailable for a port that is taken here */
export async function forwardPorts(
  context: StreamContext,
  target: Target,
  { ports, address }: Readonly<{ ports: readonly Forward[]; address: string }>,
  signal: AbortSignal,
): Promise<void> {
  await using stack = new AsyncDisposableStack()
  for (const port of ports) {
    const open = port.protocol === 'tcp' ? forwardTcp : forwardUdp
    const { port: local, close } = await open(context, target, { ...port, address })
    stack.defer(close)
    const where = address.includes(':') ? `[${address}]` : address
    context.print.line(`Forwarding from ${where}:${local} to ${port.protocol}/${port.remote}`)
  }
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
}

type Here = Forward & Readonly<{ address: string }>
type Listening = Readonly<{ port: number; close: () => Promise<void> }>

async function forwardTcp(context: StreamContext, target: Target, forward: Here): Promise<Listening> {
  const sockets = new Set<Socket>()
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    openPort(context, target, forward).then(
      (channel) => join(channel, socket),
      (error: unknown) => {
        context.print.note(`Cannot reach ${target.kind}/${target.name} port ${forward.remote}: ${explain(error)}`)
        socket.destroy()
      },
    )
  })
  const port = await listen(server, forward)
  const close = async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  }
  return { port, close }
}

/** Listens. @throws Fault Unavailable when the port is taken */
export async function listen(server: Server, { address, local }: Pick<Here, 'address' | 'local'>): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(taken(address, local, cause)))
    server.listen(local, address, () => resolve())
  })
  const where = server.address()
  return where && typeof where === 'object' ? where.port : local
}

function taken(address: string, port: number, cause: unknown): Fault {
  return new Fault('Unavailable', `Cannot listen on ${address}:${port}; choose another port, or 0 for any`, { cause })
}

/** Joins a channel and a connection: when one ends, what it has said is passed on, and the other is ended. */
export function join(channel: WebSocket, socket: Socket): void {
  const stream = createWebSocketStream(channel)
  stream.on('error', () => socket.destroy())
  socket.once('close', () => stream.destroy())
  stream.once('close', () => socket.end())
  socket.pipe(stream).pipe(socket)
}

/** Joins a channel and the two pipes of a program, until the channel ends. */
export async function joinPipes(channel: WebSocket, input: Readable, output: Writable): Promise<void> {
  const stream = createWebSocketStream(channel)
  const closed = new Promise<void>((resolve) => {
    // The stream of a channel that has ended stays open as long as its input may have more.
    stream.once('end', () => resolve())
    stream.once('close', () => resolve())
    stream.once('error', () => resolve())
    output.once('error', () => stream.destroy())
  })
  input.pipe(stream)
  stream.pipe(output)
  await closed
  input.unpipe(stream)
  input.pause()
}

async function forwardUdp(context: StreamContext, target: Target, forward: Here): Promise<Listening> {
  const { address, local } = forward
  const server = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  const clients = new Map<string, Promise<WebSocket>>()
  server.on('message', (data, from) => {
    const key = `${from.address} ${from.port}`
    const known = clients.get(key)
    const channel = known ?? openPort(context, target, forward)
    clients.set(key, channel)
    if (!known)
      answer(
        channel,
        (bytes) => server.send(bytes, from.port, from.address),
        () => clients.delete(key),
      )
    // One that cannot be sent is lost, as datagrams are.
    channel.then((socket) => socket.send(data)).catch((error: unknown) => context.print.note(explain(error)))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(taken(address, local, cause)))
    server.bind(local, address, () => resolve())
  })
  const close = async () => {
    for (const channel of clients.values()) void channel.then((socket) => socket.terminate()).catch(() => undefined)
    server.close()
  }
  return { port: server.address().port, close }
}

/** Passes on the datagrams of a guest to the client they are for, until neither has sent any for a while. */
function answer(channel: Promise<WebSocket>, send: (data: Buffer) => void, forget: () => void): void {
  channel.then((socket) => {
    const timer = setTimeout(() => socket.close(1000), idleMs)
    socket.on('message', (data: Buffer) => {
      timer.refresh()
      send(data)
    })
    socket.resume()
    socket.once('close', () => {
      clearTimeout(timer)
      forget()
    })
  }, forget)
}
