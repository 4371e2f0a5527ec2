import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate, setTimeout } from 'node:timers/promises'
import fc from 'fast-check'
import type { JsonObject } from '#base/json.ts'
import { eventually } from '#base/wait.ts'
import { admin, namespaces, Widget, widget } from '#kit/machinery/rest/rest-kit.ts'
import { openMemoryStore } from '#kit/machinery/store/memory.ts'
import type { Doc } from './doc.ts'
import { listPage } from './list.ts'
import { Registry } from './registry.ts'
import type { Query } from './request.ts'
import { serve } from './strategy.ts'
import { planWatch, streamWatch } from './watch.ts'

/** How often a quiet watch is told how far it has come, milliseconds. */
const bookmarkMs = 1

/** A committed change as everybody can remember it. */
type Change = Readonly<{ revision: number; before?: Doc; after?: Doc }>
type Event = Readonly<{ type: string; object: Doc & { code?: number } }>

type Options = Readonly<{ namespace?: string; color?: string; bookmarks: boolean; initialEvents: boolean }>

const keyOf = ({ metadata: { namespace, name } }: Doc) => `${namespace}/${name}`
const revisionOf = ({ metadata }: Doc) => Number(metadata.resourceVersion)

/** The server's side of a run: what is written, and the memory of it that answers are compared with. */
class Server {
  readonly store = openMemoryStore({ keepRecent: 4 })
  readonly registry = new Registry(this.store, [serve(namespaces), serve(Widget)])
  readonly changes: Change[] = []
  readonly #docs = new Map<string, Doc>()
  #count = 0

  async open(): Promise<void> {
    for (const name of ['default', 'other'])
      await this.registry.create(namespaces, undefined, { metadata: { name } }, admin)
  }

  /** Creates, changes or deletes; a change may alter the color. */
  async write(namespace: string, name: string, color: string, isDelete: boolean): Promise<void> {
    const key = { namespace, name }
    const before = this.#docs.get(`${namespace}/${name}`)
    const spec = { size: ++this.#count }
    const metadata = { labels: { color } }
    if (isDelete && !before) return
    if (isDelete) {
      const { doc } = await this.registry.delete(Widget, key, admin)
      this.changes.push({ revision: revisionOf(doc), before: before! })
      this.#docs.delete(keyOf(doc))
      return
    }
    const change = (doc: Doc) => ({ ...doc, spec, metadata: { ...doc.metadata, ...metadata } }) as unknown as JsonObject
    const after = before
      ? await this.registry.update(Widget, key, change, admin)
      : await this.registry.create(Widget, namespace, widget(name, spec, metadata), admin)
    this.changes.push({ revision: revisionOf(after), after, ...(before && { before }) })
    this.#docs.set(keyOf(after), after)
  }
}

/** What a watcher with these options must be told of a change, in the plainest words. */
function wordsFor({ before, after, revision }: Change, { namespace, color }: Options): string | undefined {
  const isMine = (doc: Doc | undefined) =>
    doc !== undefined &&
    (namespace === undefined || doc.metadata.namespace === namespace) &&
    (color === undefined || doc.metadata.labels?.color === color)
  if (isMine(after)) return `${isMine(before) ? 'MODIFIED' : 'ADDED'} ${keyOf(after!)} ${revision}`
  return isMine(before) ? `DELETED ${keyOf(before!)} ${revision}` : undefined
}

/** A client that lists, watches, is cut off, and goes on from some revision it has seen. */
class Watcher {
  readonly #server: Server
  readonly #options: Options
  readonly world = new Map<string, Doc>()
  /** Every revision after which it could go on, and the world as it was then. */
  #seen: { revision: number; world: ReadonlyMap<string, Doc> }[] = []
  /** What this connection said, and from where. */
  #told: string[] = []
  #from = 0
  #stop: AbortController | undefined
  #ended: Promise<void> = Promise.resolve()
  #isInitial = false
  #isSlow = false
  relists = 0
  bookmarks = 0

  constructor(server: Server, options: Options) {
    this.#server = server
    this.#options = options
  }

  get revision(): number | undefined {
    return this.#seen.at(-1)?.revision
  }

  /** Opens a watch unless there is one. `back` is how many of the revisions seen are forgotten first. */
  async connect(back: number, isSlow: boolean): Promise<void> {
    if (this.#stop) return
    this.#seen.splice(Math.max(1, this.#seen.length - back))
    const last = this.#seen.at(-1)
    this.#isSlow = isSlow
    this.#restore(last?.world ?? new Map())
    if (!last && !this.#options.initialEvents) await this.#list()
    const { bookmarks, initialEvents, namespace } = this.#options
    this.#isInitial = initialEvents && last === undefined
    const query: Query = {
      ...this.#selector(),
      ...(bookmarks && { allowWatchBookmarks: 'true' }),
      ...(this.#isInitial && { sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan' }),
      ...(this.revision !== undefined && { resourceVersion: String(this.revision) }),
    }
    this.#from = this.revision ?? 0
    this.#told = []
    const stop = new AbortController()
    this.#stop = stop
    const { registry } = this.#server
    const plan = planWatch(registry, Widget, { namespace, name: undefined, query, accept: undefined })
    const sink = (events: string | Buffer) => this.#take(String(events), stop.signal)
    this.#ended = streamWatch(registry, Widget, plan, sink, stop.signal, bookmarkMs)
    // Looked at when it is cut off.
    this.#ended.catch(() => undefined)
  }

  /** Cuts the connection and compares what it said with what it should have. */
  async disconnect(): Promise<void> {
    this.#stop?.abort()
    await this.#ended
    this.#stop = undefined
    this.#checkTold()
  }

  async #take(text: string, signal: AbortSignal): Promise<void> {
    if (this.#isSlow) await setImmediate()
    // Whoever has gone does not read what is still on its way.
    if (signal.aborted) return
    for (const line of text.trimEnd().split('\n')) this.#event(JSON.parse(line))
  }

  #event({ type, object }: Event): void {
    if (type === 'ERROR') {
      assert.equal(object.code, 410)
      this.#checkTold()
      this.#seen = []
      this.world.clear()
      this.relists++
      // As if cut off: the next connection lists.
      this.#stop = undefined
      return
    }
    const revision = revisionOf(object)
    if (type === 'BOOKMARK') {
      const isEnd = object.metadata.annotations?.['k8s.io/initial-events-end'] === 'true'
      this.bookmarks++
      assert.equal(isEnd, this.#isInitial)
      if (isEnd) [this.#isInitial, this.#from] = [false, revision]
      assert.ok(revision >= (this.revision ?? 0), 'a bookmark never goes back')
    } else {
      if (type === 'DELETED') this.world.delete(keyOf(object))
      else this.world.set(keyOf(object), object)
      // What is there at first comes in order of name.
      if (this.#isInitial) return
      assert.ok(revision > (this.revision ?? 0), `${type} at ${revision} after ${this.revision}`)
      this.#told.push(`${type} ${keyOf(object)} ${revision}`)
    }
    this.#seen.push({ revision, world: new Map(this.world) })
  }

  #checkTold(): void {
    const last = this.revision
    if (last === undefined) return
    const due = this.#server.changes.filter(({ revision }) => revision > this.#from && revision <= last)
    assert.deepEqual(
      this.#told,
      due.flatMap((change) => wordsFor(change, this.#options) ?? []),
    )
  }

  async #list(): Promise<void> {
    const page = await listPage(this.#server.registry, Widget, this.#options.namespace, this.#selector())
    this.#restore(new Map(page.items.map((doc) => [keyOf(doc), doc])))
    this.#seen = [{ revision: Number(page.metadata.resourceVersion), world: new Map(this.world) }]
  }

  #restore(world: ReadonlyMap<string, Doc>): void {
    this.world.clear()
    for (const [key, doc] of world) this.world.set(key, doc)
  }

  #selector(): Query {
    return this.#options.color === undefined ? {} : { labelSelector: `color=${this.#options.color}` }
  }

  /** Goes on until everything up to a revision has been seen, and compares its world with a list. */
  async finish(revision: number): Promise<void> {
    await eventually(
      'the last change',
      async () => {
        await this.connect(0, false)
        await setImmediate()
        return (this.revision ?? 0) >= revision
      },
      { everyMs: 0, deadlineMs: 5000 },
    )
    await this.disconnect()
    const page = await listPage(this.#server.registry, Widget, this.#options.namespace, this.#selector())
    const byKey = (a: Doc, b: Doc) => (keyOf(a) < keyOf(b) ? -1 : 1)
    assert.deepEqual([...this.world.values()].sort(byKey), [...page.items].sort(byKey))
  }
}

const color = fc.constantFrom('red', 'blue')
const who = fc.nat({ max: 3 })
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      namespace: fc.constantFrom('default', 'other'),
      name: fc.constantFrom('a', 'b', 'c'),
      color,
      isDelete: fc.nat({ max: 3 }).map((n) => n === 0),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('connect' as const), who, back: fc.nat({ max: 8 }), isSlow: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('disconnect' as const), who }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('compact' as const), back: fc.nat({ max: 2 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('quiet' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('turn' as const), turns: fc.integer({ min: 1, max: 4 }) }) },
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

const watcher: fc.Arbitrary<Options> = fc.record(
  {
    namespace: fc.constant('default'),
    color: fc.constant('red'),
    bookmarks: fc.boolean(),
    initialEvents: fc.boolean(),
  },
  { requiredKeys: ['bookmarks', 'initialEvents'] },
)

async function perform(one: Step, server: Server, watchers: readonly Watcher[]): Promise<void> {
  if (one.do === 'write') await server.write(one.namespace, one.name, one.color, one.isDelete)
  else if (one.do === 'connect') await watchers[one.who]!.connect(one.back, one.isSlow)
  else if (one.do === 'disconnect') await watchers[one.who]!.disconnect()
  else if (one.do === 'compact') await server.store.compact(Math.max(0, server.store.revision - one.back))
  // Long enough for bookmarks.
  else if (one.do === 'quiet') await setTimeout(2 * bookmarkMs)
  else for (let i = 0; i < one.turns; i++) await setImmediate()
}

test('watch: however it is cut off and resumed, every change is told once and the world is that of a list', async (t) => {
  let relists = 0
  let bookmarks = 0
  const property = fc.asyncProperty(
    fc.array(step, { minLength: 20, maxLength: 60, size: 'max' }),
    fc.array(watcher, { minLength: 4, maxLength: 4 }),
    async (steps, options) => {
      const server = new Server()
      await server.open()
      const watchers = options.map((one) => new Watcher(server, one))
      try {
        for (const one of steps) await perform(one, server, watchers)
        // Everybody sees this one.
        await server.write('default', 'last', 'red', false)
        for (const one of watchers) await one.finish(server.changes.at(-1)!.revision)
        relists += watchers.reduce((sum, one) => sum + one.relists, 0)
        bookmarks += watchers.reduce((sum, one) => sum + one.bookmarks, 0)
      } finally {
        await server.store.close()
      }
    },
  )
  await fc.assert(property, { numRuns: 150 })
  t.diagnostic(`${relists} watches came too late and listed again, ${bookmarks} bookmarks`)
  assert.ok(relists > 0 && bookmarks > 0, 'the runs are not what they should be')
})
