import assert from 'node:assert/strict'
import { connect } from 'node:http2'
import { after, before, describe, it } from 'node:test'
import { type Cluster, startCluster } from './cluster.ts'
import { makeNamespace } from './manifests.ts'

describe('what is only read', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.stop())

  it('is not written: every other method is answered 405', async () => {
    const { json } = await cluster.api.send('GET', '/')
    const paths: readonly string[] = json.paths
    for (const path of ['/', ...paths])
      for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
        const { code, json: status } = await cluster.api.send(method, path, { body: {} })
        assert.deepEqual([code, status.reason], [405, 'MethodNotAllowed'], `${method} ${path}`)
      }
  })

  it('is listed at the root, and every path there has something to read', async () => {
    const { json } = await cluster.api.send('GET', '/')
    for (const path of [
      '/api/v1',
      '/apis/kubevirt.io/v1',
      '/healthz/ping',
      '/metrics',
      '/openapi/v3/api/v1',
      '/version',
    ])
      assert.ok(json.paths.includes(path), path)
    for (const path of json.paths) assert.equal((await cluster.api.send('GET', path)).code, 200, path)
  })

  it('tells of health in the ways that probes ask for it', async () => {
    const rows: readonly [path: string, code: number, text: RegExp][] = [
      ...['/healthz', '/healthz/', '/livez', '/livez/', '/readyz', '/readyz/'].map((path): [string, number, RegExp] => [
        path,
        200,
        /^ok$/,
      ]),
      ['/livez/ping', 200, /^ok$/],
      ['/readyz/store', 200, /^ok$/],
      ['/readyz?exclude=store', 200, /^ok$/],
      ['/readyz?verbose', 200, /^\[\+\]ping ok\n\[\+\]store ok\nreadyz check passed\n$/],
      ['/livez?verbose=true', 200, /^\[\+\]ping ok\nlivez check passed\n$/],
      ['/readyz?verbose&exclude=store', 200, /^\[\+\]ping ok\nreadyz check passed\n$/],
      ['/livez/bogus', 404, /there is no check bogus at \/livez/],
    ]
    for (const [path, code, text] of rows) {
      const answer = await cluster.anonymous.send('GET', path)
      assert.equal(answer.code, code, path)
      assert.match(answer.text, text, path)
    }
  })
})

describe('discovery and OpenAPI', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.stop())

  it('are not sent twice to a client that keeps them', async () => {
    const index = (await cluster.api.send('GET', '/openapi/v3')).json.paths['apis/kubevirt.io/v1'].serverRelativeURL
    const aggregated = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList'
    const proto = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf'
    const rows: readonly [path: string, accept: string][] = [
      ['/api', 'application/json'],
      ['/apis', aggregated],
      ['/apis', 'application/json'],
      ['/apis/kubevirt.io/v1', 'application/json'],
      ['/openapi/v2', proto],
      ['/openapi/v2', 'application/json'],
      ['/openapi/v3', 'application/json'],
      [index, 'application/json'],
    ]
    const tags = new Set<string>()
    for (const [path, accept] of rows) {
      const headers = { accept, 'accept-encoding': 'gzip' }
      const first = await cluster.api.send('GET', path, { headers })
      assert.equal(first.code, 200)
      const { etag = '' } = first.headers
      tags.add(etag)
      const again = await cluster.api.send('GET', path, { headers: { ...headers, 'if-none-match': etag } })
      assert.deepEqual([again.code, again.text, again.headers.etag], [304, '', etag], path)
      assert.equal(/immutable/.test(first.headers['cache-control'] ?? ''), path === index, path)
    }
    assert.equal(tags.size, rows.length)
    assert.equal(
      (await cluster.api.send('GET', index, { headers: { 'accept-encoding': 'gzip' } })).headers['content-encoding'],
      'gzip',
    )
  })
})

describe('a body', () => {
  let cluster: Cluster
  let ns: string
  before(async () => {
    cluster = await startCluster()
    ns = await makeNamespace(cluster.api)
  })
  after(() => cluster?.stop())

  it('that comes over HTTP/2 without type and length is read as JSON', async () => {
    const { ca, cert, key } = cluster.keys
    const session = connect(`https://127.0.0.1:${cluster.port}`, { ca, cert, key })
    try {
      const path = `/api/v1/namespaces/${ns}/configmaps`
      for (const [method, at] of [
        ['POST', path],
        ['PUT', `${path}/raw`],
      ] as const) {
        const stream = session.request({ ':method': method, ':path': at })
        stream.write('{"metadata":{"name":"raw"},')
        stream.end(`"data":{"by":"${method}"}}`)
        const text = (await stream.toArray()).join('')
        assert.equal(JSON.parse(text).data?.by, method, text)
      }
    } finally {
      session.destroy()
    }
  })
})
