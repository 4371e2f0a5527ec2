import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, it } from 'node:test'
import { connect } from 'node:tls'
import { kinds } from '#apis/kinds.ts'
import { apiVersionOf } from '#apis/meta/object.ts'
import { eventually } from '#base/wait.ts'
import { type Any, nadsPath, podsPath, vmisPath, vmsPath } from './api.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { makeNamespace, nad, run, vm } from './manifests.ts'

/** How many requests are sent; more with FUZZ=N. A failure names the seed, which FUZZ_SEED repeats. */
const requests = Number(process.env.FUZZ ?? 3000)
const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31))
/** How many are under way at a time. */
const width = 16

/** Mulberry32: small, and the same numbers for the same seed. */
function randomOf(start: number): () => number {
  let state = start
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Requests that go wrong in many ways, most of them only a little. */
class Fuzzer {
  readonly #random: () => number
  readonly #ns: readonly string[]

  constructor(random: () => number, ns: readonly string[]) {
    this.#random = random
    this.#ns = ns
  }

  next(): { method: string; path: string; body?: string; type?: string; headers: Record<string, string> } {
    const method = this.#pick([
      'GET',
      'GET',
      'POST',
      'POST',
      'PUT',
      'PATCH',
      'PATCH',
      'PATCH',
      'DELETE',
      'HEAD',
      'OPTIONS',
      'TRACE',
    ])
    const path = this.#path(method) + this.#query()
    const headers = this.#chance(0.2)
      ? { [this.#pick(['accept', 'content-encoding', 'x-remote-user', 'authorization', 'if-match'])]: this.#header() }
      : {}
    if (method === 'GET' || method === 'HEAD' || method === 'TRACE') return { method, path, headers }
    if (method === 'PATCH' && this.#chance(0.3)) {
      const body = this.#text(this.#chance(0.5) ? this.#manifest() : this.#mutated(this.#manifest()))
      const query = `fieldManager=${this.#pick(['me', 'you'])}&force=${this.#pick(['true', 'false'])}`
      const type = 'application/apply-patch+yaml'
      return { method, path: `${path}${path.includes('?') ? '&' : '?'}${query}`, headers, body, type }
    }
    if (method === 'PATCH') return { method, path, headers, ...this.#patch() }
    if (method === 'DELETE')
      return {
        method,
        path,
        headers,
        body: this.#chance(0.7)
          ? ''
          : this.#text({ preconditions: { uid: this.#junk() }, dryRun: [this.#pick(['All', 'x'])] }),
      }
    const type = this.#chance(0.9) ? 'application/json' : this.#type()
    return { method, path, headers, type, body: this.#text(this.#mutated(this.#manifest())) }
  }

  #pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#random() * list.length)]!
  }

  #chance(p: number): boolean {
    return this.#random() < p
  }

  #path(method: string): string {
    const [ns, name] = [this.#pick(this.#ns), this.#pick(['a', 'b', 'c', 'd'])]
    const object = this.#pick([
      vmsPath(ns, name),
      vmsPath(ns, name),
      vmisPath(ns, name),
      nadsPath(ns, name),
      podsPath(ns, name),
      `/api/v1/namespaces/${ns}/events/${name}`,
      `/apis/kubevirt.io/v1/namespaces/${ns}/kubevirts/${name}`,
    ])
    const whole = this.#chance(method === 'POST' ? 0.05 : 0.8) ? object : object.slice(0, object.lastIndexOf('/'))
    const path = this.#chance(0.1) ? `${whole}/${this.#pick(['status', 'scale', 'log'])}` : whole
    if (this.#chance(0.85)) return path
    const parts = path.split('/')
    parts.splice(1 + Math.floor(this.#random() * parts.length), this.#chance(0.5) ? 1 : 0, this.#segment())
    return parts.join('/')
  }

  #segment(): string {
    const long = 'x'.repeat(Math.floor(this.#random() * 4000))
    return this.#pick([
      '%',
      '%zz',
      '%00',
      '%2F',
      '%ff%fe',
      '..',
      '.',
      '',
      '*',
      '__proto__',
      'constructor',
      '%F0%9F%94%8C',
      '-1',
      'a%20b',
      'namespaces',
      'status',
      long,
    ])
  }

  #query(): string {
    const names = [
      'fieldValidation',
      'dryRun',
      'labelSelector',
      'fieldSelector',
      'limit',
      'continue',
      'resourceVersion',
      'includeObject',
      'fieldManager',
      'force',
      'x',
      '__proto__',
    ]
    const values = [
      '',
      'All',
      'Strict',
      'Warn',
      'Ignore',
      'true',
      '0',
      '-1',
      '1e9',
      'a%3Db',
      'a%20in%20(b',
      '!a',
      'metadata.name%3Da',
      'spec.x%3D1',
      '%',
      '%00',
      '%zz',
      ',,,,',
      '%F0%9F%94%8C',
      'x'.repeat(2000),
    ]
    const pairs = Array.from(
      { length: this.#pick([0, 0, 0, 1, 2, 3]) },
      () => `${this.#pick(names)}=${this.#pick(values)}`,
    )
    return pairs.length ? `?${pairs.join('&')}` : ''
  }

  #header(): string {
    return this.#pick([
      '',
      '*/*',
      'application/json;as=Table;v=v1;g=meta.k8s.io',
      'gzip',
      'Bearer x',
      ';;;',
      'é',
      'x'.repeat(3000),
    ])
  }

  #type(): string {
    return this.#pick([
      '',
      'application/yaml',
      'text/plain',
      'application/vnd.kubernetes.protobuf',
      'application/json-patch+json',
      ';',
      'application/json; charset=utf-16',
      'multipart/form-data; boundary=x',
      'é',
    ])
  }

  #manifest(): Any {
    const name = this.#pick(['a', 'b', 'c', 'd', ''])
    const made = this.#pick([
      () =>
        vm(name, [{ name: 'red' }, { name: 'blue', state: this.#pick(['up', 'down', 'absent', 'linkDown']) }], {
          runStrategy: this.#pick(['Always', 'Halted', 'RerunOnFailure', 'Manual', 'Once']),
        }),
      () => nad(name),
      () => ({ metadata: { name }, spec: vm('x').spec.template.spec }),
      () => ({ metadata: { generateName: 'p-' }, spec: { containers: [] } }),
    ])()
    if (this.#chance(0.3))
      Object.assign(made.metadata, {
        labels: { a: 'b' },
        annotations: { x: 'y' },
        finalizers: this.#chance(0.1) ? ['x/y'] : [],
        ownerReferences: [],
      })
    if (this.#chance(0.1)) Object.assign(made, { status: { conditions: [], phase: 'Running' }, apiVersion: 'v1' })
    return made
  }

  /** A copy with some values put in place of others. */
  #mutated(value: Any): Any {
    const copy = structuredClone(value)
    for (let i = this.#pick([0, 1, 1, 2, 4]); i > 0; i--) {
      let at = copy
      while (typeof at === 'object' && at !== null) {
        const keys = Object.keys(at)
        const key =
          keys.length && this.#chance(0.97)
            ? this.#pick(keys)
            : this.#pick(['__proto__x', 'constructor', 'new', '0', '💥'])
        const child = at[key]
        if (typeof child === 'object' && child !== null && this.#chance(0.8)) {
          at = child
          continue
        }
        if (this.#chance(0.2)) delete at[key]
        else at[key] = this.#junk()
        break
      }
    }
    return copy
  }

  #junk(): Any {
    return this.#pick<() => Any>([
      () => null,
      () => true,
      () => -1,
      () => 1e308,
      () => 0.5,
      () => '',
      () => '../../etc/passwd',
      () => '\u0000\ud800💥',
      () => '$(reboot)',
      () => '02:00:00:00:00:00',
      () => 'x'.repeat(300),
      () => [],
      () => [null, [], {}],
      () => ({}),
      () => JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}'),
      () => JSON.parse(`${'['.repeat(300)}${']'.repeat(300)}`),
      () => [{ name: 'red' }, { name: 'red' }],
    ])()
  }

  #text(value: Any): string {
    const text = JSON.stringify(value)
    if (this.#chance(0.95)) return text
    return this.#pick([
      text.slice(0, -1),
      `${text}}`,
      '',
      'null',
      '[]',
      '"x"',
      '\u0000',
      text.replaceAll('"', "'"),
      `{"a":1e999,${text.slice(1)}`,
    ])
  }

  #patch(): { body: string; type: string } {
    if (this.#chance(0.1)) return { body: this.#text(this.#mutated(this.#manifest())), type: this.#type() }
    if (this.#chance(0.4))
      return {
        body: this.#text(
          this.#mutated(
            this.#pick([this.#manifest(), { metadata: { labels: { x: 'y' }, finalizers: [] } }, { status: {} }]),
          ),
        ),
        type: 'application/merge-patch+json',
      }
    if (this.#chance(0.1))
      return { body: this.#text(this.#mutated(this.#manifest())), type: 'application/strategic-merge-patch+json' }
    const operations = Array.from({ length: this.#pick([0, 1, 1, 2, 5]) }, () => ({
      op: this.#pick(['add', 'add', 'replace', 'remove', 'copy', 'move', 'test', 'frob']),
      path: this.#pointer(),
      from: this.#pointer(),
      value: this.#chance(0.5) ? this.#pick(['down', 'up', 'Halted', 'Always']) : this.#junk(),
    }))
    return {
      body: this.#text(this.#chance(0.9) ? operations : this.#mutated(operations)),
      type: 'application/json-patch+json',
    }
  }

  #pointer(): string {
    const nic = '/spec/template/spec/domain/devices/interfaces'
    return this.#pick([
      `${nic}/0/state`,
      `${nic}/1/state`,
      `${nic}/-`,
      `${nic}/01`,
      nic,
      '/spec/runStrategy',
      '/spec',
      '/metadata',
      '/metadata/labels',
      '/metadata/name',
      '/metadata/finalizers',
      '/status',
      '',
      '/',
      '/__proto__/polluted',
      '/constructor/prototype/x',
      '/spec/template/spec/networks/0',
      '~2',
      '/a~',
    ])
  }
}

describe('whatever is sent to the API server', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.stop())

  it('is answered with a 2xx or 4xx, and afterwards everything works', async () => {
    const { api, errors } = cluster
    const ns = [await makeNamespace(api, ['red', 'blue']), await makeNamespace(api, ['red'])]
    const fuzzer = new Fuzzer(randomOf(seed), ns)
    const codes = new Map<number, number>()
    let left = requests
    const work = async () => {
      while (left-- > 0) {
        const { method, path, ...rest } = fuzzer.next()
        const { code, text } = await api
          .send(method, path, rest)
          .catch((error: unknown) => ({ code: 0, text: String(error) }))
        codes.set(code, (codes.get(code) ?? 0) + 1)
        const told = () =>
          `FUZZ_SEED=${seed}: ${code} to ${method} ${path} ${JSON.stringify(rest)}: ${text.slice(0, 500)}`
        assert.ok((code >= 200 && code < 300) || (code >= 400 && code < 500), told())
      }
    }
    await Promise.all(Array.from({ length: width }, work))
    for (const code of [200, 201, 400, 404, 409, 415, 422])
      assert.ok(codes.has(code), `${code} never came (FUZZ_SEED=${seed}); the requests are not what they should be`)
    assert.equal(({} as Any).polluted, undefined)
    const good = await makeNamespace(api, ['red'])
    await run(api, good, vm('good', [{ name: 'red' }]))
    assert.deepEqual(errors, [], `FUZZ_SEED=${seed}`)
    for (const namespace of [...ns, good]) await api.delete(`/api/v1/namespaces/${namespace}`)
    // What fuzz left with finalizers of its own must be let go by hand, as on any cluster.
    const isEmpty = async () => {
      for (const kind of kinds.filter((one) => one.namespaced)) {
        const path = `/${kind.group ? 'apis' : 'api'}/${apiVersionOf(kind)}/${kind.plural}`
        for (const { metadata } of await api.list(path)) {
          if (!metadata.finalizers?.includes('x/y')) continue
          const finalizers = metadata.finalizers.filter((one: string) => one !== 'x/y')
          const at = path.replace(/\/([^/]+)$/, `/namespaces/${metadata.namespace}/$1/${metadata.name}`)
          await api.send('PATCH', at, { body: { metadata: { finalizers } }, type: 'application/merge-patch+json' })
        }
      }
      const names = (await api.list('/api/v1/namespaces')).map(({ metadata }) => metadata.name)
      return [...ns, good].every((name) => !names.includes(name))
    }
    await eventually('the namespaces are gone', isEmpty)
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
