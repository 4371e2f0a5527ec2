import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { rangeStart, sendRange, webServer } from '#kit/drivers/image/web-server.ts'
import { Room } from '../files/room.ts'
import { download, type Expected, type Source } from './download.ts'
import { HttpClient } from './http-client.ts'

const signal = new AbortController().signal
// So large that it comes in many pieces: of a connection that breaks the last one is lost.
const file = Buffer.alloc(3_000_000, Buffer.from(Array.from({ length: 251 }, (_, i) => i)))
const sha = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const right = { what: 'It', bytes: file.length, maxBytes: 2 ** 22, algorithm: 'sha256', digest: sha(file) }
const unknown = { what: 'It', maxBytes: 2 ** 22 }

async function downloading(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'pb-download-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const path = join(folder, 'part')
  const http = new HttpClient({ isLocalAllowed: true, trustedHosts: new Set(), stallMs: 20_000 })
  const from =
    (url: URL): Source =>
    (start, validator) =>
      http.request(url, {
        headers: {
          ...(start > 0 && { range: `bytes=${start}-` }),
          ...(start > 0 && validator !== undefined && { 'if-range': validator }),
        },
        signal,
      })
  const progress: (number | undefined)[] = []
  const get = (url: URL, expected: Expected) =>
    download(path, from(url), expected, {
      ...{ room: new Room(folder), signal, backoffMs: [1, 1] },
      onProgress: (done, total) => progress.push(done, total),
    })
  return { path, get, progress }
}

test('a download that breaks off goes on where it broke, as often as it brings something', async (t) => {
  const { path, get, progress } = await downloading(t)
  const { url, seen } = await webServer(t, {
    '/a': (request, response) => sendRange(request, response, file, { cut: 1_000_000 }),
  })
  assert.equal(await get(url('/a'), right), file.length)
  assert.deepEqual(await readFile(path), file)
  assert.ok(seen.length >= 3)
  assert.ok(seen.slice(1).every((request) => rangeStart(request) > 0))
  assert.deepEqual(progress.slice(-2), [file.length, file.length])
})

test('one that brings nothing is given up', async (t) => {
  const { get } = await downloading(t)
  const { url, seen } = await webServer(t, { '/a': (_, response) => response.writeHead(503).end() })
  await assert.rejects(get(url('/a'), right), { kind: 'Unavailable', message: /the server answered 503/ })
  assert.equal(seen.length, 3)
})

test('what will not pass is not tried again', async (t) => {
  const { get } = await downloading(t)
  const { url, seen } = await webServer(t, { '/a': (_, response) => response.writeHead(403).end() })
  await assert.rejects(get(url('/a'), right), { kind: 'Forbidden' })
  await assert.rejects(get(url('/b'), right), { kind: 'NotFound' })
  assert.equal(seen.length, 2)
})

test('what an earlier process has left is the begin, if the checksum is known', async (t) => {
  const { path, get } = await downloading(t)
  await writeFile(path, file.subarray(0, 60_000))
  const { url, seen } = await webServer(t, { '/a': (request, response) => sendRange(request, response, file) })
  await get(url('/a'), right)
  assert.deepEqual(await readFile(path), file)
  assert.equal(seen[0] && rangeStart(seen[0]), 60_000)
  await get(url('/a'), right)
  assert.equal(seen.length, 1, 'all of it was here')
  await writeFile(path, 'something else')
  await get(url('/a'), unknown)
  assert.deepEqual(await readFile(path), file)
})

test('wrong bytes are refused, and are not the begin of the next try', async (t) => {
  const { path, get } = await downloading(t)
  await writeFile(path, Buffer.alloc(60_000))
  const { url } = await webServer(t, { '/a': (request, response) => sendRange(request, response, file) })
  await assert.rejects(get(url('/a'), right), { kind: 'Invalid', message: /has the checksum .* and should have/ })
  assert.equal((await readFile(path)).length, 0)
  await get(url('/a'), right)
})

test('a file that changes between two tries is taken whole', async (t) => {
  const { path, get } = await downloading(t)
  let count = 0
  const { url } = await webServer(t, {
    '/a': (request, response) => {
      const isFirst = count++ === 0
      if (isFirst) sendRange(request, response, Buffer.alloc(3_000_000, 1), { cut: 1_500_000, etag: '"1"' })
      else sendRange(request, response, file, { etag: '"2"' })
    },
  })
  await get(url('/a'), unknown)
  assert.deepEqual(await readFile(path), file)
})

test('without a validator and a checksum every try begins again', async (t) => {
  const { path, get } = await downloading(t)
  let count = 0
  const { url, seen } = await webServer(t, {
    '/a': (request, response) => sendRange(request, response, file, count++ === 0 ? { cut: 1_500_000 } : {}),
  })
  await get(url('/a'), unknown)
  assert.deepEqual(await readFile(path), file)
  assert.deepEqual(seen.map(rangeStart), [0, 0])
})

test('a server that knows no ranges sends all of it again', async (t) => {
  const { path, get } = await downloading(t)
  let count = 0
  const { url } = await webServer(t, {
    '/a': (request, response) => {
      if (count++ === 0) return sendRange(request, response, file, { cut: 1_500_000 })
      response.writeHead(200).end(file)
    },
  })
  await get(url('/a'), right)
  assert.deepEqual(await readFile(path), file)
})

test('sizes are checked before and while bytes arrive', async (t) => {
  const { get } = await downloading(t)
  const { url } = await webServer(t, {
    '/long': (_, response) => response.writeHead(200, { 'content-length': file.length }).end(file),
    '/unknown': (_, response) => response.writeHead(200).end(file),
    '/other': (_, response) =>
      response.writeHead(206, { 'content-range': `bytes 5-9/${file.length}` }).end(file.subarray(5, 10)),
  })
  await assert.rejects(get(url('/long'), { ...unknown, maxBytes: 10 }), { message: /at most 10 are taken/ })
  await assert.rejects(get(url('/unknown'), { ...unknown, maxBytes: 10 }), { message: /is larger than 10 bytes/ })
  await assert.rejects(get(url('/long'), { ...right, bytes: 9 }), { message: /has 3000000 bytes and should have 9/ })
  await assert.rejects(get(url('/unknown'), { ...right, bytes: 9 }), { message: /is larger than 9 bytes/ })
  await assert.rejects(get(url('/unknown'), { ...right, bytes: file.length + 1 }), {
    message: /broke off after 3000000 of 3000001/,
  })
  await assert.rejects(get(url('/other'), unknown), { message: /sent another part of it/ })
})
