import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { eventually } from '#base/wait.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { keysOf, type Received, Vdsm } from './vdsm.ts'

const ping = (id: string | number) => ({ jsonrpc: '2.0', id, method: 'Host.ping' })
const pong = (id: string | number) => ({ jsonrpc: '2.0', id, result: true })

describe('vdsm’s API, frame by frame', () => {
  let cluster: Cluster
  const open: Vdsm[] = []
  before(async () => {
    cluster = await startCluster({ agent: false, vdsm: true, limits: { requestBytes: 4096 } })
  })
  after(async () => {
    for (const client of open) client[Symbol.dispose]()
    await cluster?.stop()
    assert.deepEqual(cluster.errors, [])
  })

  const kept = async (client: Promise<Vdsm>) => {
    open.push(await client)
    return client
  }
  const connected = (heartBeat?: string) => kept(Vdsm.connect(cluster.vdsmPort, cluster.keys, heartBeat))
  const bare = () => kept(Vdsm.open(cluster.vdsmPort, cluster.keys))
  const json = async (client: Vdsm) => JSON.parse((await client.next()).body)
  const isError = ({ command, headers, body }: Received, message: RegExp) => {
    assert.deepEqual([command, headers['content-type'], headers.version], ['ERROR', 'text/plain', '1.2'])
    assert.match(body, message)
    return headers
  }
  /** The connection ends with an ERROR frame and nothing else, and others go on. */
  const endsWith = async (client: Vdsm, message: RegExp) => {
    const headers = isError(await client.next(), message)
    await client.ended()
    await assert.rejects(client.next(), /the connection ended after ""/)
    assert.equal(await (await connected()).call('Host.ping'), true)
    return headers
  }

  it('a connection begins with CONNECT or STOMP of version 1.2, and agrees on heart-beats', async () => {
    for (const [command, asked, agreed] of [
      ['CONNECT', '0,24000', '24000,0'],
      ['STOMP', '5,7', '1000,1000'],
      ['CONNECT', '0,0', '0,0'],
      ['CONNECT', '30000,2000', '2000,30000'],
    ] as const) {
      const client = await bare()
      client.write(command, { 'accept-version': '1.0,1.1,1.2', host: 'x', 'heart-beat': asked })
      const { command: answer, headers } = await client.next()
      assert.deepEqual([answer, headers.version, headers['heart-beat']], ['CONNECTED', '1.2', agreed])
    }
    const send = async (command: string, headers: Record<string, string>) => {
      const client = await bare()
      client.write(command, headers)
      return client
    }
    await endsWith(await send('CONNECT', { 'accept-version': '1.0,1.1' }), /^the version of the protocol is 1\.2/)
    await endsWith(await send('CONNECT', {}), /^the version of the protocol is 1\.2/)
    await endsWith(
      await send('CONNECT', { 'accept-version': '1.2', 'heart-beat': '1' }),
      /^heart-beat is not two numbers/,
    )
    await endsWith(await send('SUBSCRIBE', { id: '1', destination: 'a' }), /^SUBSCRIBE came before CONNECT$/)
    const twice = await connected()
    twice.write('CONNECT', { 'accept-version': '1.2' })
    await endsWith(twice, /^the connection is connected already$/)
  })

  it('requests come one by one or several in a body, of a given length or up to a NUL', async () => {
    const client = await connected()
    client.post(ping('a'))
    assert.deepEqual(await json(client), pong('a'))
    client.post([ping('a'), { jsonrpc: '2.0', method: 'Host.ping' }, { jsonrpc: '2.0', id: 3, method: 'Host.none' }])
    assert.deepEqual(await json(client), [
      pong('a'),
      { jsonrpc: '2.0', id: 3, error: { code: -32601, message: 'Method not found: Host.none' } },
    ])
    client.write('SUBSCRIBE', { id: '2', destination: 'answers' })
    const headers = { destination: 'jms.topic.vdsm_requests', 'reply-to': 'answers' }
    client.write('SEND', headers, JSON.stringify(ping(7)))
    const { command, headers: of, body } = await client.next()
    assert.deepEqual([command, JSON.parse(body)], ['MESSAGE', pong(7)])
    assert.deepEqual(
      [of.destination, of.subscription, of['content-type'], of['content-length']],
      ['answers', '2', 'application/json', String(body.length)],
    )
    client.write('SEND', headers, 'nonsense')
    assert.equal((await json(client)).error.code, -32700)
    client.write('UNSUBSCRIBE', { id: '2' })
    // Nobody listens to this one.
    client.write('SEND', headers, JSON.stringify(ping(8)))
    client.post(ping(9))
    assert.deepEqual(await json(client), pong(9))
  })

  it('bytes that are no text are no JSON', async () => {
    const client = await connected()
    client.write('SUBSCRIBE', { id: '2', destination: 'answers' })
    const head = 'SEND\ndestination:jms.topic.vdsm_requests\nreply-to:answers\n\n'
    const text = '{"jsonrpc":"2.0","id":1,"method":"Host.ping","params":{"a":"'
    client.socket.write(Buffer.concat([Buffer.from(head + text), Buffer.of(0xff), Buffer.from('"}}\0')]))
    assert.equal((await json(client)).error.code, -32700)
  })

  it('DISCONNECT is acknowledged when everything before it is answered, and ends the connection', async () => {
    const client = await connected()
    client.write('SUBSCRIBE', { id: '2', destination: 'b', receipt: 'r\\c1' })
    const { command, headers } = await client.next()
    assert.deepEqual([command, headers['receipt-id']], ['RECEIPT', 'r\\c1'])
    for (let i = 0; i < 100; i++) client.post(ping(i))
    client.write('DISCONNECT', { receipt: 'bye' })
    client.post(ping('too late'))
    const ids: number[] = []
    for (let i = 0; i < 100; i++) ids.push((await json(client)).id)
    assert.deepEqual(
      ids.toSorted((a, b) => a - b),
      Array.from({ length: 100 }, (_, i) => i),
    )
    assert.deepEqual((await client.next()).headers, { 'receipt-id': 'bye' })
    await client.ended()
    assert.ok(!client.text.includes('too late'))
  })

  it('what is wrong with a frame ends its connection with an ERROR frame', async () => {
    const wrong = async (command: string, headers: Record<string, string>, body = '') => {
      const client = await connected()
      client.write(command, headers, body)
      return client
    }
    const elsewhere = { destination: 'jms.queue.other', 'reply-to': 'a', receipt: '5' }
    const headers = await endsWith(
      await wrong('SEND', elsewhere),
      /^nothing is served at the destination jms.queue.other$/,
    )
    assert.equal(headers['receipt-id'], '5')
    const there = { destination: 'jms.topic.vdsm_requests' }
    await endsWith(await wrong('SEND', there), /^SEND needs the header reply-to$/)
    await endsWith(
      await wrong('SEND', { ...there, 'reply-to': 'a', transaction: 't' }),
      /^transactions are not supported$/,
    )
    await endsWith(await wrong('BEGIN', {}), /^BEGIN is not supported$/)
    await endsWith(await wrong('SUBSCRIBE', { id: '3' }), /^SUBSCRIBE needs the headers id and destination$/)
    await endsWith(
      await wrong('SUBSCRIBE', { id: 'sub-1', destination: 'a' }),
      /^the subscription sub-1 is there already$/,
    )
    await endsWith(await wrong('get', {}), /^a frame does not begin with a command$/)
    await endsWith(await wrong('SEND', { a: '\\x' }), /^a header has a backslash that escapes nothing$/)
    await endsWith(await wrong('SEND', there, 'x'.repeat(4097)), /^the body of a frame has more than 4096 bytes$/)
    await endsWith(
      await wrong('SEND', { ...there, 'content-length': '4097' }),
      /^the body of a frame has more than 4096 bytes$/,
    )
    const many = await connected()
    for (let i = 0; i < 64; i++) many.write('SUBSCRIBE', { id: `${i}`, destination: 'a' })
    await endsWith(many, /^there are 64 subscriptions$/)
    const http = await bare()
    http.socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
    await endsWith(http, /^a frame does not begin with a command$/)
  })

  it('heart-beats are sent, and are missed when they do not come', async () => {
    const listening = await connected('0,1000')
    await listening.hasText('\n\n')
    assert.equal(await listening.call('Host.ping'), true)
    const silent = await connected('1000,0')
    await endsWith(silent, /^no heart-beat came in time$/)
    const { ended } = listening.socket as unknown as { ended?: boolean }
    assert.equal(ended, undefined)
    assert.equal(await listening.call('Host.ping'), true)
  })

  it('the address is one that can be had, or an error names the option', async () => {
    await assert.rejects(
      startCluster({ agent: false, vdsm: 'nonsense' }),
      /^Fault: --vdsm-listen nonsense is no address/,
    )
    await assert.rejects(
      startCluster({ agent: false, vdsm: `127.0.0.1:${cluster.vdsmPort}` }),
      /choose another address with --vdsm-listen HOST:PORT/,
    )
  })
})

describe('vdsm’s API and clients that take too much', () => {
  let cluster: Cluster
  const open: Vdsm[] = []
  before(async () => {
    const limits = {
      ...{ connections: 20, userShare: 10, headerTimeoutMs: 500, requestTimeoutMs: 700, idleTimeoutMs: 1500 },
      ...{ bodyMemoryBytes: 1_000_000 },
    }
    cluster = await startCluster({ agent: false, vdsm: true, limits })
  })
  after(async () => {
    for (const client of open) client[Symbol.dispose]()
    await cluster?.stop()
    assert.deepEqual(cluster.errors, [])
  })

  const kept = async (client: Promise<Vdsm>) => {
    open.push(await client)
    return client
  }
  const failsWith = async (client: Vdsm, message: RegExp) => {
    const { command, body } = await client.next()
    assert.equal(command, 'ERROR')
    assert.match(body, message)
    await client.ended()
  }

  it('who says nothing, and who does not end a frame, is disconnected; heart-beats are something', async () => {
    const { vdsmPort, keys } = cluster
    await failsWith(await kept(Vdsm.open(vdsmPort, keys)), /^there was no CONNECT in time$/)
    const slow = await kept(Vdsm.connect(vdsmPort, keys))
    // However often a piece of it comes.
    const timer = setInterval(() => slow.socket.write('S'), 50)
    try {
      await failsWith(slow, /^a frame did not end in time$/)
    } finally {
      clearInterval(timer)
    }
    const beating = await kept(Vdsm.connect(vdsmPort, keys))
    const idle = await kept(Vdsm.connect(vdsmPort, keys))
    const beats = setInterval(() => beating.socket.write('\n'), 200)
    try {
      await idle.ended()
      assert.equal(await beating.call('Host.ping'), true)
    } finally {
      clearInterval(beats)
    }
  })

  it('one user has a share of the connections, and handshakes that do not end hold nobody up', async () => {
    const jane = await keysOf(cluster, 'jane')
    const first = [await kept(Vdsm.connect(cluster.vdsmPort, jane)), await kept(Vdsm.connect(cluster.vdsmPort, jane))]
    await assert.rejects(Vdsm.connect(cluster.vdsmPort, jane), /the connection ended/)
    for (const client of first) assert.equal(await client.call('Host.ping'), true)
    const mute = Array.from({ length: 30 }, () => connect(cluster.vdsmPort, '127.0.0.1').on('error', () => undefined))
    try {
      using other = await Vdsm.as(cluster, 'joe')
      assert.equal(await other.call('Host.ping'), true)
      assert.equal((await cluster.api.send('GET', '/readyz')).code, 200)
    } finally {
      for (const socket of mute) socket.destroy()
    }
  })

  it('one user has a share of the memory', async () => {
    using client = await Vdsm.as(cluster, 'jill')
    client.socket.write(`SEND\ndestination:a\n\n${'x'.repeat(200_000)}`)
    await failsWith(client, /^too many bytes of requests are under way, please try again later$/)
  })

  it('who does not read is disconnected, and holds up nobody', async () => {
    const client = await kept(Vdsm.connect(cluster.vdsmPort, cluster.keys))
    client.socket.pause()
    const batch = Array.from({ length: 64 }, (_, i) => ({ jsonrpc: '2.0', id: i, method: 'Host.getCapabilities' }))
    const timer = setInterval(() => client.post(batch), 1)
    try {
      await eventually('it is disconnected', () => client.socket.writableLength > 0 || client.socket.destroyed)
      using other = await Vdsm.connect(cluster.vdsmPort, cluster.keys)
      assert.equal(await other.call('Host.ping'), true)
      assert.equal((await cluster.api.send('GET', '/readyz')).code, 200)
      await eventually('it is disconnected', () => client.socket.destroyed, { deadlineMs: 20_000 })
    } finally {
      clearInterval(timer)
    }
  })
})
