import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { silent } from '#base/log.ts'
import { eventually } from '#base/wait.ts'
import { ConsoleReader, consoleSocket } from './console.ts'

const MiB = 1024 * 1024

/** A folder of a sandbox whose guest's console is the test's. */
async function guest(t: TestContext) {
  const dir = await mkdtemp('/tmp/pbc-')
  await mkdir(join(dir, 'run'))
  const sockets: Socket[] = []
  const server = createServer((socket) => sockets.push(socket.on('error', () => undefined)))
  const reader = new ConsoleReader(dir, silent)
  t.after(async () => {
    reader.close()
    for (const socket of sockets) socket.destroy()
    if (server.listening) await new Promise((resolve) => server.close(resolve))
    await rm(dir, { recursive: true, force: true })
  })
  const start = () => new Promise<void>((resolve) => server.listen(join(dir, consoleSocket), resolve))
  const log = (suffix = '') => readFile(join(dir, `run/console.log${suffix}`), 'utf8').catch(() => '')
  return { dir, sockets, server, reader, start, log }
}

test('the serial output of a guest is kept, across readers and guests', async (t) => {
  const { sockets, reader, start, log } = await guest(t)
  reader.open()
  await start()
  await eventually('it is connected', () => {
    reader.open()
    return sockets.length === 1
  })
  sockets[0]!.write('hello\n')
  await eventually('it is kept', async () => (await log()) === 'hello\n')
  sockets[0]!.end()
  await eventually('it is connected again', () => {
    reader.open()
    return sockets.length === 2
  })
  sockets[1]!.write('again\n')
  await eventually('it is added', async () => (await log()) === 'hello\nagain\n')
})

test('a guest that floods its console takes a MiB of the disk, and its last words are kept', async (t) => {
  const { dir, sockets, reader, start, log } = await guest(t)
  await start()
  reader.open()
  await eventually('it is connected', () => sockets.length === 1)
  const socket = sockets[0]!
  // More than both files hold.
  for (let i = 0; i < 24; i++) socket.write('y\n'.repeat(32 * 1024))
  socket.write('the end\n')
  await eventually('all is read', async () => (await log()).endsWith('the end\n'))
  const sizes = await Promise.all(
    ['', '.1'].map(async (suffix) => (await stat(join(dir, `run/console.log${suffix}`))).size),
  )
  assert.ok(sizes[0]! + sizes[1]! <= MiB, String(sizes))
  assert.ok(sizes[0]! + sizes[1]! >= MiB / 2, String(sizes))
})
