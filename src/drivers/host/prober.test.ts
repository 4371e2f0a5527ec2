import assert from 'node:assert/strict'
import { createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { Fault } from '#base/fault.ts'
import type { ProbeTarget } from '#core/ports.ts'
import type { Check } from '#core/vm/probe.ts'
import { hostProber } from './prober.ts'

/** A guest that answers every connection with these bytes. */
async function guest(t: TestContext, answer: string | undefined): Promise<Check> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('data', () => (answer === undefined ? socket.destroy() : socket.write(answer)))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as { port: number }
  return { type: 'http', port, path: '/', isSecure: false, headers: [] }
}

const target: ProbeTarget = { ip: '127.0.0.1', hypervisor: undefined as never }
const signal = new AbortController().signal
const check = (what: Check, timeoutMs = 30_000) => hostProber.check(what, target, timeoutMs, signal)

test('whatever a guest answers, a probe comes to an end and says why it failed', async (t) => {
  const cases: readonly [string | undefined, string | RegExp | undefined][] = [
    ['HTTP/1.1 200 OK\r\n\r\n', undefined],
    ['HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\n\r\n', undefined],
    ['HTTP/1.1 500 No\r\n\r\n', 'HTTP status 500'],
    ['HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: x\r\n\r\n', 'HTTP status 101'],
    ['SSH-2.0-x\r\n', /Parse Error/],
    [undefined, /hang up|closed/],
  ]
  for (const [answer, expected] of cases) {
    const said = await check(await guest(t, answer))
    if (expected instanceof RegExp) assert.match(said ?? '', expected)
    else assert.equal(said, expected, answer)
  }
})

test('a probe that gets no answer ends with its time, however long that is', async (t) => {
  const silent = await guest(t, '')
  assert.equal(await check(silent, 20), 'no answer within 0.02 s')
  const answering = await guest(t, 'HTTP/1.1 200 OK\r\n\r\n')
  assert.equal(await check(answering, 1e15), undefined, 'a time that no timer can count')
})

test('a guest without an address on the pod network is not reached', async () => {
  const tcp: Check = { type: 'tcp', port: 1 }
  const said = await hostProber.check(tcp, { ...target, ip: undefined }, 1000, signal)
  assert.equal(said, 'the guest has no address on the pod network')
})

test('a port that takes connections is well, and one that does not says so', async (t) => {
  const open = await guest(t, '')
  assert.equal(open.type, 'http')
  const port = 'port' in open ? open.port : 0
  assert.equal(await check({ type: 'tcp', port }), undefined)
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port: closed } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  assert.match((await check({ type: 'tcp', port: closed })) ?? '', /ECONNREFUSED/)
})

for (const [what, command, expected] of [
  ['that succeeds', async () => 0, undefined],
  ['that fails', async () => 3, 'command /bin/true exited with 3'],
  [
    'no agent runs',
    () => Promise.reject(new Fault('Unavailable', 'the agent does not answer')),
    'the agent does not answer',
  ],
] as const)
  test(`a guest is asked by a command ${what}, whatever its network`, async () => {
    const calls: unknown[] = []
    const execute = (...given: unknown[]) => {
      calls.push(given.slice(0, 2))
      return command()
    }
    const hypervisor = { guestAgent: { execute } } as unknown as ProbeTarget['hypervisor']
    const said = await hostProber.check(
      { type: 'exec', command: ['/bin/true', '-x'] },
      { ip: undefined, hypervisor },
      500,
      signal,
    )
    assert.deepEqual([said, calls], [expected, [[['/bin/true', '-x'], 500]]])
  })

test('a guest that is forgotten during its probe is neither well nor unwell', async (t) => {
  const stop = new AbortController()
  const probing = hostProber.check(await guest(t, ''), target, 30_000, stop.signal)
  stop.abort(new Error('forgotten'))
  await assert.rejects(probing, { message: /abort|forgotten/ })
})
