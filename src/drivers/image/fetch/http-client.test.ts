import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import { test } from 'node:test'
import { webServer } from '#kit/drivers/image/web-server.ts'
import { createAuthority, issue } from '#machinery/rest/certificates.ts'
import { bodyOf, HttpClient, type HttpOptions, smallBodyOf, statusFault } from './http-client.ts'

const signal = new AbortController().signal

function client(options: Partial<HttpOptions> = {}): HttpClient {
  return new HttpClient({ isLocalAllowed: true, trustedHosts: new Set(), stallMs: 20_000, ...options })
}

test('this host is reached only if that is allowed, or if the operator has named it', async (t) => {
  const { url, host, seen } = await webServer(t, { '/a': (_, response) => response.end('yes') })
  await assert.rejects(client({ isLocalAllowed: false }).request(url('/a'), { signal }), {
    kind: 'Forbidden',
    message: /^Downloads from 127\.0\.0\.1 are refused/,
  })
  const byName = new URL(`http://localhost:${new URL(url('/a')).port}/a`)
  await assert.rejects(client({ isLocalAllowed: false }).request(byName, { signal }), { kind: 'Forbidden' })
  assert.equal(seen.length, 0)
  for (const options of [{ isLocalAllowed: true }, { isLocalAllowed: false, trustedHosts: new Set([host]) }]) {
    const answer = await client(options).request(url('/a'), { signal })
    assert.equal((await smallBodyOf(answer, 100, signal)).toString(), 'yes')
  }
})

test('a redirect is checked like the first address', async (t) => {
  const inner = await webServer(t, { '/secret': (_, response) => response.end('secret') })
  const to = (location: string) => (_: unknown, response: ServerResponse) => response.writeHead(302, { location }).end()
  const outer = await webServer(t, {
    '/local': to(inner.url('/secret').href),
    '/file': to('file:///etc/shadow'),
    '/password': to('http://a:b@127.0.0.1/'),
    '/loop': to('/loop'),
    '/chain': to('/local'),
  })
  const guarded = client({ isLocalAllowed: false, trustedHosts: new Set([outer.host]) })
  for (const path of ['/local', '/file', '/password', '/chain'])
    await assert.rejects(guarded.request(outer.url(path), { signal }), { kind: 'Forbidden' }, path)
  await assert.rejects(guarded.request(outer.url('/loop'), { signal }), {
    kind: 'Unavailable',
    message: /redirects more than 5 times/,
  })
  assert.equal(inner.seen.length, 0)
})

test('a password goes to the host that it is for, and not to one that this redirects to', async (t) => {
  const other = await webServer(t, { '/b': (_, response) => response.end('b') })
  const own = await webServer(t, {
    '/a': (_, response) => response.writeHead(307, { location: other.url('/b').href }).end(),
    '/same': (_, response) => response.writeHead(307, { location: '/end' }).end(),
    '/end': (_, response) => response.end('end'),
  })
  const ownHeaders = { authorization: 'Basic c2VjcmV0', 'x-token': 'secret' }
  const ask = { ownHeaders, signal }
  for (const path of ['/a', '/same']) (await client().request(own.url(path), ask)).body.destroy()
  assert.deepEqual(
    own.seen.map(({ headers }) => [headers.authorization, headers['x-token']]),
    Array(3).fill(Object.values(ownHeaders)),
  )
  assert.deepEqual(
    other.seen.map(({ headers }) => [headers.authorization, headers['x-token']]),
    [[undefined, undefined]],
  )
})

test('a server that sends nothing is given up, before its answer and within it', async (t) => {
  const { url } = await webServer(t, {
    '/silent': () => undefined,
    '/half': (_, response) => void response.writeHead(200, { 'content-length': 10 }).write('half'),
  })
  const hasty = client({ stallMs: 200 })
  await assert.rejects(hasty.request(url('/silent'), { signal }), {
    kind: 'Timeout',
    message: /sent nothing for 0.2 s/,
  })
  const answer = await hasty.request(url('/half'), { signal })
  await assert.rejects(Array.fromAsync(bodyOf(answer, signal)), { kind: 'Timeout' })
})

test('a body that breaks off is a failure that may pass, and an abort is one of its own', async (t) => {
  const { url } = await webServer(t, {
    '/half': (_, response) => {
      response.writeHead(200, { 'content-length': 10 }).write('half', () => response.destroy())
    },
    '/silent': (_, response) => void response.writeHead(200).write('x'),
  })
  const answer = await client().request(url('/half'), { signal })
  await assert.rejects(Array.fromAsync(bodyOf(answer, signal)), { kind: 'Unavailable', message: /broke off/ })
  const stop = new AbortController()
  const silent = await client().request(url('/silent'), { signal: stop.signal })
  const reading = Array.fromAsync(bodyOf(silent, stop.signal))
  stop.abort(new Error('enough'))
  await assert.rejects(reading, /enough/)
  await assert.rejects(client().request(url('/half'), { signal: stop.signal }), /enough/)
})

test('a host that is not there is unavailable', async (t) => {
  const { url } = await webServer(t, {})
  const gone = new URL(url('/').href.replace(/:\d+/, ':1'))
  await assert.rejects(client().request(gone, { signal }), {
    kind: 'Unavailable',
    message: '127.0.0.1:1 cannot be reached',
  })
})

test('an own authority is trusted when it is named, and its server is not left for http', async (t) => {
  const authority = await createAuthority('test')
  const plain = await webServer(t, {})
  const server = createServer(await issue(authority, { use: 'server', names: ['127.0.0.1'] }), (_, response) =>
    response.writeHead(302, { location: plain.url('/').href }).end(),
  )
  server.listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  const address = server.address()
  assert.ok(typeof address === 'object' && address)
  const url = new URL(`https://127.0.0.1:${address.port}/`)
  await assert.rejects(client().request(url, { signal }), { kind: 'Unavailable', message: /by --image-ca$/ })
  await assert.rejects(client({ ca: authority.cert }).request(url, { signal }), {
    kind: 'Forbidden',
    message: /redirects to http:\/\/, which is not followed$/,
  })
  assert.equal(plain.seen.length, 0)
})

test('a small body has a limit', async (t) => {
  const { url } = await webServer(t, { '/a': (_, response) => response.end('x'.repeat(11)) })
  const answer = await client().request(url('/a'), { signal })
  await assert.rejects(smallBodyOf(answer, 10, signal), { kind: 'Invalid', message: /is larger than 10 bytes/ })
})

test('everything but trusted hosts is reached by the proxy, and this host not by it either', async (t) => {
  const proxy = await webServer(t, {})
  const seen: (string | undefined)[] = []
  const { url, host } = await webServer(t, { '/a': (_, response) => response.end() })
  const proxied = client({ isLocalAllowed: false, trustedHosts: new Set([host]), proxy: proxy.url('/') })
  ;(await proxied.request(new URL('http://registry.example/v2/'), { signal })).body.destroy()
  ;(await proxied.request(url('/a'), { signal })).body.destroy()
  for (const { url } of proxy.seen) seen.push(url)
  assert.deepEqual(seen, ['http://registry.example/v2/'])
  for (const local of ['http://127.0.0.1/', 'http://localhost:9/', 'http://[::1]/'])
    await assert.rejects(proxied.request(new URL(local), { signal }), { kind: 'Forbidden' }, local)
})

test('a status means what may be done about it', () => {
  const kinds = [401, 403, 404, 410, 408, 429, 500, 503, 400, 418].map((status) => statusFault('x', status).kind)
  assert.deepEqual(kinds, [
    ...['Forbidden', 'Forbidden', 'NotFound', 'NotFound', 'Unavailable', 'Unavailable', 'Unavailable', 'Unavailable'],
    ...['Invalid', 'Invalid'],
  ])
})
