import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { silent } from '#base/log.ts'
import { eventually } from '#base/wait.ts'
import { createAuthority, issue, type KeyPair } from '../rest/certificates.ts'
import { defaultLimits, type Limits } from './limits.ts'
import { ownName, type TlsIdentity } from './listener.ts'
import { openStreamListener } from './stream-listener.ts'

const authority = createAuthority('test')
const server = () => authority.then((ca) => issue(ca, { use: 'server', names: ['127.0.0.1', ownName] }))
const client = (from: Promise<KeyPair>, notAfter?: Date) =>
  from.then((ca) => issue(ca, { use: 'client', name: 'jane', groups: [] }, notAfter))

/** A listener that says who its client is and gives back what it gets, for the time of a test. */
async function serve(t: TestContext, more: Partial<TlsIdentity> = {}, limits: Partial<Limits> = {}) {
  const tls = { own: await server(), clientAuthority: (await authority).cert, ...more }
  const listener = await openStreamListener(
    { listen: { host: '127.0.0.1', port: 0 }, tls, limits: { ...defaultLimits, ...limits }, log: silent },
    ({ socket }) => {
      socket.write(`${socket.getPeerCertificate().subject.CN} `)
      socket.pipe(socket)
    },
  )
  t.after(() => listener.close())
  const open = async (pair?: KeyPair, how: ConnectionOptions = {}): Promise<TLSSocket> => {
    const socket = connect({ host: '127.0.0.1', port: listener.port, ca: tls.clientAuthority, ...pair, ...how })
    t.after(() => socket.destroy())
    socket.on('error', () => undefined)
    await once(socket, 'secureConnect')
    return socket
  }
  return { listener, tls, open }
}

/** All that a socket says until it ends, or says this. */
async function said(socket: TLSSocket, wanted?: string): Promise<string> {
  let text = ''
  socket.on('data', (piece: Buffer) => (text += piece))
  await eventually('it ends or has said all', () => socket.destroyed || text === wanted)
  return text
}

test('who has no certificate of the authority, or one that has expired, says nothing to the server', async (t) => {
  const { open } = await serve(t)
  const good = await open(await client(authority))
  good.write('hello')
  assert.equal(await said(good, 'jane hello'), 'jane hello')
  const foreign = await client(createAuthority('other'))
  const expired = await client(authority, new Date(Date.now() - 60_000))
  for (const pair of [undefined, foreign, expired]) {
    const socket = await open(pair)
    socket.write('hello')
    assert.equal(await said(socket), '')
  }
})

test('clients see the certificate of their own authority, never the operator’s, and a renewed one at once', async (t) => {
  const operators = await createAuthority('operator').then((ca) => issue(ca, { use: 'server', names: ['127.0.0.1'] }))
  const { listener, tls, open } = await serve(t, { given: operators })
  const jane = await client(authority)
  const serial = async () => (await open(jane)).getPeerCertificate().serialNumber
  const before = await serial()
  assert.equal(await serial(), before)
  listener.renew({ ...tls, own: await server() })
  assert.notEqual(await serial(), before)
})

test('a connection on which nothing happens is ended', async (t) => {
  const { open } = await serve(t, {}, { idleTimeoutMs: 100 })
  assert.equal(await said(await open(await client(authority))), 'jane ')
})

test('one connection more than there may be ends the oldest', async (t) => {
  const { open } = await serve(t, {}, { connections: 2 })
  const jane = await client(authority)
  const [first, second] = [await open(jane), await open(jane)]
  await said(first, 'jane ')
  const third = await open(jane)
  await eventually('the first is ended', () => first.destroyed)
  assert.deepEqual([second.destroyed, third.destroyed], [false, false])
})
