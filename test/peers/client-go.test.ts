import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { isObject, type Json } from '#base/json.ts'
import { outcomeOf, ownedInTurn, toldHistories } from '#kit/machinery/rest/apply-rules.ts'
import { decodeObject } from '#machinery/rest/protobuf.ts'
import { encodeObject } from '#machinery/rest/protobuf-encode.ts'
import { must } from '../../tools/stage/program.ts'
import { type Any, vmsPath } from '../component/api.ts'
import { type Cluster, startCluster } from '../component/cluster.ts'
import { vm } from '../component/manifests.ts'
import { firstMs } from './install/cache.ts'
import { provideGo } from './install/go.ts'

const source = fileURLToPath(new URL('go', import.meta.url))
const messages = fileURLToPath(new URL('../../src/machinery/rest/protobuf-messages.ts', import.meta.url))
/** A first build compiles all of client-go, milliseconds. */
const buildMs = 500_000
const rounds = 40

/** Objects as client-go sends them since 0.32, without being asked: the types of k8s.io/api, as protobuf. */
describe('client-go 0.34', () => {
  let bin: string
  let cluster: Cluster
  before(
    async () => {
      bin = await mkdtemp('/tmp/pb-peers-')
      const go = await provideGo('client-go', source)
      await must(go.program, ['build', '-C', source, '-o', bin, './...'], { timeoutMs: buildMs, env: go.env })
      cluster = await startCluster()
      await writeFile(`${bin}/kubeconfig`, kubeconfigOf(cluster))
    },
    { timeout: firstMs },
  )
  after(async () => {
    await cluster?.stop()
    if (bin) await rm(bin, { recursive: true, force: true })
  })

  it('has the fields, numbers and empty values of its messages in our table', async () => {
    assert.equal(await must(`${bin}/shapes`, []), await readFile(messages, 'utf8'))
  })

  it('sends what it would have written in JSON, whatever is in it', async () => {
    const seed = Math.floor(Math.random() * 1e6)
    const lines = (await must(`${bin}/messages`, [String(seed), String(rounds)])).trim().split('\n')
    assert.ok(lines.length >= 20 * rounds)
    for (const line of lines) {
      const [body = '', ...json] = line.split(' ')
      const decoded = decodeObject(Buffer.from(body, 'base64'))
      assert.deepEqual(withoutNulls(decoded), withoutNulls(JSON.parse(json.join(' '))), `seed ${seed}: ${line}`)
    }
  })

  it('reads what we write as what it was', async () => {
    const seed = Math.floor(Math.random() * 1e6)
    const lines = (await must(`${bin}/messages`, [String(seed), String(rounds)])).trim().split('\n')
    const objects = lines.map((line): Any => JSON.parse(line.slice(line.indexOf(' ') + 1)))
    const input = objects.map((object) => `${encodeObject(object).toString('base64')}\n`).join('')
    const read = (await must(`${bin}/messages`, ['read'], { input })).trim().split('\n')
    assert.equal(read.length, objects.length)
    for (const [i, object] of objects.entries())
      assert.deepEqual(withoutNulls(JSON.parse(read[i] ?? '')), withoutNulls(object), `seed ${seed}, object ${i}`)
  })

  const histories = async (seed: number) => {
    const told = toldHistories(1500, seed)
    const input = told.map(({ operation }) => `${JSON.stringify(operation)}\n`).join('')
    return { told, lines: (await must(`${bin}/apply`, [], { input })).trim().split('\n') }
  }

  it('applies and updates as the model of our tests does', async () => {
    const seed = Math.floor(Math.random() * 1e6)
    const { told, lines } = await histories(seed)
    const conflicts = told.filter(({ expected }) => Array.isArray(expected.conflicts) && expected.conflicts.length)
    assert.ok(told.length >= 10_000 && conflicts.length >= 500, `${told.length}, ${conflicts.length} conflicts`)
    for (const [i, { operation, expected }] of told.entries())
      assert.deepEqual(
        outcomeOf(JSON.parse(lines[i] ?? '')),
        expected,
        `seed ${seed}, step ${i}: ${JSON.stringify(operation)}`,
      )
  })

  it('gives managers the fields that we give them, what holds others among them', async () => {
    const seed = Math.floor(Math.random() * 1e6)
    const { told, lines } = await histories(seed)
    const ours = ownedInTurn(told)
    let [compared, isEmptied] = [0, false]
    for (const [i, { operation }] of told.entries()) {
      const { object, owned } = JSON.parse(lines[i] ?? '')
      // What was emptied is null there, which no object that is stored has: the two part ways then.
      isEmptied = operation.do !== 'create' && (isEmptied || JSON.stringify(object).includes(':null'))
      if (isEmptied) continue
      assert.deepEqual(ours[i], owned, `seed ${seed}, step ${i}: ${JSON.stringify(operation)}`)
      compared++
    }
    assert.ok(compared >= 0.9 * told.length, `only ${compared} of ${told.length}`)
  })

  it('elects one leader of two processes, and the other when that leaves', async () => {
    const first = start('elect', 'one')
    assert.equal(await first.line(/^leads/), 'leads one')
    const second = start('elect', 'two')
    assert.equal(await second.line(/^follows/), 'follows one')
    first.end()
    assert.equal(await first.line(/^stopped/), 'stopped one')
    assert.equal(await second.line(/^leads/), 'leads two')
    second.end()
    assert.deepEqual([await first.code, await second.code], [0, 0])
    const lease = await cluster.api.get('/apis/coordination.k8s.io/v1/namespaces/default/leases/peer')
    assert.equal(lease.spec.leaseTransitions, 1)
    assert.match(lease.spec.renewTime, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
  })

  it('informs of changes, keeps owners, and counts the events it records', async () => {
    const peer = start('use')
    assert.equal(await peer.code, 0)
    assert.deepEqual(await peer.lines, [
      'added peer-owner',
      'added peer-owned',
      'updated peer-owned',
      'owners 1 true true',
      'listed true',
      'recorded Tested 2 true',
      'deleted peer-owned',
    ])
  })

  it('makes an object of each built-in kind by its typed client, and gets back what it sent', async () => {
    const peer = start('types')
    const lines = await peer.lines
    assert.deepEqual(
      lines.filter((line) => !line.endsWith(' true')),
      [],
    )
    assert.ok(lines.length >= 15, lines.join(', '))
    assert.equal(await peer.code, 0)
  })

  it('needs nothing but protobuf to make, get, list and follow what is built in', async () => {
    const peer = start('protobuf')
    assert.equal(await peer.code, 0)
    const kinds = ['Lease', 'Event', 'ConfigMap']
    assert.deepEqual(await peer.lines, [
      ...kinds.flatMap((kind) => [
        `${kind} listed 0`,
        `${kind} same true true true ADDED true DELETED`,
        `${kind} sent true`,
      ]),
      'gone true NotFound',
      'twice true',
    ])
  })

  it('follows the metadata of VMs alone', async () => {
    await cluster.api.create(vmsPath('default'), vm('followed', [], { runStrategy: 'Halted' }))
    const peer = start('metadata')
    assert.equal(await peer.code, 0)
    assert.deepEqual(await peer.lines, ['listed 1 followed 0', 'added followed', 'deleted'])
  })

  /** A process of the client; `line` waits for the next line like a pattern. */
  function start(...args: readonly string[]) {
    const child = spawn(`${bin}/client`, args, {
      env: { ...process.env, KUBECONFIG: `${bin}/kubeconfig` },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const code = new Promise<number>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (status) => resolve(status ?? 1))
    })
    const all: string[] = []
    const reader = createInterface(child.stdout)
    reader.on('line', (line) => all.push(line))
    const line = async (pattern: RegExp) => {
      for (let read = 0; ; ) {
        while (read < all.length) {
          const found = all[read++] ?? ''
          if (pattern.test(found)) return found
        }
        await new Promise((resolve, reject) => {
          reader.once('line', resolve)
          reader.once('close', () => reject(new Error(`ended without ${pattern}: ${all.join(', ')}`)))
        })
      }
    }
    return { line, code, lines: code.then(() => all), end: () => child.stdin.end() }
  }
})

function kubeconfigOf({ port, keys }: Cluster): string {
  const base64 = (text: string) => Buffer.from(text).toString('base64')
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'peer',
    contexts: [{ name: 'peer', context: { cluster: 'peer', user: 'peer' } }],
    clusters: [
      { name: 'peer', cluster: { server: `https://127.0.0.1:${port}`, 'certificate-authority-data': base64(keys.ca) } },
    ],
    users: [
      { name: 'peer', user: { 'client-certificate-data': base64(keys.cert), 'client-key-data': base64(keys.key) } },
    ],
  })
}

/** A null is an absent field. */
function withoutNulls(value: Json): Json {
  if (Array.isArray(value)) return value.map((item: Json) => (item === null ? item : withoutNulls(item)))
  if (!isObject(value)) return value
  const entries = Object.entries(value).flatMap(([name, item]): [string, Json][] =>
    item === null || item === undefined ? [] : [[name, withoutNulls(item)]],
  )
  return Object.fromEntries(entries)
}
