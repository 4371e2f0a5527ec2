import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, it } from 'node:test'
import { connect } from 'node:tls'
import type { Any } from './api.ts'
import { nadsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { largeBodies } from './fuzz/bodies.ts'
import { growthMb, heldMb, isFlat } from './fuzz/memory.ts'
import { Requests } from './fuzz/requests.ts'
import { sweep } from './fuzz/sweep.ts'
import { makeNamespace, run, vm } from './manifests.ts'
import { randomOf } from './random.ts'

/** How many requests are sent; more with FUZZ=N. A failure names the seed, which FUZZ_SEED repeats. */
const requests = Number(process.env.FUZZ ?? 3000)
const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31))
/** How many are under way at a time. */
const width = 16
/** How often everything is swept away, and memory looked at. */
const samples = 9

describe('whatever is sent to the API server', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.stop())

  const makeNamespaces = async () => [
    await makeNamespace(cluster.api, ['red', 'blue']),
    await makeNamespace(cluster.api, ['red']),
  ]

  /** Sends `count` requests and counts the answers by their code. */
  async function storm(fuzzer: Requests, count: number, codes: Map<number, number>): Promise<void> {
    const namespaces = await makeNamespaces()
    let left = count
    const work = async () => {
      while (left-- > 0) {
        const { method, path, ...rest } = fuzzer.next(namespaces)
        const { code, text } = await cluster.api
          .send(method, path, rest)
          .catch((error: unknown) => ({ code: 0, text: String(error) }))
        codes.set(code, (codes.get(code) ?? 0) + 1)
        const told = () =>
          `FUZZ_SEED=${seed}: ${code} to ${method} ${path} ${JSON.stringify(rest)}: ${text.slice(0, 500)}`
        assert.ok((code >= 200 && code < 300) || (code >= 400 && code < 500), told())
      }
    }
    await Promise.all(Array.from({ length: width }, work))
    const large = largeBodies.map((body) => cluster.api.send('POST', nadsPath(namespaces[0]!), { body }))
    assert.deepEqual(
      (await Promise.all(large)).map(({ code }) => code),
      [201, 413],
    )
    await sweep(cluster.api, namespaces)
    assert.deepEqual(cluster.errors, [], `FUZZ_SEED=${seed}`)
  }

  it('is answered with a 2xx or 4xx, and afterwards everything works', async (t) => {
    const { api, errors, store } = cluster
    const fuzzer = new Requests(randomOf(seed))
    const codes = new Map<number, number>()
    const held: number[] = []
    const start = performance.now()
    for (let i = 0; i < samples; i++) {
      await storm(fuzzer, Math.ceil(requests / samples), codes)
      await store.compact(store.revision)
      held.push(await heldMb())
    }
    const seconds = (performance.now() - start) / 1000
    const told = `${held.map((mb) => mb.toFixed(1)).join(' ')} MB`
    t.diagnostic(`FUZZ_SEED=${seed}: ${requests} requests in ${seconds.toFixed(0)} s, held: ${told}`)
    t.diagnostic(
      `answers: ${[...codes]
        .sort(([a], [b]) => a - b)
        .map(([code, n]) => `${code}: ${n}`)
        .join(', ')}`,
    )
    for (const code of [200, 201, 400, 404, 405, 409, 415, 422])
      assert.ok(codes.has(code), `${code} never came (FUZZ_SEED=${seed}); the requests are not what they should be`)
    assert.ok(isFlat(held), `memory grows by ${growthMb(held).toFixed(1)} MB: ${told}`)
    assert.equal(({} as Any).polluted, undefined)
    const good = await makeNamespace(api, ['red'])
    await run(api, good, vm('good', [{ name: 'red' }]))
    await sweep(api, [good])
    assert.deepEqual(await cluster.sandboxes.list(), [])
    assert.deepEqual(errors, [], `FUZZ_SEED=${seed}`)
  })

  it('even if it is no HTTP, hurts nobody', async () => {
    const junk = [
      '',
      '\r\n\r\n',
      'GET\r\n\r\n',
      'GET / HTTP/9.9\r\n\r\n',
      `GET /${'x'.repeat(100_000)} HTTP/1.1\r\n\r\n`,
      'POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n',
      'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
      `GET / HTTP/1.1\r\n${'a: b\r\n'.repeat(5000)}\r\n`,
      'GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n',
      'FROB / HTTP/1.1\r\nHost: x\r\n\r\n',
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x09\0\0\0\0\x01',
    ]
    for (const text of junk)
      for (const ALPNProtocols of [['http/1.1'], ['h2']]) {
        const socket = connect({ host: '127.0.0.1', port: cluster.port, ALPNProtocols, rejectUnauthorized: false })
        socket.on('error', () => undefined)
        await once(socket, 'secureConnect')
        // Not `once`, which rejects on the errors that are to be expected here.
        const closed = new Promise((resolve) => socket.once('close', resolve))
        socket.resume()
        socket.end(text)
        await closed
      }
    assert.equal((await cluster.anonymous.send('GET', '/healthz')).text, 'ok')
    assert.deepEqual(cluster.errors, [])
  })
})
