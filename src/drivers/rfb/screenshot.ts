import type { Socket } from 'node:net'
import { Fault } from '#base/fault.ts'
import { pngOf } from './png.ts'

/** Largest screen that is read, pixels: a guest must not choose how much memory its picture takes. */
const maxPixels = 4096 * 2304

/** Bytes that are skipped at a time. */
const skipBytes = 64 * 1024

/** Encodings of RFB: pixels as they are, and the announcement that the screen has another size. */
const raw = 0
const desktopSize = -223

/** 32 bits for each pixel, little-endian: blue, green, red and nothing. */
const pixelFormat = [32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0]

/**
 * Takes a picture of a screen by RFB 3.8 (RFC 6143), as a client that shares it with others and asks for it once. Resolves to PNG.
 * @throws Fault Unavailable when the server says something else
 */
export async function screenshot(socket: Socket, signal: AbortSignal): Promise<Uint8Array> {
  using server = new Reading(socket, signal)
  await signIn(socket, server)
  const start = await server.bytes(24)
  await server.skip(start.readUInt32BE(20))
  const encodings = Buffer.alloc(12)
  encodings.set([2, 0, 0, 2])
  encodings.writeInt32BE(raw, 4)
  encodings.writeInt32BE(desktopSize, 8)
  socket.write(Buffer.from([0, 0, 0, 0, ...pixelFormat]))
  socket.write(encodings)
  let screen = new Screen(start.readUInt16BE(0), start.readUInt16BE(2))
  for (;;) {
    socket.write(screen.request())
    const next = await readUpdate(server, screen)
    if (next === screen) return pngOf(screen.width, screen.height, screen.rgb)
    screen = next
  }
}

async function signIn(socket: Socket, server: Reading): Promise<void> {
  const version = (await server.bytes(12)).toString('latin1')
  if (!/^RFB 003\.00[78]\n$/.test(version)) throw unexpected(`the version ${JSON.stringify(version)}`)
  socket.write('RFB 003.008\n')
  const [count = 0] = await server.bytes(1)
  const types = await server.bytes(count)
  if (!types.includes(1)) throw unexpected('that it wants a password')
  socket.write(Buffer.from([1]))
  if ((await server.bytes(4)).readUInt32BE() !== 0) throw unexpected('that it lets no client in')
  // Shared: other clients go on.
  socket.write(Buffer.from([1]))
}

/** The pixels of a screen. */
class Screen {
  readonly width: number
  readonly height: number
  readonly rgb: Uint8Array

  constructor(width: number, height: number) {
    if (width * height > maxPixels) throw unexpected(`a screen of ${width} × ${height}`)
    this.width = width
    this.height = height
    this.rgb = new Uint8Array(width * height * 3)
  }

  /** A request for all of it. */
  request(): Buffer {
    const bytes = Buffer.alloc(10)
    bytes[0] = 3
    bytes.writeUInt16BE(this.width, 6)
    bytes.writeUInt16BE(this.height, 8)
    return bytes
  }

  draw(x: number, y: number, width: number, pixels: Buffer): void {
    for (let i = 0, at = 0; at < pixels.length; i++, at += 4) {
      const to = ((y + Math.floor(i / width)) * this.width + x + (i % width)) * 3
      this.rgb[to] = pixels[at + 2]!
      this.rgb[to + 1] = pixels[at + 1]!
      this.rgb[to + 2] = pixels[at]!
    }
  }
}

/** Reads up to the update that was asked for, and resolves to its screen; to another one when that has another size by now. */
async function readUpdate(server: Reading, screen: Screen): Promise<Screen> {
  for (;;) {
    const [type] = await server.bytes(1)
    if (type === 0) return await drawUpdate(server, screen)
    // Colours, a bell and the guest's clipboard are none of our business.
    if (type === 1) await server.skip((await server.bytes(5)).readUInt16BE(3) * 6)
    else if (type === 3) await server.skip((await server.bytes(7)).readUInt32BE(3))
    else if (type !== 2) throw unexpected(`a message of type ${type}`)
  }
}

async function drawUpdate(server: Reading, screen: Screen): Promise<Screen> {
  const count = (await server.bytes(3)).readUInt16BE(1)
  let now = screen
  for (let i = 0; i < count; i++) {
    const head = await server.bytes(12)
    const [x, y, width, height] = [0, 2, 4, 6].map((at) => head.readUInt16BE(at)) as [number, number, number, number]
    const encoding = head.readInt32BE(8)
    if (encoding === desktopSize) now = new Screen(width, height)
    else if (encoding !== raw) throw unexpected(`the encoding ${encoding}`)
    else if (x + width > now.width || y + height > now.height) throw unexpected('pixels beside the screen')
    else now.draw(x, y, width, await server.bytes(width * height * 4))
  }
  return now
}

/** Bytes of a socket, as many as are asked for. */
class Reading implements Disposable {
  readonly #socket: Socket
  readonly #signal: AbortSignal
  readonly #stop: () => void
  #failure: Error | undefined

  constructor(socket: Socket, signal: AbortSignal) {
    this.#socket = socket
    this.#signal = signal
    this.#stop = () => socket.destroy(new Fault('Timeout', 'The screen was not drawn in time'))
    signal.addEventListener('abort', this.#stop, { once: true })
    socket.on('error', (error) => {
      this.#failure = error
    })
  }

  async bytes(count: number): Promise<Buffer> {
    const chunks: Buffer[] = []
    let missing = count
    while (missing > 0) {
      const chunk = this.#socket.read(Math.min(missing, Math.max(1, this.#socket.readableLength))) as Buffer | null
      if (chunk) {
        chunks.push(chunk)
        missing -= chunk.length
      } else await this.#more()
    }
    return Buffer.concat(chunks)
  }

  async skip(count: number): Promise<void> {
    for (let left = count; left > 0; left -= Math.min(left, skipBytes)) await this.bytes(Math.min(left, skipBytes))
  }

  async #more(): Promise<void> {
    const socket = this.#socket
    if (!socket.readableEnded && !socket.destroyed)
      await new Promise<void>((resolve) => {
        const done = () => {
          for (const event of ['readable', 'end', 'close'] as const) socket.off(event, done)
          resolve()
        }
        for (const event of ['readable', 'end', 'close'] as const) socket.on(event, done)
      })
    if (this.#failure) throw this.#failure
    if (socket.readableEnded || socket.destroyed) throw unexpected('nothing more')
  }

  [Symbol.dispose](): void {
    this.#signal.removeEventListener('abort', this.#stop)
    this.#socket.destroy()
  }
}

function unexpected(what: string): Fault {
  return new Fault('Unavailable', `Cannot take a picture of the screen: it answers with ${what}`)
}
