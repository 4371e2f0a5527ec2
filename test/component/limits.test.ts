import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2, constants } from 'node:http2'
import { connect as connectTcp, type Socket } from 'node:net'
import { after, afterEach, before, describe, it } from 'node:test'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { eventually } from '#base/wait.ts'
import { type Cluster, type Ground, makeGround, startOn } from './cluster.ts'

const watchPath = '/api/v1/namespaces?watch=1'
const listPath = '/api/v1/namespaces'

describe('a client that takes too much', () => {
  let ground: Ground
  let cluster: Cluster
  const open = new Set<{ destroy(): void }>()

  before(async () => {
    ground = await makeGround()
    const limits = {
      connections: 12,
      watches: 2,
      maxRequestsInflight: 2,
      http2MaxStreamsPerConnection: 100,
      headerBytes: 8192,
      requestBytes: 10_000,
      headerTimeoutMs: 400,
      requestTimeoutMs: 2000,
      idleTimeoutMs: 500,
    }
    cluster = await startOn(ground, { agent: false, limits })
  })
  afterEach(async () => {
    for (const one of open) one.destroy()
    open.clear()
    // Everybody else is as well off as before.
    await eventually('the server answers', async () => (await cluster.api.send('GET', listPath)).code === 200)
    assert.deepEqual(cluster.errors, [])
  })
  after(async () => {
    await cluster?.stop()
    await ground?.remove()
  })

  const keys = () => cluster.keys
  async function tls(): Promise<TLSSocket> {
    const socket = connectTls({ host: '127.0.0.1', port: cluster.port, ...keys() })
    open.add(socket)
    socket.on('error', () => undefined)
    await once(socket, 'secureConnect')
    return socket
  }
  function http2(): ClientHttp2Session {
    const session = connectHttp2(`https://127.0.0.1:${cluster.port}`, keys())
    session.on('error', () => undefined)
    open.add(session)
    return session
  }
  /** All that a socket says until the other side closes it. */
  async function untilClosed(socket: Socket): Promise<string> {
    let text = ''
    socket.on('data', (chunk: Buffer) => (text += chunk))
    await eventually('the socket is closed', () => socket.destroyed || socket.readableEnded || undefined)
    return text
  }
  /** The status of a stream, or how it was reset. */
  async function outcome(stream: ClientHttp2Stream): Promise<{ code?: number; retryAfter?: string; rst?: number }> {
    stream.on('error', () => undefined)
    return new Promise((resolve) => {
      stream.once('response', (headers) => {
        const retryAfter = headers['retry-after']
        resolve({ code: Number(headers[':status']), ...(retryAfter && { retryAfter: String(retryAfter) }) })
        stream.resume()
      })
      stream.once('close', () => resolve({ rst: stream.rstCode }))
    })
  }

  it('who says nothing, not even hello, is cut', async () => {
    const socket = connectTcp(cluster.port, '127.0.0.1')
    open.add(socket)
    socket.on('error', () => undefined)
    assert.equal(await untilClosed(socket), '')
  })

  it('who sends the header of a request drop by drop is answered 408 and cut', async () => {
    const socket = await tls()
    socket.write('GET /api/v1/namespaces HTTP/1.1\r\nhost: x\r\n')
    const drops = setInterval(() => socket.write('x-drop: 1\r\n'), 50)
    try {
      assert.match(await untilClosed(socket), /^HTTP\/1.1 408 /)
    } finally {
      clearInterval(drops)
    }
  })

  it('who sends a body drop by drop is answered 408 and cut', async () => {
    const socket = await tls()
    socket.write('POST /api/v1/namespaces HTTP/1.1\r\nhost: x\r\ncontent-length: 5000\r\n\r\n')
    const drops = setInterval(() => socket.write(' '), 50)
    try {
      assert.match(await untilClosed(socket), /^HTTP\/1.1 408 /)
    } finally {
      clearInterval(drops)
    }
  })

  it('who sends a body drop by drop over HTTP/2 has the stream reset, and no other', async () => {
    const session = http2()
    const slow = session.request({ ':method': 'POST', ':path': listPath, 'content-type': 'application/json' })
    const drops = setInterval(() => slow.write(' '), 50)
    try {
      const { code, rst } = await outcome(slow)
      assert.equal(code, undefined)
      assert.equal(rst, constants.NGHTTP2_ENHANCE_YOUR_CALM)
    } finally {
      clearInterval(drops)
    }
    assert.equal((await outcome(session.request({ ':path': listPath }))).code, 200)
  })

  it('an HTTP/2 connection that nothing is asked of is closed, one with a watch is not', async () => {
    const [idle, busy] = [http2(), http2()]
    const watch = busy.request({ ':path': watchPath })
    assert.equal((await outcome(watch)).code, 200)
    await eventually('the idle connection is closed', () => idle.closed || idle.destroyed)
    assert.ok(!busy.closed && !watch.closed)
  })

  it('a header too large is refused', async () => {
    const socket = await tls()
    socket.write(`GET ${listPath} HTTP/1.1\r\nhost: x\r\nx-long: ${'a'.repeat(20_000)}\r\n\r\n`)
    assert.match(await untilClosed(socket), /^HTTP\/1.1 431 /)
    const { code, rst } = await outcome(http2().request({ ':path': listPath, 'x-long': 'a'.repeat(20_000) }))
    assert.deepEqual([code, rst], [431, undefined])
  })

  it('a body too large is refused', async () => {
    const body = { data: { long: 'a'.repeat(20_000) } }
    const { code, json } = await cluster.api.send('POST', '/api/v1/namespaces/default/configmaps', { body })
    assert.equal(code, 413)
    assert.equal(json.reason, 'RequestEntityTooLarge')
    assert.equal(json.message, 'the body of the request is larger than 10000 bytes')
  })

  it('connections beyond the limit are dropped, and taken again when others close', async () => {
    const first = await tls()
    const closed = () => [...open].filter((one) => (one as Socket).destroyed).length
    for (let i = 0; i < 14; i++) {
      const socket = connectTcp(cluster.port, '127.0.0.1')
      open.add(socket)
      socket.on('error', () => undefined)
    }
    await eventually('some are dropped', () => closed() > 0)
    assert.equal(first.destroyed, false)
  })

  it('requests beyond what may be under way at once are told to come back', async () => {
    const session = http2()
    const create = (i: number) => {
      const path = '/api/v1/namespaces/default/configmaps'
      const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/json' })
      stream.end(JSON.stringify({ metadata: { name: `one-of-many-${i}` } }))
      return outcome(stream)
    }
    const answers = await Promise.all(Array.from({ length: 24 }, (_, i) => create(i)))
    const refused = answers.filter(({ code }) => code === 429)
    assert.ok(refused.length > 0, JSON.stringify(answers))
    assert.ok(refused.every(({ retryAfter }) => retryAfter === '1'))
    assert.ok(answers.some(({ code }) => code === 201))
  })

  it('health is told while nobody else gets a place, also by who takes all of them', async () => {
    const greedy = http2()
    await once(greedy, 'connect')
    // What is not read holds its place; so does what is not sent.
    const held = Array.from({ length: 8 }, () => {
      const path = '/api/v1/namespaces/default/configmaps'
      const stream = greedy.request({ ':method': 'POST', ':path': path, 'content-type': 'application/json' })
      stream.on('error', () => undefined)
      stream.write('{')
      return stream
    })
    await eventually('there is no place left', async () => {
      const { code } = await outcome(http2().request({ ':path': listPath }))
      return code === 429
    })
    for (const path of ['/healthz', '/livez', '/readyz', '/version']) {
      assert.equal((await outcome(greedy.request({ ':path': path }))).code, 200, path)
      assert.equal((await outcome(http2().request({ ':path': path }))).code, 200, path)
    }
    for (const stream of held) stream.close()
  })

  it('watches beyond the limit are told to come back, and get in when another ends', async () => {
    const watches = [http2(), http2()].map((session) => session.request({ ':path': watchPath }))
    for (const watch of watches) assert.equal((await outcome(watch)).code, 200)
    const third = await cluster.api.send('GET', `${watchPath}&timeoutSeconds=1`)
    assert.equal(third.code, 429)
    assert.equal(third.headers['retry-after'], '1')
    assert.equal(third.json.message, 'too many watches are open, please try again later')
    watches[0]!.close()
    await eventually('there is room again', async () => {
      const { code } = await outcome(http2().request({ ':path': watchPath }))
      return code === 200
    })
  })

  it('more streams on one connection than allowed are refused', async () => {
    const session = http2()
    await once(session, 'remoteSettings')
    assert.equal(session.remoteSettings.maxConcurrentStreams, 100)
  })

  it('a flood of streams opened and reset ends the connection it comes over, and no other', async () => {
    const bystander = http2()
    const watch = bystander.request({ ':path': watchPath })
    assert.equal((await outcome(watch)).code, 200)
    // Node's own client keeps to the number of streams it is allowed; somebody who floods does not.
    const socket = connectTls({ host: '127.0.0.1', port: cluster.port, ...keys(), ALPNProtocols: ['h2'] })
    open.add(socket)
    socket.on('error', () => undefined)
    socket.resume()
    await once(socket, 'secureConnect')
    socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(4, 0, 0, [])]))
    for (let id = 1; !socket.destroyed && id < 60_000; id += 2) {
      // GET https://x/ by HPACK's static table, then CANCEL.
      const isTaken = socket.write(
        Buffer.concat([frame(1, 5, id, [0x82, 0x87, 0x84, 0x41, 1, 0x78]), frame(3, 0, id, [0, 0, 0, 8])]),
      )
      if (!isTaken)
        await eventually('there is room', () => !socket.writableNeedDrain || socket.destroyed, { everyMs: 1 })
    }
    await eventually('the flood is cut off', () => socket.destroyed)
    assert.ok(!watch.closed)
  })

  it('a watcher that does not read is cut', async () => {
    const key = '/api/v1/namespaces/default/configmaps'
    await cluster.api.create(key, { metadata: { name: 'big' }, data: { n: 'x'.repeat(8000) } })
    const [deaf, reading] = [http2(), http2()].map((session) => session.request({ ':path': `${key}?watch=1` }))
    for (const watch of [deaf!, reading!])
      await once(
        watch.on('error', () => undefined),
        'response',
      )
    reading!.resume()
    // Enough to fill the buffers at both ends, then as much as it takes.
    for (let i = 0; !deaf!.closed && i < 20_000; i++)
      await cluster.api.patch(`${key}/big`, { data: { n: `${i} ${'x'.repeat(8000)}` } })
    await eventually('the stream is reset', () => deaf!.closed)
    assert.ok(!reading!.closed)
  })
})

/** A frame of HTTP/2. */
function frame(type: number, flags: number, stream: number, payload: readonly number[]): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, Buffer.from(payload)])
}
