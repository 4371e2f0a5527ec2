import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { DiskPull, DownloadAccess } from '#core/disk/ports.ts'
import { diskLayer, makeQcow2 } from '#kit/drivers/image/disks.ts'
import { webServer } from '#kit/drivers/image/web-server.ts'
import { createAuthority, issue } from '#machinery/rest/certificates.ts'
import { HttpClient } from '../fetch/http-client.ts'
import { DiskImageStore } from './disk-image-store.ts'

const signal = new AbortController().signal
const login = { username: 'joe', password: 'pa55' }
const basic = `Basic ${Buffer.from('joe:pa55').toString('base64')}`

/** A store in a folder of its own, and a disk to serve. */
async function makeStore(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'pb-access-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const http = new HttpClient({ isLocalAllowed: true, trustedHosts: new Set(), stallMs: 20_000 })
  const store = new DiskImageStore({ root: join(folder, 'images'), http, mirrors: new Map(), backoffMs: [1] })
  const pull = (reference: string, access?: DownloadAccess, more: Partial<DiskPull> = {}) =>
    store.pull({ reference, isAlways: true, ...(access && { access }), ...more }, signal)
  return { store, pull, qcow2: await makeQcow2(folder, 'disk') }
}

/** Answers those who show the password and the token. */
const locked = (body: Buffer | string) => (request: IncomingMessage, response: ServerResponse) =>
  request.headers.authorization === basic && request.headers['x-token'] === 't'
    ? void response.writeHead(200, { etag: '"1"' }).end(body)
    : void response.writeHead(401).end()

test('what is got with credentials is for those who have them', async (t) => {
  const { store, pull, qcow2 } = await makeStore(t)
  const { url } = await webServer(t, { '/disk': locked(qcow2) })
  const { href } = url('/disk')
  const access = { login, headers: { 'x-token': 't' }, scope: 'ns' }
  // One that waits for the other's download does not get it by that.
  const [own, stolen] = await Promise.allSettled([pull(href, access), pull(href)])
  assert.equal(own.status === 'fulfilled' && own.value.format, 'qcow2')
  assert.equal(stolen.status === 'rejected' && stolen.reason.kind, 'Forbidden')
  assert.equal(await store.find(href), undefined)
  await assert.rejects(pull(href, undefined, { isAlways: false }), { kind: 'Forbidden' })
  await assert.rejects(pull(href, { login, scope: 'other' }), (error: Error) => {
    assert.doesNotMatch(String(error), /pa55|cGE1NQ/)
    return true
  })
  assert.equal((await pull(href, access)).format, 'qcow2')
})

test('another host that is redirected to gets no credentials', async (t) => {
  const { pull, qcow2 } = await makeStore(t)
  const other = await webServer(t, { '/disk': (_, response) => response.end(qcow2) })
  const own = await webServer(t, {
    '/disk': (_, response) => response.writeHead(302, { location: other.url('/disk').href }).end(),
  })
  await pull(own.url('/disk').href, { login, headers: { 'x-token': 't', authorization: 'Bearer b' }, scope: 'ns' })
  const shown = ({ seen }: typeof own) => seen.map(({ headers }) => [headers.authorization, headers['x-token']])
  assert.deepEqual([shown(own), shown(other)], [[['Bearer b', 't']], [[undefined, undefined]]])
})

test('an authority of a ConfigMap is trusted by its download alone', async (t) => {
  const { pull, qcow2 } = await makeStore(t)
  const authority = await createAuthority('test')
  const server = createServer(await issue(authority, { use: 'server', names: ['127.0.0.1'] }), (_, response) =>
    response.end(qcow2),
  )
  server.listen(0, '127.0.0.1')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  await once(server, 'listening')
  const address = server.address()
  assert.ok(typeof address === 'object' && address)
  const href = `https://127.0.0.1:${address.port}/disk`
  await assert.rejects(pull(href), { kind: 'Unavailable' })
  await pull(href, { ca: authority.cert, scope: 'ns' })
  await assert.rejects(pull(href), { kind: 'Unavailable' })
  await assert.rejects(pull(href, { ca: '-----BEGIN CERTIFICATE-----\nx', scope: 'ns' }), {
    kind: 'Unavailable',
    message: 'The certificates for a download cannot be read (PEM)',
  })
})

test('a registry gets the user of a pull when it asks for one', async (t) => {
  const { pull, qcow2 } = await makeStore(t)
  const blob = diskLayer(qcow2)
  const digest = `sha256:${createHash('sha256').update(blob).digest('hex')}`
  const manifest = JSON.stringify({ schemaVersion: 2, layers: [{ digest, size: blob.length }] })
  const asking = (body: Buffer | string) => (request: IncomingMessage, response: ServerResponse) =>
    request.headers.authorization === basic
      ? void response.end(body)
      : void response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end()
  const { host } = await webServer(t, {
    '/v2/a/manifests/1': asking(manifest),
    [`/v2/a/blobs/${digest}`]: asking(blob),
  })
  await assert.rejects(pull(`${host}/a:1`), { kind: 'Forbidden' })
  assert.equal((await pull(`${host}/a:1`, { login, scope: 'ns' })).format, 'qcow2')
  await assert.rejects(pull(`${host}/a:1`), { kind: 'Forbidden' })
})
