import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { WebSocket } from 'ws'
import { eventually } from '#base/wait.ts'
import { acceptWebSocket, type ByteStream, carry, requireWebSocket } from './websocket.ts'

type Carried = Readonly<{ stream: ByteStream; stopping?: AbortSignal; silenceMs?: number; pingMs?: number }>

/** A server that carries a stream for each client, and a client of it. */
async function clientOf(t: TestContext, how: Carried, autoPong = true) {
  const carried: Promise<void>[] = []
  const server = createServer()
  server.on('upgrade', async (request, socket, head) => {
    const accepted = await acceptWebSocket({ request, socket, head }, { protocol: 'p', headers: { 'x-id': '1' } })
    const { stream, stopping = new AbortController().signal, silenceMs = 60_000, pingMs } = how
    carried.push(carry(accepted, stream, stopping, { silenceMs, ...(pingMs !== undefined && { pingMs }) }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`, ['p'], { autoPong })
  client.on('error', () => undefined)
  const ended = new Promise<number>((resolve) => client.once('close', resolve))
  t.after(() => {
    client.terminate()
    server.close()
  })
  await new Promise((resolve) => client.once('open', resolve))
  const done = async () => {
    await eventually('it is carried', () => carried.length)
    await Promise.all(carried)
  }
  return { client, ended, done }
}

const silent = () => new ReadableStream<Uint8Array>()
const sink = (write: (bytes: Uint8Array) => void | Promise<void>) => new WritableStream<Uint8Array>({ write })

test('only an upgrade to a WebSocket is one', () => {
  const good = {
    upgrade: 'WebSocket',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'sec-websocket-version': '13',
  }
  requireWebSocket(good)
  const others = [{ upgrade: 'h2c' }, { 'sec-websocket-key': 'short' }, { 'sec-websocket-version': '8' }]
  for (const other of [{}, ...others.map((one) => ({ ...good, ...one }))])
    assert.throws(() => requireWebSocket(other), { kind: 'BadRequest' })
})

test('what a client sends last arrives before the stream is closed', async (t) => {
  const got: string[] = []
  let isClosed = false
  const writable = new WritableStream<Uint8Array>({
    write: async (bytes) => {
      await new Promise((resolve) => setImmediate(resolve))
      assert.equal(isClosed, false)
      got.push(Buffer.from(bytes).toString())
    },
    close: () => {
      isClosed = true
    },
  })
  const { client, done } = await clientOf(t, { stream: { readable: silent(), writable } })
  for (let i = 0; i < 50; i++) client.send(Buffer.from(String(i)))
  client.close(1000)
  await done()
  assert.deepEqual(
    got,
    Array.from({ length: 50 }, (_, i) => String(i)),
  )
  assert.equal(isClosed, true)
})

test('a client is not read while what it sent is not taken, and goes on when it is', async (t) => {
  let taken = 0
  let letGo = () => {}
  const gate = new Promise<void>((resolve) => {
    letGo = resolve
  })
  const writable = sink(async (bytes) => {
    await gate
    taken += bytes.length
  })
  const { client } = await clientOf(t, { stream: { readable: silent(), writable } })
  const piece = Buffer.alloc(256 * 1024)
  const pieces = 128
  for (let i = 0; i < pieces; i++) client.send(piece)
  // More than the kernel keeps waits here, and nothing of it in the server.
  await eventually('it waits', () => client.bufferedAmount > 0)
  const waiting = client.bufferedAmount
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(client.bufferedAmount, waiting)
  assert.equal(taken, 0)
  letGo()
  await eventually('all of it is taken', () => taken === pieces * piece.length)
})

test('the end of a stream is the end of its socket: 1000, or 1011 with the reason of a failure', async (t) => {
  const ends: readonly (readonly [number, (controller: ReadableStreamDefaultController) => void])[] = [
    [1000, (controller) => controller.close()],
    [1011, (controller) => controller.error(new Error('ö'.repeat(200)))],
  ]
  for (const [code, end] of ends) {
    const readable = new ReadableStream<Uint8Array>({ start: end })
    const { ended, done } = await clientOf(t, { stream: { readable, writable: sink(() => undefined) } })
    assert.equal(await ended, code)
    await done()
  }
  const failing = sink(() => {
    throw new Error('no')
  })
  const { client, ended } = await clientOf(t, { stream: { readable: silent(), writable: failing } })
  client.send(Buffer.from('x'))
  assert.equal(await ended, 1011)
})

test('a server that stops says so, at once too', async (t) => {
  const stream = () => ({ readable: silent(), writable: sink(() => undefined) })
  const stop = new AbortController()
  const { ended } = await clientOf(t, { stream: stream(), stopping: stop.signal })
  stop.abort()
  assert.equal(await ended, 1001)
  const late = await clientOf(t, { stream: stream(), stopping: AbortSignal.abort() })
  assert.equal(await late.ended, 1001)
})

test('a client that answers no ping is cut', async (t) => {
  const stream = { readable: silent(), writable: sink(() => undefined) }
  const { ended, done } = await clientOf(t, { stream, silenceMs: 50, pingMs: 20 }, false)
  assert.equal(await ended, 1006)
  await done()
})

test('messages above a MiB are refused', async (t) => {
  const { client, ended } = await clientOf(t, { stream: { readable: silent(), writable: sink(() => undefined) } })
  client.send(Buffer.alloc(1024 * 1024 + 1))
  assert.equal(await ended, 1009)
})
