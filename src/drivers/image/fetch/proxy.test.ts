import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { connect, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { createAuthority, issue } from '#machinery/rest/certificates.ts'
import { HttpClient, smallBodyOf } from './http-client.ts'

const signal = new AbortController().signal
const registry = new URL('https://registry.test/v2/')

async function portOf(t: TestContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  await once(server, 'listening')
  const address = server.address()
  assert.ok(typeof address === 'object' && address)
  return address.port
}

/** A proxy for tunnels that does with each what the test says, and what it was asked for. */
async function proxy(t: TestContext, tunnel: (socket: Socket) => void) {
  const asked: (string | undefined)[] = []
  const sockets: Socket[] = []
  const server = createServer().on('connect', (request, socket: Socket) => {
    asked.push(request.url, request.headers['proxy-authorization'])
    sockets.push(socket)
    socket.on('error', () => undefined)
    tunnel(socket)
  })
  const url = new URL(`http://me:secret@127.0.0.1:${await portOf(t, server)}`)
  t.after(() => {
    for (const socket of sockets) socket.destroy()
  })
  const client = (stallMs: number, ca?: string) =>
    new HttpClient({ isLocalAllowed: false, trustedHosts: new Set(), stallMs, proxy: url, ...(ca && { ca }) })
  return { asked, client }
}

test('a registry is reached through a tunnel, and its certificate is checked all the same', async (t) => {
  const authority = await createAuthority('test')
  const pair = await issue(authority, { use: 'server', names: ['registry.test'] })
  const port = await portOf(
    t,
    createTlsServer(pair, (_, response) => response.end('yes')),
  )
  const { asked, client } = await proxy(t, (socket) => {
    const to = connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      socket.pipe(to).pipe(socket)
    })
    to.on('error', () => socket.destroy())
    // A server waits two minutes for the end of a handshake.
    socket.on('close', () => to.destroy())
  })
  const answer = await client(20_000, authority.cert).request(registry, { signal })
  assert.equal((await smallBodyOf(answer, 10, signal)).toString(), 'yes')
  assert.deepEqual(asked, ['registry.test:443', `Basic ${Buffer.from('me:secret').toString('base64')}`])
  await assert.rejects(client(20_000).request(registry, { signal }), { kind: 'Unavailable', message: /by --image-ca$/ })
})

test('a proxy that makes no tunnel is given up, and an abort is heard while it is waited for', async (t) => {
  const { asked, client } = await proxy(t, () => undefined)
  await assert.rejects(client(200).request(registry, { signal }), { kind: 'Timeout' })
  const stop = new AbortController()
  const request = client(600_000).request(registry, { signal: stop.signal })
  request.catch(() => undefined)
  await eventually('the proxy is asked twice', () => asked.length === 4)
  stop.abort(new Error('enough'))
  await assert.rejects(request, /enough/)
})

test('a proxy that refuses is a failure that may pass', async (t) => {
  const { client } = await proxy(t, (socket) => socket.end('HTTP/1.1 403 Forbidden\r\n\r\n'))
  await assert.rejects(client(20_000).request(registry, { signal }), { kind: 'Unavailable' })
})
