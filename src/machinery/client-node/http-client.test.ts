import assert from 'node:assert/strict'
import type { RequestListener } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { silent } from '#base/log.ts'
import { clientContract } from '#kit/machinery/client/contract.ts'
import { faultIn, makeWidget, namespaces, openRegistry, Widget } from '#kit/machinery/rest/rest-kit.ts'
import { Connection } from '../client/connection.ts'
import { HttpClient } from '../client/http-client.ts'
import { defaultLimits } from '../http/limits.ts'
import { openListener } from '../http/listener.ts'
import { Authorizer } from '../rest/access/authorizer.ts'
import { createAuthority, issue, type KeyPair } from '../rest/certificates.ts'
import { kubernetesDoor } from '../rest/door.ts'
import type { Registry } from '../rest/registry.ts'
import { type Endpoint, HttpsTransport } from './https.ts'

type Keys = Readonly<{ authority: KeyPair; server: KeyPair; admin: KeyPair }>
let made: Promise<Keys> | undefined
const keys = () => {
  made ??= makeKeys()
  return made
}

async function makeKeys(): Promise<Keys> {
  const authority = await createAuthority('test')
  const server = await issue(authority, { use: 'server', names: ['127.0.0.1'] })
  const admin = await issue(authority, { use: 'client', name: 'admin', groups: ['system:masters'] })
  return { authority, server, admin }
}

/** Serves a registry for the time of a test. Resolves to where. */
async function serve(
  t: TestContext,
  registry: Registry,
  listenPort = 0,
): Promise<Endpoint & { close(): Promise<void> }> {
  const { authority, server: tls, admin } = await keys()
  const userOf = async (token: string) =>
    token === 'secret' ? { name: 'jane', groups: ['system:masters'] } : undefined
  const door = kubernetesDoor({
    registry,
    guard: {
      access: new Authorizer({ role: () => undefined, bindings: () => [] }),
      tokens: [{ userOf }],
      reviews: [],
      actions: [],
      channels: [],
      absent: [],
      audit: { write: () => undefined, writeRefusal: () => undefined },
    },
    version: {},
    metrics: async () => ({ type: 'text/plain', text: '' }),
    documents: {},
    unready: () => [],
    requestTimeoutMs: defaultLimits.requestTimeoutMs,
    log: silent,
  })
  const listener = await openListener(
    {
      listen: { host: '127.0.0.1', port: listenPort },
      tls: { own: tls, clientAuthority: authority.cert },
      limits: defaultLimits,
      log: silent,
    },
    [door],
  )
  const { port } = listener
  const close = async () => {
    await door.stop()
    return listener.close()
  }
  t.after(close)
  return { server: `https://127.0.0.1:${port}`, ca: authority.cert, cert: admin.cert, key: admin.key, close }
}

function connect(t: TestContext, endpoint: Endpoint): HttpClient {
  const transport = new HttpsTransport(endpoint)
  t.after(() => transport[Symbol.dispose]())
  return new HttpClient(new Connection(transport, 'test/1'))
}

clientContract('client over HTTPS', async (t, registry) => connect(t, await serve(t, registry)))

/** Answers as a test says. Resolves to where. */
async function pretend(t: TestContext, answer: RequestListener): Promise<Endpoint> {
  const { authority, server: tls } = await keys()
  const server = createServer(tls, answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { server: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, ca: authority.cert }
}

const key = { namespace: 'default', name: 'a' }

test('a token signs in as a certificate does, and without either there is a remedy', async (t) => {
  const registry = await openRegistry(t)
  const { server, ca = '' } = await serve(t, registry)
  await makeWidget(registry, 'a')
  assert.ok(await connect(t, { server, ca, token: 'secret' }).get(Widget, key))
  const wrong = await faultIn(() => connect(t, { server, ca, token: 'wrong' }).get(Widget, key))
  assert.equal(wrong.kind, 'Unauthorized')
  const nobody = await faultIn(() => connect(t, { server, ca }).get(Widget, key))
  assert.match(nobody.message, /^Unauthorized: present a client certificate/)
})

test('a server that is not there is named, with what to do', async (t) => {
  const endpoint = await serve(t, await openRegistry(t))
  await endpoint.close()
  const { kind, message } = await faultIn(() => connect(t, endpoint).list(Widget))
  assert.equal(kind, 'Unavailable')
  assert.ok(
    message.startsWith(`The API server at ${endpoint.server} cannot be reached; is \`patchbay up\` running`),
    message,
  )
})

test('a server of another authority is not trusted, unless that is asked for', async (t) => {
  const { server, cert, key: own } = await serve(t, await openRegistry(t))
  const stranger = await createAuthority('other')
  const me = { ...(cert && { cert }), ...(own && { key: own }) }
  const fault = await faultIn(() => connect(t, { server, ca: stranger.cert, ...me }).list(Widget))
  assert.match(
    fault.message,
    /shows a certificate that is not to be trusted; use the kubeconfig that this server wrote/,
  )
  assert.deepEqual((await connect(t, { server, insecureSkipTlsVerify: true, ...me }).list(Widget)).items, [])
  const broken = await faultIn(() => connect(t, { server, ...me, key: stranger.key }))
  assert.match(broken.message, /do not go together$/)
})

test('a watch ends when its server does, and the next request reaches the next server', async (t) => {
  const registry = await openRegistry(t)
  const endpoint = await serve(t, registry)
  const client = connect(t, endpoint)
  const { resourceVersion } = await client.list(Widget)
  const watched = client.watch(Widget, resourceVersion, {}, new AbortController().signal)[Symbol.asyncIterator]()
  await Promise.all([watched.next(), makeWidget(registry, 'a')])
  await endpoint.close()
  assert.equal((await watched.next()).done, true)
  await serve(t, registry, Number(new URL(endpoint.server).port))
  assert.ok(await client.get(Widget, key))
})

test('a watch that is cut in the middle of a line tells the lines before it', async (t) => {
  const fixed = { uid: 'u', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' }
  const line = (name: string) => JSON.stringify({ type: 'ADDED', object: { metadata: { name, ...fixed } } })
  const endpoint = await pretend(t, (_, response) => {
    response.writeHead(200)
    response.write(`${line('ä')}\n${line('b').slice(0, 9)}`, () => response.destroy())
  })
  const seen: string[] = []
  for await (const events of connect(t, endpoint).watch(Widget, '1', {}, new AbortController().signal))
    for (const event of events) if (event.type !== 'BOOKMARK') seen.push(event.object.metadata.name)
  assert.deepEqual(seen, ['ä'])
})

test('what the server had no room for is asked again when it says', async (t) => {
  let asked = 0
  const endpoint = await pretend(t, (_, response) => {
    const isRefused = asked++ < 2
    response.writeHead(isRefused ? 429 : 200)
    const refusal = { kind: 'Status', code: 429, message: 'later', details: { retryAfterSeconds: 0 } }
    response.end(JSON.stringify(isRefused ? refusal : { items: [], metadata: { resourceVersion: '7' } }))
  })
  assert.deepEqual(await connect(t, endpoint).list(Widget), { items: [], resourceVersion: '7' })
  assert.equal(asked, 3)
})

test('what is no API server is told, and a kind it does not serve is not taken for a missing object', async (t) => {
  const page = await pretend(t, (_, response) => response.end('<html>'))
  assert.match(
    (await faultIn(() => connect(t, page).list(Widget))).message,
    /is no Kubernetes API; see the kubeconfig$/,
  )
  const gateway = await pretend(t, (_, response) => response.writeHead(502).end('<html>'))
  const fault = await faultIn(() => connect(t, gateway).get(Widget, key))
  assert.deepEqual([fault.kind, fault.message], ['Unavailable', 'the server answered 502'])
  const client = connect(t, await serve(t, await openRegistry(t)))
  const other = await faultIn(() => client.get({ ...Widget, plural: 'gadgets' }, key))
  assert.deepEqual([other.kind, other.message], ['NotFound', 'the server could not find the requested resource'])
})

test('requests end with the signal of their client', async (t) => {
  const endpoint = await pretend(t, () => undefined)
  const transport = new HttpsTransport(endpoint)
  t.after(() => transport[Symbol.dispose]())
  const connection = new Connection(transport, 'test/1')
  const stop = new AbortController()
  const asked = faultIn(() => new HttpClient(connection, stop.signal).get(Widget, key))
  stop.abort()
  assert.equal((await asked).kind, 'Aborted')
})

test('http client: items of a list are objects of their kind, although the server does not say so of each', async (t) => {
  const registry = await openRegistry(t)
  const client = connect(t, await serve(t, registry))
  const { items } = await client.list(namespaces)
  assert.deepEqual(items, [await client.get(namespaces, { name: 'default' })])
  assert.equal(items[0]?.kind, 'Namespace')
})
