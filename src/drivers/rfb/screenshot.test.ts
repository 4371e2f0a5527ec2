import assert from 'node:assert/strict'
import { connect, createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { inflateSync } from 'node:zlib'
import { screenshot } from './screenshot.ts'

/** A server that says what it is told, one after the other. */
async function serverSaying(t: TestContext, ...parts: readonly Buffer[]): Promise<Socket> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    for (const part of parts) socket.write(part)
    socket.on('data', () => undefined)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const socket = connect((server.address() as { port: number }).port, '127.0.0.1')
  t.after(() => {
    socket.destroy()
    server.close()
  })
  return socket
}

const hello = [Buffer.from('RFB 003.008\n'), Buffer.from([1, 1]), Buffer.alloc(4)]

function start(width: number, height: number, name = 'QEMU'): Buffer {
  const bytes = Buffer.alloc(24)
  bytes.writeUInt16BE(width, 0)
  bytes.writeUInt16BE(height, 2)
  bytes.writeUInt32BE(name.length, 20)
  return Buffer.concat([bytes, Buffer.from(name)])
}

function update(...rectangles: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from([0, 0, 0, rectangles.length]), ...rectangles])
}

function rectangle([x, y, width, height]: readonly number[], encoding: number, pixels: readonly number[] = []): Buffer {
  const head = Buffer.alloc(12)
  for (const [i, value] of [x, y, width, height].entries()) head.writeUInt16BE(value ?? 0, i * 2)
  head.writeInt32BE(encoding, 8)
  return Buffer.concat([head, Buffer.from(pixels)])
}

const take = async (socket: Socket) => Buffer.from(await screenshot(socket, AbortSignal.timeout(10_000)))
const linesOf = (png: Buffer) => [...inflateSync(png.subarray(41, 41 + png.readUInt32BE(33)))]

test('pixels become lines of RGB, wherever they come in; bells, colours and clipboards are passed over', async (t) => {
  const red = [0, 0, 255, 0]
  const blue = [255, 0, 0, 0]
  const socket = await serverSaying(
    t,
    ...hello,
    start(2, 2),
    Buffer.from([2, 3, 0, 0, 0, 0, 0, 0, 2, 65, 66]),
    Buffer.from([1, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]),
    update(rectangle([0, 0, 2, 1], 0, [...red, ...blue]), rectangle([1, 1, 1, 1], 0, red)),
  )
  assert.deepEqual(linesOf(await take(socket)), [0, 255, 0, 0, 0, 0, 255, 0, 0, 0, 0, 255, 0, 0])
})

test('a screen that changes its size is asked for again', async (t) => {
  const white = [255, 255, 255, 0]
  const socket = await serverSaying(
    t,
    ...hello,
    start(2, 2),
    update(rectangle([0, 0, 1, 1], -223)),
    update(rectangle([0, 0, 1, 1], 0, white)),
  )
  assert.deepEqual(linesOf(await take(socket)), [0, 255, 255, 255])
})

test('whatever else a server says ends it with a sentence', async (t) => {
  const [version, types, result] = hello as [Buffer, Buffer, Buffer]
  const cases: readonly (readonly [RegExp, ...Buffer[]])[] = [
    [/with the version "HTTP\/1.1 400"/, Buffer.from('HTTP/1.1 400 Bad')],
    [/that it wants a password/, version, Buffer.from([1, 2])],
    [/that it lets no client in/, version, types, Buffer.from([0, 0, 0, 1])],
    [/a screen of 65535 × 65535/, ...hello, start(65_535, 65_535)],
    [/pixels beside the screen/, ...hello, start(2, 2), update(rectangle([1, 1, 2, 2], 0))],
    [/the encoding 5/, version, types, result, start(2, 2), update(rectangle([0, 0, 2, 2], 5))],
    [/a message of type 9/, ...hello, start(2, 2), Buffer.from([9])],
  ]
  for (const [why, ...parts] of cases) await assert.rejects(take(await serverSaying(t, ...parts)), why)
})
