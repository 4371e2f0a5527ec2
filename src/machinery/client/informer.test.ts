import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { ApiObject, Kind, Stored } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import { isObject, type JsonObject } from '#base/json.ts'
import { type Log, silent } from '#base/log.ts'
import { eventually } from '#base/wait.ts'
import { openMemoryStore } from '#kit/machinery/store/memory.ts'
import type { Row, Store } from '../store/store.ts'
import type { Client, Scope, WatchEvent } from './client.ts'
import { type InformerOptions, makeInformer } from './informer.ts'
import { storedOf } from './stored.ts'

const creationTimestamp = '2026-01-01T00:00:00Z'

type Pod = ApiObject & Readonly<{ node?: string }>

const podKind: Kind<Pod> = {
  group: '',
  version: 'v1',
  kind: 'Pod',
  plural: 'pods',
  singular: 'pod',
  shortNames: [],
  categories: [],
  namespaced: true,
  status: true,
  columns: [],
  schema: {},
}

/** Lists and watches pods straight from a store, and fails when told to. */
class StoreClient implements Pick<Client, 'list' | 'watch'> {
  readonly store: Store = openMemoryStore({ keepRecent: 4 })
  /** Thrown by the next calls, one each. */
  failures: { list: unknown[]; watch: unknown[] } = { list: [], watch: [] }
  calls: string[] = []
  #watches = new Set<AbortController>()

  async list<T extends ApiObject>(kind: Kind<T>, scope: Scope = {}) {
    this.calls.push('list')
    if (this.failures.list.length > 0) throw this.failures.list.shift()
    const { rows, revision } = await this.store.list(prefixOf(scope))
    return { items: rows.map((row) => toObject(kind, row)), resourceVersion: String(revision) }
  }

  async *watch<T extends ApiObject>(
    kind: Kind<T>,
    resourceVersion: string,
    scope: Scope,
    signal: AbortSignal,
  ): AsyncGenerator<readonly WatchEvent<T>[], void> {
    this.calls.push(`watch ${resourceVersion}`)
    if (this.failures.watch.length > 0) throw this.failures.watch.shift()
    const end = new AbortController()
    this.#watches.add(end)
    const both = AbortSignal.any([signal, end.signal])
    for await (const changes of this.store.watch(prefixOf(scope), Number(resourceVersion), both)) {
      yield changes.map(({ type, row, previous }) => {
        const put = previous ? 'MODIFIED' : 'ADDED'
        return { type: type === 'delete' ? 'DELETED' : put, object: toObject(kind, row) }
      })
    }
    this.#watches.delete(end)
  }

  /** Ends running watches, as a server does now and then. */
  endWatches(): void {
    for (const watch of this.#watches) watch.abort()
    this.#watches.clear()
  }

  async put(name: string, node: string, { namespace = 'default', uid = name } = {}): Promise<void> {
    const value: JsonObject = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace, name, uid, creationTimestamp },
      node,
    }
    await this.store.update(`/core/pods/${namespace}/${name}`, () => ({ type: 'put', value }))
  }

  async remove(name: string): Promise<void> {
    await this.store.update(`/core/pods/default/${name}`, () => ({ type: 'delete' }))
  }
}

function prefixOf({ namespace }: Scope): string {
  return namespace ? `/core/pods/${namespace}/` : '/core/pods/'
}

function toObject<T extends ApiObject>(kind: Kind<T>, { value, revision }: Row): Stored<T> {
  const metadata = isObject(value.metadata) ? value.metadata : {}
  return storedOf(kind, { ...value, metadata: { ...metadata, resourceVersion: String(revision) } })
}

type Started = Readonly<{ log?: Log; scope?: Scope }> & Partial<Pick<InformerOptions<Pod, 'byNode'>, 'pause'>>

/** An informer that is ended after the test, what it told, and how long it paused. */
function start(t: TestContext, client: StoreClient, { log = silent, scope = {}, pause }: Started = {}) {
  const stop = new AbortController()
  t.after(() => stop.abort())
  const pauses: number[] = []
  const told: string[] = []
  const informer = makeInformer<Pod, 'byNode'>(client as unknown as Client, podKind, scope, {
    log,
    signal: stop.signal,
    indexes: { byNode: (pod) => (pod.node ? [pod.node] : []) },
    pause:
      pause ??
      (async (ms) => {
        pauses.push(ms)
        await new Promise((resolve) => setImmediate(resolve))
      }),
  })
  informer.onChange((current, previous) => told.push(describeChange(current, previous)))
  return { informer, told, pauses, stop }
}

function describeChange(current: Pod | undefined, previous: Pod | undefined): string {
  const name = (current ?? previous)?.metadata.name
  return `${name}: ${previous?.node ?? '-'} > ${current?.node ?? '-'}`
}

const when = (what: string, probe: () => boolean) => eventually(what, probe, { everyMs: 1, deadlineMs: 10_000 })
const names = (pods: readonly Pod[]) => pods.map(({ metadata }) => metadata.name).toSorted()

describe('Informer', { timeout: 30_000 }, () => {
  it('lists, then follows', async (t) => {
    const client = new StoreClient()
    await client.put('a', 'n1')
    const { informer, told } = start(t, client)
    assert.deepEqual(informer.list(), [])
    await informer.synced
    assert.equal(informer.get({ namespace: 'default', name: 'a' })?.node, 'n1')
    await client.put('b', 'n1')
    await client.put('a', 'n2')
    await client.remove('b')
    await when('changes', () => told.length === 4)
    assert.deepEqual(told, ['a: - > n1', 'b: - > n1', 'a: n1 > n2', 'b: n1 > -'])
    assert.deepEqual(names(informer.list()), ['a'])
    assert.equal(informer.get({ namespace: 'default', name: 'b' }), undefined)
    assert.equal(informer.get({ namespace: 'other', name: 'a' }), undefined)
  })

  it('keeps to its scope', async (t) => {
    const client = new StoreClient()
    await client.put('a', 'n1', { namespace: 'other' })
    const { informer, told } = start(t, client, { scope: { namespace: 'default' } })
    await informer.synced
    await client.put('b', 'n1', { namespace: 'other' })
    await client.put('c', 'n1')
    await when('the change', () => told.length > 0)
    assert.deepEqual(told, ['c: - > n1'])
  })

  it('finds objects by index as they change', async (t) => {
    const client = new StoreClient()
    await client.put('a', 'n1')
    await client.put('b', 'n1')
    const { informer, told } = start(t, client)
    await informer.synced
    assert.deepEqual(names(informer.indexed('byNode', 'n1')), ['a', 'b'])
    await client.put('a', 'n2')
    await client.remove('b')
    await when('changes', () => told.length === 4)
    assert.deepEqual(names(informer.indexed('byNode', 'n1')), [])
    assert.deepEqual(names(informer.indexed('byNode', 'n2')), ['a'])
    // A name that the compiler would refuse.
    assert.throws(() => informer.indexed('byOwner' as 'byNode', 'x'), /There is no index byOwner/)
  })

  it('resumes a watch that ended where it was, without listing again', async (t) => {
    const client = new StoreClient()
    const { informer, told } = start(t, client)
    await informer.synced
    await client.put('a', 'n1')
    await when('the change', () => told.length === 1)
    client.endWatches()
    await client.put('a', 'n2')
    await when('the next change', () => told.length === 2)
    assert.deepEqual(client.calls, ['list', 'watch 0', 'watch 1'])
    assert.deepEqual(told, ['a: - > n1', 'a: n1 > n2'])
  })

  it('lists again when history is gone, and tells what vanished meanwhile', async (t) => {
    const client = new StoreClient()
    for (const name of ['gone', 'kept', 'moved', 'remade']) await client.put(name, 'n1')
    const resume = Promise.withResolvers<void>()
    const { informer, told } = start(t, client, { pause: () => resume.promise })
    await informer.synced
    client.endWatches()
    await client.remove('gone')
    await client.put('moved', 'n2')
    await client.remove('remade')
    await client.put('remade', 'n3', { uid: 'other' })
    await client.put('new', 'n1')
    await client.store.compact(client.store.revision)
    told.length = 0
    resume.resolve()
    await when('the relist', () => told.length >= 5)
    assert.deepEqual(told.toSorted(), [
      'gone: n1 > -',
      'moved: n1 > n2',
      'new: - > n1',
      'remade: - > n3',
      'remade: n1 > -',
    ])
    assert.deepEqual(names(informer.list()), ['kept', 'moved', 'new', 'remade'])
    assert.deepEqual(names(informer.indexed('byNode', 'n1')), ['kept', 'new'])
  })

  it('waits longer after each failure, says so once, and says when it is over', async (t) => {
    const client = new StoreClient()
    const lines: string[] = []
    const say = (level: string) => (fields: Record<string, unknown>, message: string) =>
      void lines.push([level, message, fields.error].filter(Boolean).join(' | '))
    const log: Log = { debug: () => {}, info: say('info'), warn: say('warn'), error: say('error'), child: () => log }
    const down = new Fault('Unavailable', 'Reaching the server', { cause: new Error('refused') })
    client.failures = { list: [down, down], watch: [down, down, down] }
    const { informer, told, pauses } = start(t, client, { log })
    await informer.synced
    await when('the watch', () => client.calls.length === 7)
    await client.put('a', 'n1')
    await when('the change', () => told.length === 1)
    assert.deepEqual(pauses, [50, 100, 200, 400, 800])
    assert.deepEqual(lines, [
      'warn | List and watch failed | Reaching the server: refused',
      'info | List and watch works again',
    ])
  })

  it('does not list in a hurry when listing does not help', async (t) => {
    const client = new StoreClient()
    client.failures.watch = Array.from({ length: 4 }, () => new Fault('Expired', 'Too old'))
    const { pauses } = start(t, client)
    await when('the watch', () => client.calls.length === 10)
    assert.deepEqual(pauses, [0, 100, 200, 400])
  })

  it('tells a late listener what is there already, and none that has left', async (t) => {
    const client = new StoreClient()
    await client.put('a', 'n1')
    const { informer, told } = start(t, client)
    await informer.synced
    const late: string[] = []
    const leave = informer.onChange((current, previous) => late.push(describeChange(current, previous)))
    assert.deepEqual(late, ['a: - > n1'])
    leave()
    await client.put('a', 'n2')
    await when('the change', () => told.length === 2)
    assert.equal(late.length, 1)
  })

  it('goes on when a listener throws', async (t) => {
    const client = new StoreClient()
    const { informer, told } = start(t, client)
    await informer.synced
    informer.onChange(() => {
      throw new Error('listener')
    })
    informer.onChange((current) => told.push(`second: ${current?.metadata.name}`))
    await client.put('a', 'n1')
    await when('both', () => told.length === 2)
    assert.deepEqual(told, ['a: - > n1', 'second: a'])
  })

  it('ends with its signal', async (t) => {
    const client = new StoreClient()
    const { informer, told, stop } = start(t, client)
    await informer.synced
    await client.put('a', 'n1')
    await when('the change', () => told.length === 1)
    stop.abort()
    await client.put('b', 'n1')
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(names(informer.list()), ['a'])
    assert.deepEqual(client.calls, ['list', 'watch 0'])
  })
})
