import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { silent } from '#base/log.ts'
import { hostStreams } from './guest-streams.ts'

const uid = '11111111-2222-3333-4444-555555555555'
const { signal } = new AbortController()

async function sandbox(t: TestContext, state?: Readonly<{ network: string; ip: string }>) {
  const pods = await mkdtemp(join(tmpdir(), 'pb-'))
  t.after(() => rm(pods, { recursive: true }))
  const run = join(pods, uid, 'run')
  await mkdir(join(run, 'guest'), { recursive: true })
  await writeFile(join(pods, uid, 'sandbox.json'), JSON.stringify({ uid, user: process.getuid?.() ?? 0 }))
  const known = state && { networks: new Map([['default', state.network]]), ips: new Map([['default', [state.ip]]]) }
  return { run, streams: hostStreams({ pods, stateOf: () => known, log: silent }) }
}

test('a console reads the files of its sandbox and types into its pipe', async (t) => {
  const { run, streams } = await sandbox(t)
  await writeFile(join(run, 'console.log'), 'one\ntwo\n')
  execFileSync('mkfifo', [join(run, 'console.in')])
  const stop = new AbortController()
  const { readable } = await streams.open(uid, { to: 'console', tailLines: 1 }, stop.signal)
  const reader = readable.getReader()
  assert.equal(Buffer.from((await reader.read()).value ?? []).toString(), 'two\n')
  stop.abort()
  assert.equal((await reader.read()).done, true)
})

test('a screen is the socket in the folder of QEMU, if there is one', async (t) => {
  const { run, streams } = await sandbox(t)
  await assert.rejects(streams.open(uid, { to: 'screen' }, signal), { kind: 'NotFound' })
  await assert.rejects(streams.screenshot(uid, signal), { kind: 'NotFound' })
  const server = createServer((socket) => socket.end('RFB 003.008\n'))
  await new Promise<void>((resolve) => server.listen(join(run, 'guest/vnc'), resolve))
  t.after(() => server.close())
  const { readable } = await streams.open(uid, { to: 'screen' }, signal)
  assert.equal(await new Response(readable).text(), 'RFB 003.008\n')
})

test('a port is one of the address on the pod network', async (t) => {
  const port = { to: 'port', port: 22, protocol: 'tcp' } as const
  const none = await sandbox(t, { network: 'default/lan', ip: '192.0.2.7' })
  await assert.rejects(none.streams.open(uid, port, signal), /no address on the pod network/)
  const own = await sandbox(t, { network: 'pod', ip: '127.0.0.1' })
  await assert.rejects(own.streams.open(uid, port, signal), /127\.0\.0\.1 is an address of the host/)
})
