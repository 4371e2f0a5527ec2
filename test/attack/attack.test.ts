import assert from 'node:assert/strict'
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2'
import { after, before, describe, it, type TestContext } from 'node:test'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { eventually } from '#base/wait.ts'
import type { KeyPair } from '#machinery/rest/certificates.ts'
import { percentile } from '../../bench/figures.ts'
import type { Api } from '../component/api.ts'
import { Requests } from '../component/fuzz/requests.ts'
import { sweep } from '../component/fuzz/sweep.ts'
import { makeNamespace } from '../component/manifests.ts'
import { randomOf } from '../component/random.ts'
import { type Hostile, hostile } from './hostile.ts'
import { Target } from './target.ts'

/** How many requests are sent; more with ATTACK=N. A failure names the seed, which ATTACK_SEED repeats. */
const requests = Number(process.env.ATTACK ?? 100_000)
const seed = Number(process.env.ATTACK_SEED ?? Math.floor(Math.random() * 2 ** 31))
/** Requests of the worst kind that are sent first. */
const warming = 5000
/** How often memory is looked at. The first three times the server is still warming up: code is compiled, caches fill. */
const samples = 10
const warmSamples = 3
/** Requests of each identity under way at a time. */
const width = 8
/** What the server's memory may grow by, MB. */
const maxGrowthMb = 20

type Identity = Readonly<{
  name: string
  keys: KeyPair | undefined
  /** Whether a request that changes something may be carried out for it. */
  mayWrite: (path: string) => boolean
  mayRead: (path: string) => boolean
}>

const isReview = (path: string) => /^\/apis\/(authorization|authentication)\.k8s\.io\/v1\/selfsubject[a-z]+$/.test(path)
const isOpen = (path: string) => ['/healthz', '/livez', '/readyz', '/version', '/version/'].includes(path)

describe('a server under attack', () => {
  let target: Target
  let namespaces: readonly string[] = []
  let identities: readonly Identity[] = []

  before(async () => {
    target = await Target.start()
    namespaces = [await makeNamespace(target.api, ['red', 'blue']), await makeNamespace(target.api, ['red'])]
    const [own = ''] = namespaces
    await bind(target.api, own, 'view', 'vera')
    await bind(target.api, own, 'edit', 'alice')
    const within = (path: string) => path.includes(`/namespaces/${own}/`)
    const isSecret = (path: string) => /\/secrets(\/|$)/.test(path)
    identities = [
      { name: 'anonymous', keys: undefined, mayWrite: () => false, mayRead: isOpen },
      {
        name: 'nobody',
        keys: await target.keysOf('nobody'),
        mayWrite: isReview,
        mayRead: (path) => !/\/namespaces\//.test(path) || /\/kubevirts(\/|$)/.test(path),
      },
      { name: 'vera', keys: await target.keysOf('vera'), mayWrite: isReview, mayRead: (path) => !isSecret(path) },
      {
        name: 'alice',
        keys: await target.keysOf('alice'),
        mayWrite: (path) => isReview(path) || within(path),
        mayRead: () => true,
      },
      {
        name: 'system:node:node1',
        keys: await target.keysOf('system:node:node1', ['system:nodes']),
        mayWrite: (path) => isReview(path) || /\/(pods|virtualmachineinstances|events|leases|nodes)(\/|$)/.test(path),
        mayRead: (path) => !isSecret(path),
      },
    ]
    await eventually('roles count', async () => {
      const { code } = await (await clientOf(target, 'alice')).send('GET', `/api/v1/namespaces/${own}/configmaps`)
      return code === 200
    })
  })
  after(() => target?.stop())

  it('answers every request, gives no right away, and keeps no memory', { timeout: 3_600_000 }, async (t) => {
    const rights = await rightsOf(target)
    const codes = new Map<number, number>()
    const latencies = watchHealth(t, target)
    const random = randomOf(seed)
    const fuzzer = new Requests(random)
    const next = (): Hostile => (random() < 0.2 ? hostile(random, namespaces[0]!) : fuzzer.next(namespaces))
    const memory: number[] = []
    // What the most expensive requests take, the allocator keeps for the next ones.
    await storm(target, identities, () => hostile(random, namespaces[0]!), warming, codes)
    const start = performance.now()
    for (let i = 0; i < samples; i++) {
      await storm(target, identities, next, requests / samples, codes)
      memory.push(await target.rssMb())
    }
    const seconds = (performance.now() - start) / 1000
    await sweep(target.api, namespaces)
    memory.push(await target.rssMb())
    const warm = Math.max(...memory.slice(0, warmSamples))
    const told = [...codes].toSorted(([a], [b]) => a - b).map(([code, count]) => `${code}: ${count}`)
    t.diagnostic(`ATTACK_SEED=${seed}: ${requests} requests, ${(requests / seconds).toFixed(0)}/s; ${told.join(', ')}`)
    t.diagnostic(`memory: ${memory.map((mb) => mb.toFixed(0)).join(' ')} MB`)
    const ms = (p: number) => percentile(latencies, p).toFixed(0)
    t.diagnostic(`/healthz: p50 ${ms(0.5)} ms, p99 ${ms(0.99)} ms, longest ${Math.max(...latencies).toFixed(0)} ms`)
    assert.deepEqual(await target.errors(), [], `ATTACK_SEED=${seed}`)
    assert.deepEqual(await rightsOf(target), rights)
    // Each thread of the server collects its garbage when it is idle.
    await eventually(
      `memory is at most ${maxGrowthMb} MB above ${warm.toFixed(0)} MB again`,
      async () => (await target.rssMb()) - warm <= maxGrowthMb,
      { deadlineMs: 60_000, everyMs: 2000 },
    )
    for (const code of [200, 201, 400, 401, 403, 404, 413, 422]) assert.ok(codes.has(code), `${code} never came`)
  })

  it('holds no body of those it does not know', { timeout: 300_000 }, async (t) => {
    const [connections, streams, bytes] = [300, 240, 2_900_000]
    const sockets = await Promise.all(Array.from({ length: connections }, () => tls(t, target)))
    const session = connectHttp2(`https://127.0.0.1:${target.port}`, { ca: target.ca, maxSessionMemory: 2000 })
    session.on('error', () => undefined)
    t.after(() => session.destroy())
    await new Promise<void>((resolve) => session.once('remoteSettings', () => resolve()))
    await target.rssMb()
    const idle = await target.nowMb()
    const body = Buffer.alloc(bytes)
    const ends = sockets.map((socket) => {
      socket.on('error', () => undefined)
      // The last byte never comes.
      socket.write(
        `POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nhost: x\r\ncontent-length: ${bytes + 1}\r\n\r\n`,
      )
      socket.write(body)
      return new Promise<'answered' | 'cut'>((resolve) => {
        socket.once('data', () => resolve('answered'))
        socket.once('close', () => resolve('cut'))
      })
    })
    const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'
    const codes = Array.from({ length: streams }, () => {
      const stream = session.request({ ':method': 'POST', ':path': path }, { endStream: false })
      stream.on('error', () => undefined)
      stream.write(body)
      return new Promise<number>((resolve) => {
        stream.once('response', (headers) => resolve(Number(headers[':status'])))
        stream.once('close', () => resolve(0))
      })
    })
    let peak = 0
    const looking = setInterval(() => void target.nowMb().then((mb) => (peak = Math.max(peak, mb))), 50)
    t.after(() => clearInterval(looking))
    // 0: Node itself resets streams of a connection that holds too much memory.
    const outcomes = await Promise.all(codes)
    assert.ok(
      outcomes.every((code) => code === 401 || code === 0),
      outcomes.join(),
    )
    const answered = (await Promise.all(ends)).filter((end) => end === 'answered').length
    clearInterval(looking)
    await eventually('the connections are cut', () => sockets.every((one) => one.destroyed))
    await target.rssMb()
    const held = await target.nowMb()
    t.diagnostic(
      `${idle.toFixed(0)} MB with idle TLS sessions, ${held.toFixed(0)} MB under ${connections} + ${streams} bodies (${answered} saw their 401 over HTTP/1.1), ${peak.toFixed(0)} MB at most with garbage`,
    )
    assert.ok(held - idle < maxGrowthMb, `memory grew from ${idle.toFixed(1)} to ${held.toFixed(1)} MB`)
  })

  it('one user who takes all it can leaves room for the others', { timeout: 300_000 }, async (t) => {
    await bind(target.api, 'default', 'view', 'greedy')
    const keys = await target.keysOf('greedy')
    const watches: number[] = []
    const sessions = Array.from({ length: 13 }, () => http2(t, target, keys))
    await eventually(
      'its roles count',
      async () => (await codeOf(sessions[0]!, 'GET', '/api/v1/namespaces/default/configmaps')) === 200,
    )
    await Promise.all(
      sessions.flatMap((session) =>
        Array.from({ length: 220 }, async () => {
          const stream = session.request({ ':path': '/api/v1/namespaces/default/configmaps?watch=1' })
          stream.on('error', () => undefined)
          const code = await new Promise<number>((resolve) => {
            stream.once('response', (headers) => resolve(Number(headers[':status'])))
            stream.once('close', () => resolve(0))
          })
          watches.push(code)
        }),
      ),
    )
    assert.equal(watches.filter((code) => code === 200).length, 2500, 'a quarter of all watches')
    const other = await target.api.watch('/api/v1/namespaces/default/configmaps?watch=1')
    assert.equal(other.code, 200)
    other.close()
    assert.equal((await target.api.send('GET', '/healthz')).code, 200)
    assert.deepEqual(await target.errors(), [])
  })
})

/** Sends requests of all identities at once, and judges every answer. */
async function storm(
  target: Target,
  identities: readonly Identity[],
  next: () => Hostile,
  count: number,
  codes: Map<number, number>,
): Promise<void> {
  let left = count
  const attack = async (who: Identity) => {
    let session = open(target, who.keys)
    while (left-- > 0) {
      if (session.closed || session.destroyed) session = open(target, who.keys)
      const request = next()
      const code = await send(session, request)
      codes.set(code, (codes.get(code) ?? 0) + 1)
      judge(who, request, code)
    }
    session.destroy()
  }
  await Promise.all(identities.flatMap((who) => Array.from({ length: width }, () => attack(who))))
}

/** Fails for an answer that no server may give, and for one that this identity has no right to. */
function judge(who: Identity, { method, path, headers }: Hostile, code: number): void {
  const told = `ATTACK_SEED=${seed}: ${code} to ${method} ${path.slice(0, 300)} of ${who.name} ${JSON.stringify(headers ?? {}).slice(0, 200)}`
  // 0: the connection was cut, as those are that nobody was authenticated on.
  assert.ok(code < 500 || code === 503 || code === 504, told)
  if (code < 200 || code >= 300) return
  // The server, too, takes several slashes for one.
  const bare = path.split('?', 1)[0]!.replace(/\/{2,}/g, '/')
  const isWrite = !['GET', 'HEAD', 'OPTIONS'].includes(method)
  assert.ok(isWrite ? who.mayWrite(bare) : who.mayRead(bare) || isOpen(bare), told)
}

async function send(session: ClientHttp2Session, { method, path, headers = {}, type, body }: Hostile): Promise<number> {
  try {
    const all = { ':method': method, ':path': path, ...(type && { 'content-type': type }), ...headers }
    const stream = session.request(all, { endStream: body === undefined })
    return await new Promise<number>((resolve) => {
      let code = 0
      stream.once('response', (answer) => (code = Number(answer[':status'])))
      stream.on('error', () => undefined)
      stream.once('close', () => resolve(code))
      stream.resume()
      if (body !== undefined) stream.end(body)
    })
  } catch (error) {
    // What is no header is refused by this side already.
    if (/^ERR_(INVALID|HTTP2)/.test((error as NodeJS.ErrnoException).code ?? '')) return 0
    throw error
  }
}

function open(target: Target, keys: KeyPair | undefined): ClientHttp2Session {
  const session = connectHttp2(`https://127.0.0.1:${target.port}`, { ca: target.ca, ...keys })
  session.on('error', () => undefined)
  return session
}

function http2(t: TestContext, target: Target, keys: KeyPair | undefined): ClientHttp2Session {
  const session = open(target, keys)
  t.after(() => session.destroy())
  return session
}

async function codeOf(session: ClientHttp2Session, method: string, path: string): Promise<number> {
  return send(session, { method, path })
}

function tls(t: TestContext, { port, ca }: Target): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ host: '127.0.0.1', port, ca }, () => resolve(socket))
    socket.once('error', reject)
    t.after(() => socket.destroy())
  })
}

/** Asks for /healthz all the time; the times it took, milliseconds. */
function watchHealth(t: TestContext, target: Target): readonly number[] {
  const took: number[] = []
  let isOver = false
  const ask = async () => {
    const session = open(target, await target.keysOf('watcher'))
    while (!isOver) {
      const start = performance.now()
      assert.equal(await codeOf(session, 'GET', '/healthz'), 200)
      took.push(performance.now() - start)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    session.destroy()
  }
  const asking = ask()
  t.after(async () => {
    isOver = true
    await asking
  })
  return took
}

/** All roles and who has them. */
async function rightsOf({ api }: Target): Promise<unknown> {
  const kinds = ['clusterroles', 'clusterrolebindings', 'roles', 'rolebindings']
  const lists = await Promise.all(kinds.map((kind) => api.list(`/apis/rbac.authorization.k8s.io/v1/${kind}`)))
  return lists
    .flat()
    .filter(({ metadata }) => metadata.name !== 'view-vera' && metadata.name !== 'edit-alice')
    .map(({ metadata, rules, roleRef, subjects }) => [
      metadata.namespace,
      metadata.name,
      metadata.labels,
      rules,
      roleRef,
      subjects,
    ])
}

async function bind(api: Api, namespace: string, role: string, user: string): Promise<void> {
  const group = 'rbac.authorization.k8s.io'
  await api.create(`/apis/${group}/v1/namespaces/${namespace}/rolebindings`, {
    metadata: { name: `${role}-${user}` },
    roleRef: { apiGroup: group, kind: 'ClusterRole', name: role },
    subjects: [{ apiGroup: group, kind: 'User', name: user }],
  })
}

async function clientOf(target: Target, name: string): Promise<Api> {
  const { Api: Client } = await import('../component/api.ts')
  return new Client(target.port, target.ca, await target.keysOf(name))
}
