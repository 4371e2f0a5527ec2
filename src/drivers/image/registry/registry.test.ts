import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type TestContext, test } from 'node:test'
import type { RegistryCredentials } from '#core/ports.ts'
import { webServer } from '#kit/drivers/image/web-server.ts'
import { HttpClient, smallBodyOf } from '../fetch/http-client.ts'
import { parseReference } from './reference.ts'
import { Repository } from './registry.ts'

const signal = new AbortController().signal
const digestOf = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`
const layer = { digest: digestOf('layer'), size: 5 }
const manifest = JSON.stringify({ schemaVersion: 2, layers: [layer] })
const send = (text: string) => (_: unknown, response: ServerResponse) => void response.end(text)

/** A repository `a/b` at a server with these answers below its path. */
async function repository(
  t: TestContext,
  answers: Readonly<Record<string, (request: IncomingMessage, response: ServerResponse) => void>>,
  { reference = 'a/b:t', credentials }: Readonly<{ reference?: string; credentials?: RegistryCredentials }> = {},
) {
  const paths = Object.entries(answers).map(([path, answer]) => [
    path.startsWith('/') ? path : `/v2/a/b/${path}`,
    answer,
  ])
  const server = await webServer(t, Object.fromEntries(paths))
  const http = new HttpClient({ isLocalAllowed: true, trustedHosts: new Set(), stallMs: 20_000 })
  const options = { mirrors: new Map(), credentials }
  return { ...server, repository: new Repository(http, parseReference(`${server.host}/${reference}`), options) }
}

test('an image has its layers and the digest of its manifest', async (t) => {
  const { repository: own } = await repository(t, { 'manifests/t': send(manifest) })
  const digest = digestOf(manifest)
  assert.deepEqual(await own.image(signal), { manifestDigest: digest, platformDigest: digest, layers: [layer] })
})

test('of an index it is that of our platform', async (t) => {
  const one = (architecture: string, text: string) => ({
    digest: digestOf(text),
    size: text.length,
    platform: { os: 'linux', architecture },
  })
  const index = JSON.stringify({ manifests: [one('arm64', 'other'), one('amd64', manifest)] })
  const { repository: own } = await repository(t, {
    'manifests/t': send(index),
    [`manifests/${digestOf(manifest)}`]: send(manifest),
  })
  const expected = { manifestDigest: digestOf(index), platformDigest: digestOf(manifest), layers: [layer] }
  assert.deepEqual(await own.image(signal), expected)
})

const wrong: Readonly<Record<string, readonly [RegExp, string]>> = {
  'no JSON': [/is no JSON object/, 'hello'],
  'no layers': [/has no layers/, '{"schemaVersion":1,"fsLayers":[]}'],
  'a layer without a digest': [/without a digest/, '{"layers":[{"size":1}]}'],
  'a layer with a path for a digest': [/without a digest/, '{"layers":[{"size":1,"digest":"sha256:../../x"}]}'],
  'a layer with a size below 0': [/without a digest/, JSON.stringify({ layers: [{ ...layer, size: -1 }] })],
  'too many layers': [/more than 256 layers/, JSON.stringify({ layers: Array.from({ length: 257 }, () => layer) })],
  'no platform of ours': [/no image for linux\/amd64/, '{"manifests":[{"platform":{"os":"windows"}}]}'],
}

for (const [what, [message, text]] of Object.entries(wrong))
  test(`a manifest with ${what} is refused`, async (t) => {
    const { repository: own } = await repository(t, { 'manifests/t': send(text) })
    await assert.rejects(own.image(signal), { name: 'Fault', message })
  })

test('a manifest that has not the digest that was asked for is refused', async (t) => {
  const digest = digestOf('other')
  const answers = { [`manifests/${digest}`]: send(manifest) }
  const { repository: own } = await repository(t, answers, { reference: `a/b@${digest}` })
  await assert.rejects(own.image(signal), { kind: 'Invalid', message: /has the digest .* and should have/ })
})

test('the code of a registry says that there is no such image', async (t) => {
  const refuse = (status: number, code: string) => (_: unknown, response: ServerResponse) =>
    void response.writeHead(status).end(JSON.stringify({ errors: [{ code, message: 'x' }] }))
  for (const [status, code, kind] of [
    [404, 'MANIFEST_UNKNOWN', 'NotFound'],
    [400, 'NAME_UNKNOWN', 'NotFound'],
    [403, 'DENIED', 'Forbidden'],
    [401, 'UNAUTHORIZED', 'Forbidden'],
    [429, 'TOOMANYREQUESTS', 'Unavailable'],
  ] as const) {
    const { repository: own, host } = await repository(t, { 'manifests/t': refuse(status, code) })
    const message = new RegExp(`^${host}/a/b:t .*answered ${code.endsWith('UNKNOWN') ? 404 : status} \\(${code}\\)`)
    await assert.rejects(own.image(signal), { kind, message })
  }
})

/** A registry whose images are for those with a token, and the service that gives tokens. */
function withTokens(password?: string) {
  const isKnown = (request: IncomingMessage) =>
    password === undefined ||
    request.headers.authorization === `Basic ${Buffer.from(`me:${password}`).toString('base64')}`
  return {
    'manifests/t': (request: IncomingMessage, response: ServerResponse) => {
      if (request.headers.authorization === 'Bearer secret') return void response.end(manifest)
      const realm = `http://${request.headers.host}/token?kept=1`
      const challenge = `Bearer realm="${realm}",service="the, service",scope="repository:a/b:pull"`
      response.writeHead(401, { 'www-authenticate': challenge }).end()
    },
    '/token': (request: IncomingMessage, response: ServerResponse) => {
      if (isKnown(request)) response.end('{"token":"secret"}')
      else response.writeHead(401).end()
    },
  }
}

test('a token is got where the registry says, with the credentials that there are', async (t) => {
  const anonymous = await repository(t, withTokens())
  assert.equal((await anonymous.repository.image(signal)).layers.length, 1)
  const asked = new URL(anonymous.seen.find(({ url }) => url?.startsWith('/token'))?.url ?? '', 'http://x')
  assert.deepEqual(Object.fromEntries(asked.searchParams), {
    kept: '1',
    service: 'the, service',
    scope: 'repository:a/b:pull',
  })
  const refused = await repository(t, withTokens('right'))
  await assert.rejects(refused.repository.image(signal), {
    kind: 'Forbidden',
    message: /^A token for .* may not be read/,
  })
})

test('credentials are sent only when the registry asks, and only those for it', async (t) => {
  const challenge = (request: IncomingMessage, response: ServerResponse) => {
    if (request.headers.authorization !== undefined) return void response.end(manifest)
    response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end()
  }
  const without = await repository(t, { 'manifests/t': challenge }, { credentials: new Map([['quay.io', me]]) })
  await assert.rejects(without.repository.image(signal), { kind: 'Forbidden' })
  const credentials = new Map<string, typeof me>()
  const own = await repository(t, { 'manifests/t': challenge, 'blobs/x': send('blob') }, { credentials })
  credentials.set(own.host, me)
  await own.repository.image(signal)
  const blob = await own.repository.blob('x', 0, signal)
  assert.equal((await smallBodyOf(blob, 10, signal)).toString(), 'blob')
  const basic = `Basic ${Buffer.from('me:secret').toString('base64')}`
  assert.deepEqual(
    own.seen.map(({ headers }) => headers.authorization),
    [undefined, basic, basic],
  )
})

const me = { username: 'me', password: 'secret' }

test('a token that has run out is got again', async (t) => {
  let given = 0
  let isExpired = false
  const { repository: own } = await repository(t, {
    'blobs/x': (request, response) => {
      if (!isExpired && request.headers.authorization === `Bearer ${given}`) return void response.end()
      const challenge = `Bearer realm="http://${request.headers.host}/token"`
      response.writeHead(401, { 'www-authenticate': challenge }).end()
    },
    '/token': (_, response) => {
      given += 1
      isExpired = false
      response.end(JSON.stringify({ access_token: String(given) }))
    },
  })
  for (const expected of [1, 2]) {
    const { status, body } = await own.blob('x', 0, signal)
    body.destroy()
    assert.deepEqual([status, given], [200, expected])
    isExpired = true
  }
})

test('no token is asked for at what is no web server', async (t) => {
  for (const realm of ['file:///etc/shadow', 'gopher://x', '', 'nonsense']) {
    const { repository: own } = await repository(t, {
      'manifests/t': (_, response) =>
        void response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}"` }).end(),
    })
    await assert.rejects(own.image(signal), { kind: 'Forbidden', message: /names no service for tokens/ }, realm)
  }
})

test('a token that could be more than a token is none', async (t) => {
  const { repository: own } = await repository(t, {
    ...withTokens(),
    '/token': send(JSON.stringify({ token: 'a\r\nx: y' })),
  })
  await assert.rejects(own.image(signal), { kind: 'Unavailable', message: /answered without a token$/ })
})

test('whether a tag has moved is asked without getting the manifest', async (t) => {
  const { repository: own, seen } = await repository(t, {
    'manifests/t': (_, response) => void response.setHeader('docker-content-digest', layer.digest).end(),
  })
  assert.equal(await own.currentDigest(signal), layer.digest)
  assert.equal(seen[0]?.method, 'HEAD')
  const silent = await repository(t, {})
  assert.equal(await silent.repository.currentDigest(signal), undefined)
})
