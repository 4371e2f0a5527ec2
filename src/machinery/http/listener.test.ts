import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type ClientHttp2Session, connect as connectHttp2, constants } from 'node:http2'
import { type TestContext, test } from 'node:test'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { Fault } from '#base/fault.ts'
import { silent } from '#base/log.ts'
import { eventually } from '#base/wait.ts'
import { createAuthority, issue, type KeyPair } from '../rest/certificates.ts'
import type { Answer, Entered, Exchange } from './exchange.ts'
import { defaultLimits, type Limits } from './limits.ts'
import { type Door, openListener, ownName } from './listener.ts'
import type { Caller } from './shares.ts'

const authority = createAuthority('test')
const serverPair = authority.then((ca) => issue(ca, { use: 'server', names: ['127.0.0.1', ownName] }))
const clientPair = (name: string, notAfter?: Date) =>
  authority.then((ca) => issue(ca, { use: 'client', name, groups: [] }, notAfter))

type Serve = (exchange: Exchange) => Promise<void>
type Place = Readonly<{ port: number; ca: string; listener: Awaited<ReturnType<typeof openListener>> }>

/** A listener with one door, for the time of a test. */
async function serve(t: TestContext, answer: Serve, limits: Partial<Limits> = {}): Promise<Place> {
  const own = await serverPair
  const door: Door = { matches: () => true, serve: answer }
  const ca = (await authority).cert
  const listener = await openListener(
    {
      listen: { host: '127.0.0.1', port: 0 },
      tls: { own, clientAuthority: ca },
      limits: { ...defaultLimits, ...limits },
      log: silent,
    },
    [door],
  )
  t.after(() => listener.close())
  return { port: listener.port, ca, listener }
}

async function tls(t: TestContext, { port, ca }: Place, pair?: KeyPair, more = {}): Promise<TLSSocket> {
  const socket = connectTls({ host: '127.0.0.1', port, ca, ...pair, ...more })
  t.after(() => socket.destroy())
  socket.on('error', () => undefined)
  await once(socket, 'secureConnect')
  return socket
}

function http2(t: TestContext, { port, ca }: Place, pair?: KeyPair, settings = {}): ClientHttp2Session {
  const session = connectHttp2(`https://127.0.0.1:${port}`, { ca, ...pair, settings })
  t.after(() => session.destroy())
  session.on('error', () => undefined)
  return session
}

/** Everything a socket says until a pattern is in it, or it ends. */
async function said(socket: TLSSocket, pattern: RegExp): Promise<string> {
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += chunk))
  await eventually(`${pattern}`, () => pattern.test(text) || socket.destroyed || undefined)
  return text
}

type Got = { code?: number; text: string; rst: number | undefined; isClosed: boolean }
function ask(session: ClientHttp2Session, headers: Record<string, string>, body?: string | Buffer): Got {
  const stream = session.request(headers, { endStream: body === undefined })
  const got: Got = { text: '', rst: undefined, isClosed: false }
  stream.on('response', (answer) => (got.code = Number(answer[':status'])))
  stream.on('data', (chunk: Buffer) => (got.text += chunk))
  stream.on('error', () => undefined)
  stream.on('close', () => Object.assign(got, { rst: stream.rstCode, isClosed: true }))
  if (body !== undefined) stream.end(body)
  return got
}

const user = (key: string): Caller => ({ key, isReserved: false, isSignedIn: true })
const text = (body: string, code = 200): Answer => ({ code, type: 'text/plain', body })
const codeOf: Record<string, number> = { TooMany: 429, TooLarge: 413, BadRequest: 400 }

/** Enters as the user of header x-user, and answers with what `work` makes, or with the code of its fault. */
function entering(work: (entered: Entered, exchange: Exchange) => Promise<Answer | undefined>): Serve {
  return async (exchange) => {
    const caller = user(String(exchange.headers['x-user'] ?? 'a'))
    try {
      const answer = await exchange.enter(caller, 'requests', (entered) => work(entered, exchange))
      if (answer) await exchange.send(answer, caller)
    } catch (error) {
      if (!(error instanceof Fault)) throw error
      await exchange.send(text(error.message, codeOf[error.kind] ?? 500))
    }
  }
}
const echoLength = entering(async ({ body }) => text(String((await body()).length)))

test('a body comes whole over HTTP/1.1 and HTTP/2, announced or in chunks', async (t) => {
  const place = await serve(t, echoLength)
  const session = http2(t, place)
  const post = { ':method': 'POST', ':path': '/' }
  for (const bytes of [0, 1, 100_000, 3_000_000]) {
    const [announced, streamed] = [
      ask(session, { ...post, 'content-length': String(bytes) }, Buffer.alloc(bytes)),
      ask(session, post, Buffer.alloc(bytes)),
    ]
    await eventually('both are answered', () => announced.isClosed && streamed.isClosed)
    assert.deepEqual([announced.text, streamed.text], [String(bytes), String(bytes)])
  }
  const socket = await tls(t, place)
  socket.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nabcde')
  assert.match(await said(socket, /\r\n\r\n5/), /^HTTP\/1.1 200 OK\r\n[\s\S]*content-length: 1\r\n/)
  const body = `POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n`
  socket.write(body)
  await said(socket, /\r\n\r\n7/)
})

test('of a request that is refused by its header no body is read', async (t) => {
  const read: number[] = []
  const place = await serve(t, async (exchange) => {
    const { socket } = exchange
    await exchange.send(text('who are you?', 401))
    await eventually('the client is gone or quiet', () => exchange.closed.aborted)
    read.push(socket.bytesRead)
  })
  const socket = await tls(t, place)
  socket.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 50000000\r\n\r\n')
  const answer = said(socket, /who are you/)
  const chunk = Buffer.alloc(64 * 1024)
  for (let i = 0; i < 800 && !socket.destroyed; i++)
    if (!socket.write(chunk)) await eventually('room', () => !socket.writableNeedDrain || socket.destroyed)
  assert.match(await answer, /^HTTP\/1.1 401 /)
  await eventually('it is cut', () => socket.destroyed)
  const got = ask(http2(t, place), { ':method': 'POST', ':path': '/' }, Buffer.alloc(3_000_000))
  await eventually('it is ended', () => got.isClosed)
  assert.deepEqual([got.code, got.text, got.rst], [401, 'who are you?', constants.NGHTTP2_NO_ERROR])
  await eventually('both are over', () => read.length === 2)
  for (const bytes of read) assert.ok(bytes < 2_000_000, `${bytes} bytes were read`)
})

test('a client that waits to be told to send its body is told only once it is let in', async (t) => {
  const place = await serve(t, async (exchange) =>
    exchange.path === '/in' ? echoLength(exchange) : exchange.send(text('no', 403)),
  )
  const head = (path: string) => `POST ${path} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n`
  const refused = await tls(t, place)
  refused.write(head('/out'))
  assert.match(await said(refused, /\r\n\r\nno/), /^HTTP\/1.1 403 /)
  const welcome = await tls(t, place)
  welcome.write(head('/in'))
  await said(welcome, /^HTTP\/1.1 100 Continue\r\n\r\n/)
  welcome.write('abc')
  await said(welcome, /200 OK[\s\S]*\r\n\r\n3/)
})

test('an upgrade passes the same door, and the door may refuse it', async (t) => {
  const place = await serve(
    t,
    entering(async ({ upgrade }, exchange) => {
      if (exchange.path !== '/echo') return text('not here', 404)
      const { socket } = upgrade()
      socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\n')
      socket.pipe(socket)
      await once(socket, 'close')
      return undefined
    }),
  )
  const head = (path: string) => `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\n`
  const socket = await tls(t, place)
  socket.write(head('/echo'))
  await said(socket, /^HTTP\/1.1 101 Switching Protocols\r\n[\s\S]*\r\n\r\n/)
  socket.write('hello')
  await said(socket, /hello/)
  const other = await tls(t, place)
  other.write(head('/other'))
  assert.match(await said(other, /not here/), /^HTTP\/1.1 404 /)
  await eventually('it is closed', () => other.destroyed || other.readableEnded)
  const plain = ask(http2(t, place), { ':path': '/echo' })
  await eventually('it is answered', () => plain.isClosed)
  assert.equal(plain.code, 400)
})

test('the bytes of bodies are shared out: one user takes a part, others get theirs, and all of it comes back', async (t) => {
  const place = await serve(t, echoLength, { bodyMemoryBytes: 4_000_000, userShare: 25 })
  const session = http2(t, place)
  const post = (who: string, bytes: number) => ({
    ':method': 'POST',
    ':path': '/',
    'x-user': who,
    'content-length': String(bytes),
  })
  const slow = session.request(post('greedy', 800_000), { endStream: false })
  slow.on('error', () => undefined)
  slow.write(Buffer.alloc(1000))
  await eventually('its part is taken', async () => {
    const second = ask(session, post('greedy', 800_000), Buffer.alloc(800_000))
    await eventually('it is answered', () => second.isClosed)
    return second.code === 429
  })
  const other = ask(session, post('modest', 800_000), Buffer.alloc(800_000))
  await eventually('it is answered', () => other.isClosed)
  assert.equal(other.text, '800000')
  slow.close()
  await eventually('its part is free again', async () => {
    const again = ask(session, post('greedy', 800_000), Buffer.alloc(800_000))
    await eventually('it is answered', () => again.isClosed)
    return again.code === 200
  })
  const unannounced = ask(session, { ':method': 'POST', ':path': '/', 'x-user': 'greedy' }, Buffer.alloc(2_000_000))
  await eventually('it is answered', () => unannounced.isClosed)
  assert.equal(unannounced.code, 429)
})

test('a place is free when the answer is made, and what readers leave unread is bounded', async (t) => {
  const answer = text('x'.repeat(400_000))
  const place = await serve(
    t,
    entering(async () => answer),
    { maxRequestsInflight: 4, userShare: 50, answerMemoryBytes: 4_000_000 },
  )
  // Nothing fits through: the client takes no byte of any stream.
  const deaf = http2(t, place, undefined, { initialWindowSize: 0 })
  const asked = Array.from({ length: 12 }, () => ask(deaf, { ':path': '/', 'x-user': 'deaf' }))
  await eventually('all have a header', () => asked.every(({ code }) => code !== undefined))
  const codes = asked.map(({ code }) => code)
  assert.equal(codes.filter((code) => code === 200).length, 5, 'half of the memory for unread answers')
  assert.equal(codes.filter((code) => code === 429).length, 7)
  const other = ask(http2(t, place), { ':path': '/', 'x-user': 'other' })
  await eventually('it is answered', () => other.isClosed)
  assert.equal(other.text.length, 400_000)
})

test('PING keeps no connection on which nobody was authenticated', async (t) => {
  const place = await serve(t, (exchange) => exchange.send(text('ok')), { headerTimeoutMs: 300, idleTimeoutMs: 60_000 })
  const [stranger, known] = [http2(t, place), http2(t, place, await clientPair('jane'))]
  const pings = setInterval(() => {
    for (const one of [stranger, known]) if (!one.closed && !one.destroyed) one.ping(() => undefined)
  }, 20)
  t.after(() => clearInterval(pings))
  await eventually('the connection of the stranger is closed', () => stranger.destroyed)
  const later = http2(t, place)
  await eventually('so is a later one', () => later.destroyed)
  assert.equal(known.closed, false)
})

test('beyond the limit connections of strangers are closed, those of users are not', async (t) => {
  const place = await serve(t, (exchange) => exchange.send(text('ok')), { connections: 8 })
  const own = await Promise.all([1, 2, 3].map(async () => tls(t, place, await clientPair('jane'))))
  const strangers: TLSSocket[] = []
  for (let i = 0; i < 20; i++) strangers.push(await tls(t, place))
  await eventually('some are closed', () => strangers.filter((one) => one.destroyed || one.readableEnded).length >= 14)
  assert.ok(own.every((one) => !one.destroyed && !one.readableEnded))
  const late = await tls(t, place, await clientPair('late'))
  late.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
  await said(late, /\r\n\r\nok/)
})

test('one user has a share of connections', async (t) => {
  const place = await serve(
    t,
    entering(async () => text('ok')),
    { connections: 40, userShare: 10 },
  )
  const mine = Array.from({ length: 6 }, () => http2(t, place))
  for (const session of mine) ask(session, { ':path': '/', 'x-user': 'greedy' })
  await eventually('two are closed', () => mine.filter((one) => one.destroyed).length === 2)
  const other = ask(http2(t, place), { ':path': '/', 'x-user': 'other' })
  await eventually('it is answered', () => other.isClosed)
  assert.equal(other.text, 'ok')
})

test('a connection ends with the certificate of its client', async (t) => {
  const place = await serve(t, (exchange) => exchange.send(text('ok')))
  // X.509 counts in seconds.
  const socket = await tls(t, place, await clientPair('jane', new Date(Date.now() + 3000)))
  await eventually('it is closed', () => socket.destroyed || socket.readableEnded)
})

test('clients see the certificate they are given, our own by its name, and renewed ones at once', async (t) => {
  const place = await serve(t, (exchange) => exchange.send(text('ok')))
  const other = await createAuthority('other')
  const given = await issue(other, { use: 'server', names: ['127.0.0.1', 'example.org'] })
  const serials = async (more: object) =>
    (await tls(t, place, undefined, { rejectUnauthorized: false, ...more })).getPeerCertificate().serialNumber
  const before = await serials({})
  assert.equal(await serials({ servername: ownName }), before)
  const [own, clientAuthority] = [await serverPair, (await authority).cert]
  place.listener.renew({ own, given, clientAuthority })
  assert.notEqual(await serials({ servername: 'example.org' }), before)
  assert.notEqual(await serials({}), before)
  assert.equal(await serials({ servername: ownName }), before)
  const fresh = await issue(await authority, { use: 'server', names: ['127.0.0.1', ownName] })
  place.listener.renew({ own: fresh, clientAuthority })
  assert.notEqual(await serials({ servername: ownName }), before)
  // Client certificates are still those of our authority.
  const socket = await tls(t, place, await clientPair('jane'))
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
  await said(socket, /\r\n\r\nok/)
})

test('TLS 1.2 offers no CBC suite', async (t) => {
  const place = await serve(t, (exchange) => exchange.send(text('ok')))
  const more = { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA384' }
  const socket = connectTls({ host: '127.0.0.1', port: place.port, ca: place.ca, ...(more as object) })
  t.after(() => socket.destroy())
  const [error] = await once(socket, 'error')
  assert.match(String(error), /handshake failure/)
})
