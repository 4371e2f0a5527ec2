import { createSocket, type Socket as DatagramSocket } from 'node:dgram'
import { BlockList, connect, isIPv6, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { Fault } from '#base/fault.ts'
import type { ByteStream, StreamTarget } from '#core/ports.ts'
import { socketStream } from './socket-stream.ts'

/** Time for a connection to a guest, or to what serves its screen, milliseconds. */
export const dialMs = 10_000

/** Silence after which a guest is asked whether it still knows of a connection, milliseconds: one that was reset does not. */
const askMs = 10_000

/** Datagrams that may wait for their reader; further ones are lost, as datagrams are. */
const maxDatagrams = 256

/** Addresses that are never a guest's. */
const never = new BlockList()
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['224.0.0.0', 3],
] as const)
  never.addSubnet(net, bits)
never.addSubnet('::', 127, 'ipv6')
never.addSubnet('ff00::', 8, 'ipv6')

/**
 * Dials a port of a guest. `address` is the one that CNI assigned: whatever that says, this host itself is not dialled.
 * @throws Fault Forbidden, Unavailable, Timeout
 */
export async function dialPort(
  address: string,
  { port, protocol }: Extract<StreamTarget, { to: 'port' }>,
  signal: AbortSignal,
): Promise<ByteStream> {
  if (isOfHost(address)) throw new Fault('Forbidden', `${address} is an address of the host, not of the guest`)
  if (protocol === 'udp') return datagramStream(address, port, signal)
  const what = `tcp ${isIPv6(address) ? `[${address}]` : address}:${port}`
  const options = { host: address, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: askMs }
  return socketStream(await connected(connect(options), what, signal), signal)
}

/** Whether an address leads to this host, or to no single one. */
export function isOfHost(address: string): boolean {
  const type = isIPv6(address) ? 'ipv6' : 'ipv4'
  const own = Object.values(networkInterfaces()).flatMap((all) => all ?? [])
  return never.check(address, type) || own.some((one) => one.address === address)
}

/** Resolves when a socket is connected. @throws Fault Unavailable, Timeout, Aborted */
export function connected(socket: Socket, what: string, signal: AbortSignal): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>()
  const fail = (kind: 'Unavailable' | 'Timeout' | 'Aborted', why: string, cause?: unknown) => {
    socket.destroy()
    reject(new Fault(kind, why, { cause }))
  }
  const stop = () => fail('Aborted', `${what} was given up`)
  const onError = (cause: Error) => fail('Unavailable', `${what} cannot be reached`, cause)
  const timer = setTimeout(() => fail('Timeout', `${what} does not answer within ${dialMs / 1000} s`), dialMs)
  signal.addEventListener('abort', stop, { once: true })
  socket.once('connect', () => resolve(socket))
  socket.once('error', onError)
  // From here on its stream has its errors.
  const settled = () => {
    clearTimeout(timer)
    signal.removeEventListener('abort', stop)
    socket.on('error', () => undefined)
    socket.off('error', onError)
  }
  return promise.finally(settled)
}

/** Each chunk is a datagram. */
export async function datagramStream(address: string, port: number, signal: AbortSignal): Promise<ByteStream> {
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    socket.connect(port, address, () => {
      socket.off('error', reject)
      resolve()
    })
  })
  const close = () => closeDatagrams(socket)
  signal.addEventListener('abort', close, { once: true })
  socket.once('close', () => signal.removeEventListener('abort', close))
  const readable = new ReadableStream<Uint8Array>(
    {
      start: (controller) => {
        socket.on('message', (data) => (controller.desiredSize ?? 0) > 0 && controller.enqueue(data))
        // What the guest refuses comes as an error of the socket.
        socket.once('error', (error) => {
          controller.error(error)
          close()
        })
        socket.once('close', () => {
          try {
            controller.close()
          } catch {
            // It was cancelled, or has failed.
          }
        })
      },
      cancel: close,
    },
    { highWaterMark: maxDatagrams },
  )
  const writable = new WritableStream<Uint8Array>({
    write: (data) => new Promise((resolve) => socket.send(data, () => resolve())),
    abort: close,
  })
  return { readable, writable }
}

function closeDatagrams(socket: DatagramSocket): void {
  try {
    socket.close()
  } catch {
    // It is closed.
  }
}
