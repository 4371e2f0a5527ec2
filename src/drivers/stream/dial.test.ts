import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { mkdtemp, rm, symlink } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { connected, dialPort, isOfHost } from './dial.ts'
import { connectGuestSocket } from './guest-socket.ts'
import { socketStream } from './socket-stream.ts'

const { signal } = new AbortController()

test('no address of the host is dialled, whatever CNI said', async () => {
  const own = Object.values(networkInterfaces()).flatMap((all) => all ?? [])
  const hosts = ['127.0.0.1', '127.8.8.8', '0.0.0.0', '::1', '::', '224.0.0.1', '255.255.255.255', 'ff02::1']
  for (const address of [...hosts, ...own.map((one) => one.address)]) assert.ok(isOfHost(address), address)
  for (const address of ['10.88.0.7', 'fd12:3456:789a::2']) assert.ok(!isOfHost(address), address)
  for (const protocol of ['tcp', 'udp'] as const)
    await assert.rejects(dialPort('127.0.0.1', { to: 'port', port: 22, protocol }, signal), /an address of the host/)
})

async function listen(t: TestContext, server: Server, where: string | number): Promise<void> {
  await new Promise<void>((resolve) => server.listen(where, resolve))
  t.after(() => server.close())
}

test('more at once than QEMU lets wait are connected one after the other', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'patchbay-guest-'))
  t.after(() => rm(folder, { recursive: true }))
  const path = join(folder, 'vnc')
  const server = createServer((socket) => socket.end('hello'))
  await new Promise<void>((resolve) => server.listen({ path, backlog: 1 }, resolve))
  t.after(() => server.close())
  const how = { user: process.getuid?.() ?? 0, what: 'screen', signal }
  const sockets = await Promise.all(Array.from({ length: 8 }, () => connectGuestSocket(path, how)))
  // Read to the end: a peer that leaves what was sent to it resets the server's connection.
  for (const socket of sockets) assert.equal(await new Response(socketStream(socket, signal).readable).text(), 'hello')
})

test('a socket of QEMU’s user is connected to; a link, another user’s and none are not', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'patchbay-guest-'))
  t.after(() => rm(folder, { recursive: true }))
  const path = join(folder, 'vnc')
  const user = process.getuid?.() ?? 0
  const how = { user, what: 'screen', signal }
  await assert.rejects(connectGuestSocket(path, how), /The guest has no screen/)
  await listen(
    t,
    createServer((socket) => socket.end('hello')),
    path,
  )
  const { readable } = socketStream(await connectGuestSocket(path, how), signal)
  assert.equal(await new Response(readable).text(), 'hello')
  await assert.rejects(connectGuestSocket(path, { ...how, user: user + 1 }), /is no socket of the guest’s user/)
  const link = join(folder, 'link')
  await symlink(path, link)
  await assert.rejects(connectGuestSocket(link, how), /is no socket of the guest’s user/)
})

test('a connection that is refused or given up says so', async () => {
  const { connect } = await import('node:net')
  // Nothing listens on this port of this host.
  await assert.rejects(connected(connect(1, '127.0.0.1'), 'tcp x:1', signal), /tcp x:1 cannot be reached/)
  const stop = new AbortController()
  // An address that nobody has.
  const waiting = connected(connect(1, '198.51.100.1'), 'tcp y:1', stop.signal)
  stop.abort()
  await assert.rejects(waiting, /tcp y:1 (was given up|cannot be reached)/)
})

test('a stream over a socket has an end in both directions', async (t) => {
  const { connect } = await import('node:net')
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let got = ''
    socket.on('data', (data) => {
      got += data
    })
    socket.on('end', () => socket.end(`got ${got.length}`))
  })
  await listen(t, server, 0)
  const { port } = server.address() as { port: number }
  const { readable, writable } = socketStream(await connected(connect(port), 'it', signal), signal)
  const writer = writable.getWriter()
  for (let i = 0; i < 50; i++) await writer.write(Buffer.alloc(20_000))
  await writer.close()
  assert.equal(await new Response(readable).text(), 'got 1000000')
})

test('datagrams stay what they are', async (t) => {
  const echo = createSocket('udp4')
  t.after(() => echo.close())
  echo.on('message', (data, { port, address }) => echo.send(data, port, address))
  await new Promise<void>((resolve) => echo.bind(0, '127.0.0.1', resolve))
  const { datagramStream } = await import('./dial.ts')
  const stop = new AbortController()
  const { readable, writable } = await datagramStream('127.0.0.1', echo.address().port, stop.signal)
  const [writer, reader] = [writable.getWriter(), readable.getReader()]
  await writer.write(Buffer.from('one'))
  await writer.write(Buffer.from('two'))
  const texts = [await reader.read(), await reader.read()].map(({ value }) => Buffer.from(value ?? []).toString())
  assert.deepEqual(texts, ['one', 'two'])
  stop.abort()
  assert.equal((await reader.read()).done, true)
})
