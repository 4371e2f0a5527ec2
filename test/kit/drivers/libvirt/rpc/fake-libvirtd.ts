import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Codec } from '#drivers/libvirt/rpc/codec.ts'
import { errorBody } from '#drivers/libvirt/rpc/errors.ts'
import { procedures } from '#drivers/libvirt/rpc/procedures.ts'
import {
  encodeFrame,
  type Frame,
  FrameReader,
  frameStatus,
  frameType,
  type Header,
  program,
} from '#drivers/libvirt/rpc/wire.ts'
import { XdrWriter } from '#drivers/libvirt/rpc/xdr.ts'

/** What a test does with one call. */
export type Incoming = Readonly<{
  frame: Frame
  socket: Socket
  /** Answers it, now or later. */
  reply: <T>(codec: Codec<T>, value: T) => void
  fail: (code: number, message: string) => void
}>

/** A libvirtd that opens connections and leaves every other call to the test. For tests. */
export type FakeLibvirtd = AsyncDisposable &
  Readonly<{ socketPath: string; sockets: readonly Socket[]; keepalive: Frame[] }>

/** Starts one on a socket in a new directory. */
export async function fakeLibvirtd(onCall: (call: Incoming) => void): Promise<FakeLibvirtd> {
  const dir = await mkdtemp(join(tmpdir(), 'pb-rpc-'))
  const socketPath = join(dir, 's')
  const sockets: Socket[] = []
  const keepalive: Frame[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    const reader = new FrameReader()
    socket.on('error', () => undefined)
    socket.on('data', (bytes) => {
      for (const frame of reader.push(bytes)) {
        if (frame.header.program === program.keepalive) keepalive.push(frame)
        else if (!openingReply(frame, socket)) onCall(incoming(frame, socket))
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
  return {
    socketPath,
    sockets,
    keepalive,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
      await rm(dir, { recursive: true })
    },
  }
}

/** The bytes of a message or reply. */
export function frameBytes<T>(header: Header, codec: Codec<T>, value: T): Buffer {
  const out = new XdrWriter()
  codec.write(out, value)
  return encodeFrame(header, out.bytes())
}

function incoming(frame: Frame, socket: Socket): Incoming {
  const header = { ...frame.header, type: frameType.reply }
  const nothingMore = { level: 2, object: undefined, text1: undefined, text2: undefined, text3: undefined }
  return {
    frame,
    socket,
    reply: (codec, value) => socket.write(frameBytes(header, codec, value)),
    fail: (code, message) => {
      const error = { code, domain: 10, message, ...nothingMore, number1: 0, number2: 0, network: undefined }
      socket.write(frameBytes({ ...header, status: frameStatus.error }, errorBody, error))
    },
  }
}

function openingReply(frame: Frame, socket: Socket): boolean {
  const { reply } = incoming(frame, socket)
  const { authList, connectSupportsFeature, connectOpen } = procedures
  if (frame.header.program !== program.remote) return false
  if (frame.header.procedure === authList.number) reply(authList.result, { types: [0] })
  else if (frame.header.procedure === connectSupportsFeature.number)
    reply(connectSupportsFeature.result, { supported: true })
  else if (frame.header.procedure === connectOpen.number) reply(connectOpen.result, undefined)
  else return false
  return true
}
