import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { openSqliteStore } from '#machinery/store/sqlite.ts'
import type { Change, Store } from '#machinery/store/store.ts'
import { Stage } from '../../tools/stage/stage.ts'
import { randomOf } from './random.ts'
import { type Address, addressOf, colors, Gate, mark, type Plural, prefixes, roots } from './storm/ground.ts'
import { select, verifyWatcher, verifyWrites } from './storm/verify.ts'
import { Watcher } from './storm/watcher.ts'
import { objectOf, shared, Writer } from './storm/writer.ts'

/** How often the server is killed; more with ROUNDS=N. The moments are repeated by SEED. */
const rounds = Number(process.env.ROUNDS ?? 6)
const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))
const writerCount = 16
const watcherCount = 50
/** Most acknowledged writes before a kill. */
const maxWrites = 400

/** A server under writers and watchers, all of which fail the test at once when something is as it must not be. */
class Storm {
  readonly gate = new Gate()
  readonly writers: readonly Writer[]
  readonly watchers: readonly Watcher[]
  readonly #failed = new AbortController()
  readonly #stopWriting = new AbortController()
  readonly #stopWatching = new AbortController()
  #done = 0
  #running: readonly Promise<void>[] = []

  constructor(address: Address, from: number) {
    const count = () => this.#done++
    this.writers = Array.from(
      { length: writerCount },
      (_, i) => new Writer(`w${i}`, randomOf(seed + i), this.gate, address, count),
    )
    this.watchers = Array.from({ length: watcherCount }, (_, i) => {
      const plural: Plural = i % 2 ? 'configmaps' : 'virtualmachines'
      const color = colors[i % 5]
      const protocol = i % 4 < 2 ? 'HTTP/1.1' : 'HTTP/2'
      return new Watcher({ plural, protocol, from, ...(color && { color }) }, this.gate, address)
    })
  }

  start(): void {
    const fail = (error: unknown) => this.#failed.abort(error)
    this.#running = [
      ...this.writers.map((one) => one.run(this.#stopWriting.signal).catch(fail)),
      ...this.watchers.map((one) => one.run(this.#stopWatching.signal).catch(fail)),
    ]
  }

  /** Resolves after so many more acknowledged writes. @throws whatever went wrong anywhere */
  async writes(count: number): Promise<void> {
    const until = this.#done + count
    await this.#until(`${count} more writes`, () => this.#done >= until)
  }

  /** Lets the writers come to an end, and the watchers see it. */
  async calm(stage: Stage): Promise<Record<Plural, readonly { metadata: { resourceVersion: string } }[]>> {
    this.#stopWriting.abort()
    await Promise.race([Promise.all(this.#running.slice(0, writerCount)), this.#failure()])
    return this.#until('every watcher to be up to date', async () => {
      const objects = {
        configmaps: await listOf(stage, 'configmaps'),
        virtualmachines: await listOf(stage, 'virtualmachines'),
      }
      const isCurrent = ({ options: { plural, color }, world }: Watcher) => {
        const wanted = select(objects[plural], color)
        const isSame = (object: { metadata: { name: string; resourceVersion: string } }) =>
          world.get(object.metadata.name)?.metadata.resourceVersion === object.metadata.resourceVersion
        return wanted.length === world.size && wanted.every(isSame)
      }
      return this.watchers.every(isCurrent) && objects
    })
  }

  async stop(): Promise<void> {
    this.#stopWriting.abort()
    this.#stopWatching.abort()
    // Those that wait for the server see that it is over.
    this.gate.open()
    await Promise.all(this.#running)
  }

  #until<T>(what: string, probe: () => Promise<T | false> | T | false): Promise<T> {
    return eventually(what, probe, { everyMs: 1, signal: this.#failed.signal })
  }

  #failure(): Promise<never> {
    const { signal } = this.#failed
    return new Promise((_, reject) => {
      if (signal.aborted) reject(signal.reason)
      signal.addEventListener('abort', () => reject(signal.reason))
    })
  }
}

async function listOf(stage: Stage, plural: Plural) {
  const { body } = await stage.api.call('GET', `${roots[plural]}?labelSelector=storm%3D${mark.storm}`)
  // Where the list alone says what its items are, they are told to watchers with it.
  const typed = { apiVersion: body.apiVersion, kind: body.kind.replace(/List$/, '') }
  return body.items.map((item: object) => ({ ...typed, ...item }))
}

/** Makes what the writers share; resolves to the revision from before. */
async function prepare(stage: Stage): Promise<number> {
  const { body } = await stage.api.call('GET', roots.configmaps)
  for (const { plural, name } of shared)
    await stage.api.call('POST', roots[plural], objectOf(plural, { name }, `first-${plural}-${name}`, 'red'))
  return Number(body.metadata.resourceVersion)
}

async function changesOf(store: Store, plural: Plural, after: number): Promise<Change[]> {
  const stop = new AbortController()
  const changes: Change[] = []
  // One more at the end, to know that everything before it has come.
  const key = `${prefixes[plural]}zzz`
  await store.update(key, () => ({ type: 'put', value: {} }))
  for await (const batch of store.watch(prefixes[plural], after, stop.signal)) {
    changes.push(...batch)
    if (batch.some(({ row }) => row.key === key)) stop.abort()
  }
  const isOurs = ({ row }: Change) => (row.value as { metadata?: { labels?: typeof mark } }).metadata?.labels?.storm
  return changes.filter(isOurs)
}

test(`kill -9 under ${writerCount} writers and ${watcherCount} watchers loses nothing and tells everything once`, {
  timeout: 600_000,
}, async (t: TestContext) => {
  t.diagnostic(`SEED=${seed} ROUNDS=${rounds}`)
  await using stage = await Stage.open({ simulate: true })
  await stage.up()
  const from = await prepare(stage)
  const storm = new Storm(await addressOf(stage), from)
  const random = randomOf(seed)
  try {
    storm.start()
    for (let round = 0; round < rounds; round++) {
      storm.gate.open()
      await storm.writes(Math.floor(random() * maxWrites))
      storm.gate.close()
      await stage.kill()
      await stage.up()
    }
    storm.gate.open()
    await storm.writes(maxWrites)
    const objects = await storm.calm(stage)
    await storm.stop()
    await stage.stop()
    await using stack = new AsyncDisposableStack()
    const store = await openSqliteStore({ path: `${stage.dir}/store.db` })
    stack.defer(() => store.close())
    assert.equal((await store.diagnose()).integrity, 'ok')
    const history = {
      configmaps: await changesOf(store, 'configmaps', from),
      virtualmachines: await changesOf(store, 'virtualmachines', from),
    }
    const attempts = storm.writers.flatMap((writer) => writer.attempts)
    const first = shared.map(({ plural, name }) => ({ plural, token: `first-${plural}-${name}` }))
    verifyWrites([...attempts, ...first.map((one) => ({ ...one, type: 'put', outcome: 'done' }) as const)], history)
    for (const watcher of storm.watchers) verifyWatcher(watcher, history, objects[watcher.options.plural])
    const count = (outcome: string) => attempts.filter((one) => one.outcome === outcome).length
    t.diagnostic(
      `${rounds} kills: ${count('done')} writes done, ${count('unknown')} unanswered, ${count('refused')} refused; ${storm.watchers.reduce((sum, { opened }) => sum + opened, 0)} watches, ${storm.watchers.reduce((sum, { events }) => sum + events.length, 0)} events`,
    )
  } finally {
    await storm.stop()
  }
})
