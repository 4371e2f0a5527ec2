import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { silent } from '#base/log.ts'
import { eventually } from '#base/wait.ts'
import { type FakeLibvirtd, fakeLibvirtd, frameBytes, type Incoming } from '#kit/drivers/libvirt/rpc/fake-libvirtd.ts'
import { callsInFlight } from './calls.ts'
import { type Connection, connect } from './connection.ts'
import { procedures } from './procedures.ts'
import { frameType, program } from './wire.ts'
import { XdrReader } from './xdr.ts'

const { lookupByName, libVersion } = procedures
const domain = (name: string) => ({ name, uuid: '00112233-4455-6677-8899-aabbccddeeff', id: 1 })
const nameOf = (call: Incoming) => lookupByName.args.read(new XdrReader(call.frame.body)).name
const answer = (call: Incoming) => call.reply(lookupByName.result, { domain: domain(nameOf(call)) })
const open = (fake: FakeLibvirtd, more: object = {}) =>
  connect({ socketPath: fake.socketPath, log: silent, callTimeoutMs: 5000, ...more })
const lookup = (connection: Connection, name: string, options = {}) =>
  connection.call(lookupByName, { name }, `find domain ${name}`, options)

describe('a connection', () => {
  it('answers calls in whatever order replies come, in whatever pieces', async () => {
    const calls: Incoming[] = []
    await using fake = await fakeLibvirtd((call) => calls.push(call))
    const connection = await open(fake)
    const results = Promise.all(['a', 'b', 'c'].map((name) => lookup(connection, name)))
    await eventually('three calls', () => calls.length === 3)
    const reversed = calls.toReversed().map((call) => {
      const header = { ...call.frame.header, type: frameType.reply }
      return frameBytes(header, lookupByName.result, { domain: domain(nameOf(call)) })
    })
    for (const byte of Buffer.concat(reversed)) calls[0]?.socket.write(Buffer.from([byte]))
    assert.deepEqual(
      (await results).map((result) => result.domain.name),
      ['a', 'b', 'c'],
    )
    connection.close()
  })

  it('never has more than four calls outstanding', async () => {
    const calls: Incoming[] = []
    await using fake = await fakeLibvirtd((call) => calls.push(call))
    const connection = await open(fake)
    const names = ['a', 'b', 'c', 'd', 'e', 'f']
    const results = Promise.all(names.map((name) => lookup(connection, name)))
    await eventually('four calls', () => calls.length === callsInFlight)
    // A sign that the server has read everything there is: its pong would come after a fifth call.
    fake.sockets[0]?.write(
      frameBytes(
        { program: program.keepalive, procedure: 1, type: 2, serial: 0, status: 0 },
        libVersion.args,
        undefined,
      ),
    )
    await eventually('pong', () => fake.keepalive.length === 1)
    assert.equal(calls.length, callsInFlight)
    assert.equal(connection.load, names.length)
    while (calls.length < names.length) {
      const before = calls.length
      calls.slice(0, before).forEach(answer)
      await eventually('more calls', () => calls.length > before)
    }
    calls.forEach(answer)
    assert.deepEqual(
      (await results).map((result) => result.domain.name),
      names,
    )
    connection.close()
  })

  it('translates error replies', async () => {
    await using fake = await fakeLibvirtd((call) => call.fail(nameOf(call) === 'gone' ? 42 : 1, 'no such thing'))
    const connection = await open(fake)
    await assert.rejects(lookup(connection, 'gone'), {
      kind: 'NotFound',
      message: 'libvirt cannot find domain gone',
      data: { code: 42, domain: 10 },
      cause: new Error('no such thing'),
    })
    await assert.rejects(lookup(connection, 'odd'), { kind: 'Unavailable' })
    connection.close()
  })

  it('gives up a call in time, and a late reply does no harm', async () => {
    const calls: Incoming[] = []
    await using fake = await fakeLibvirtd((call) => calls.push(call))
    const connection = await open(fake)
    await assert.rejects(lookup(connection, 'slow', { timeoutMs: 20 }), { kind: 'Timeout' })
    assert.equal(connection.load, 1)
    const controller = new AbortController()
    const aborted = assert.rejects(lookup(connection, 'unwanted', { signal: controller.signal }), {
      name: 'AbortError',
    })
    controller.abort()
    await aborted
    const next = lookup(connection, 'next')
    await eventually('three calls', () => calls.length === 3)
    calls.forEach(answer)
    assert.equal((await next).domain.name, 'next')
    assert.equal(connection.load, 0)
    connection.close()
  })

  it('rejects everything when the server goes away', async () => {
    const calls: Incoming[] = []
    await using fake = await fakeLibvirtd((call) => calls.push(call))
    const connection = await open(fake)
    const pending = ['a', 'b', 'c', 'd', 'e'].map((name) =>
      assert.rejects(lookup(connection, name), { kind: 'Unavailable' }),
    )
    await eventually('calls', () => calls.length === callsInFlight)
    fake.sockets[0]?.destroy()
    await Promise.all(pending)
    assert.equal((await connection.closed).kind, 'Unavailable')
    assert.equal(connection.isOpen, false)
    await assert.rejects(lookup(connection, 'later'), { kind: 'Unavailable' })
  })

  it('ends when the peer sends nonsense', async () => {
    await using fake = await fakeLibvirtd((call) => call.socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'))
    const connection = await open(fake)
    await assert.rejects(lookup(connection, 'a'), { kind: 'Unavailable' })
    assert.match((await connection.closed).message, /malformed/)
  })

  it('rejects a reply that is too short, and lives on', async () => {
    await using fake = await fakeLibvirtd((call) =>
      nameOf(call) === 'short' ? call.reply(libVersion.result, { version: 1 }) : answer(call),
    )
    const connection = await open(fake)
    await assert.rejects(lookup(connection, 'short'), { kind: 'Unavailable' })
    assert.equal((await lookup(connection, 'whole')).domain.name, 'whole')
    connection.close()
  })

  it('answers pings and asks for signs of life', async () => {
    await using fake = await fakeLibvirtd(answer)
    const connection = await open(fake, { pingEveryMs: 10, pingLimit: 3 })
    const reason = await connection.closed
    assert.match(reason.message, /has not answered/)
    assert.ok(fake.keepalive.length >= 1)
    assert.equal(fake.keepalive[0]?.header.procedure, 1)
  })

  it('stays when the peer answers pings', async () => {
    await using fake = await fakeLibvirtd(answer)
    // Held dead after half a second of silence, which a busy machine does not take for one answer; asked for longer than that.
    const connection = await open(fake, { pingEveryMs: 10, pingLimit: 50 })
    const pong = frameBytes(
      { program: program.keepalive, procedure: 2, type: 2, serial: 0, status: 0 },
      libVersion.args,
      undefined,
    )
    for (let answered = 0; answered < 100; answered += 10) {
      await eventually('more pings', () => fake.keepalive.length > answered)
      fake.sockets[0]?.write(pong)
    }
    assert.equal(connection.isOpen, true)
    connection.close()
  })

  it('says when nobody listens', async () => {
    await assert.rejects(connect({ socketPath: '/nonexistent/s', log: silent, callTimeoutMs: 100 }), {
      kind: 'Unavailable',
    })
    const signal = AbortSignal.abort()
    await assert.rejects(connect({ socketPath: '/nonexistent/s', log: silent, callTimeoutMs: 100, signal }), {
      name: 'AbortError',
    })
  })
})
