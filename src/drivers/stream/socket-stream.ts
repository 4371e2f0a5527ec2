import type { Socket } from 'node:net'
import type { ByteStream } from '#core/ports.ts'

/** A connected socket as a stream, which reads from it no faster than its reader does. It is closed when the signal aborts. */
export function socketStream(socket: Socket, signal: AbortSignal): ByteStream {
  const destroy = () => socket.destroy()
  signal.addEventListener('abort', destroy, { once: true })
  if (signal.aborted) destroy()
  socket.once('close', () => signal.removeEventListener('abort', destroy))
  return { readable: readableOf(socket), writable: writableOf(socket) }
}

function readableOf(socket: Socket): ReadableStream<Uint8Array> {
  let isOver = false
  const over = (last: () => void) => {
    if (isOver) return
    isOver = true
    last()
  }
  return new ReadableStream<Uint8Array>({
    start: (controller) => {
      socket.pause()
      socket.on('data', (chunk: Buffer) => {
        if (isOver) return
        controller.enqueue(chunk)
        if ((controller.desiredSize ?? 0) <= 0) socket.pause()
      })
      socket.once('error', (error) => over(() => controller.error(error)))
      for (const event of ['end', 'close'] as const) socket.once(event, () => over(() => controller.close()))
    },
    pull: () => {
      socket.resume()
    },
    cancel: () => {
      over(() => undefined)
      socket.destroy()
    },
  })
}

function writableOf(socket: Socket): WritableStream<Uint8Array> {
  return new WritableStream<Uint8Array>({
    write: (chunk) =>
      new Promise((resolve, reject) => {
        socket.write(chunk, (error) => (error ? reject(error) : resolve()))
      }),
    close: () => new Promise((resolve) => socket.end(() => resolve())),
    abort: () => {
      socket.destroy()
    },
  })
}
