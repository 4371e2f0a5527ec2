import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeWidget, openRegistry, Widget } from '#kit/machinery/rest/rest-kit.ts'
import { sendBookmarks } from './bookmarks.ts'
import { planWatch, streamWatch } from './watch.ts'

const request = (query: Record<string, string>) => ({ namespace: undefined, name: undefined, query, accept: undefined })

/** Lets promises settle and timers fire. */
const settle = () => new Promise(setImmediate)

test('watch: a quiet one is told from time to time how far it has come', async (t) => {
  const registry = await openRegistry(t)
  const plan = planWatch(registry, Widget, request({ allowWatchBookmarks: 'true', resourceVersion: '1' }))
  const stop = new AbortController()
  const lines: { type: string; object: { metadata: { resourceVersion: string } } }[] = []
  const sink = async (events: string | Buffer) => {
    for (const line of String(events).trimEnd().split('\n')) lines.push(JSON.parse(line))
    if (lines.length === 3) stop.abort()
  }
  const { metadata } = await makeWidget(registry, 'a')
  await streamWatch(registry, Widget, plan, sink, stop.signal, 20)
  assert.deepEqual(
    lines.map(({ type, object }) => [type, object.metadata.resourceVersion]),
    ['ADDED', 'BOOKMARK', 'BOOKMARK'].map((type) => [type, metadata.resourceVersion]),
  )
})

test('watch: a busy one is told as well, of nothing it has not seen, in order', async (t) => {
  const registry = await openRegistry(t)
  const query = { allowWatchBookmarks: 'true', resourceVersion: '1', labelSelector: 'shown=yes' }
  const stop = new AbortController()
  const seen: number[] = []
  const bookmarks: number[] = []
  const sink = async (events: string | Buffer) => {
    for (const line of String(events).trimEnd().split('\n')) {
      const { type, object } = JSON.parse(line)
      seen.push(Number(object.metadata.resourceVersion))
      if (type === 'BOOKMARK') bookmarks.push(seen.at(-1)!)
    }
    if (bookmarks.length === 3) stop.abort()
  }
  const watching = streamWatch(registry, Widget, planWatch(registry, Widget, request(query)), sink, stop.signal, 20)
  for (let i = 0; !stop.signal.aborted; i++) {
    await makeWidget(registry, `w${i}`, {}, { labels: { shown: i % 3 ? 'no' : 'yes' } })
    await settle()
  }
  await watching
  assert.deepEqual(
    seen,
    seen.toSorted((a, b) => a - b),
  )
  assert.ok(bookmarks[0]! > 1 && bookmarks[2]! > bookmarks[0]!)
})

test('watch: it is told once a minute, and two seconds before it ends', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let now = 0
  t.mock.method(performance, 'now', () => now)
  const stop = new AbortController()
  const at: number[] = []
  const tell = async () => void at.push(now)
  const told = sendBookmarks({ told: () => 1, newest: () => 1, tell }, { endsInMs: 150_000, signal: stop.signal })
  for (; now < 240_000; now += 500) {
    await settle()
    t.mock.timers.tick(500)
  }
  stop.abort()
  await assert.rejects(told)
  assert.deepEqual(
    at.slice(0, 3).map((ms) => Math.round(ms / 1000)),
    [60, 120, 148],
  )
})

test('watch: what came in a silence is told only as far as it was told', async () => {
  const stop = new AbortController()
  const [told, newest] = [
    [5, 7, 7, 7],
    [9, 9],
  ]
  const revisions: number[] = []
  const tell = async (revision: number) => {
    revisions.push(revision)
    if (revisions.length === 2) stop.abort()
  }
  const progress = { told: () => told.shift() ?? 7, newest: () => newest.shift() ?? 9, tell }
  await sendBookmarks(progress, { everyMs: 2, signal: stop.signal })
  // The first time something came in between; the second time nothing did, and all there was is known.
  assert.deepEqual(revisions, [7, 9])
})
