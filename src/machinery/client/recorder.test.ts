import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Event } from '#apis/core/event.ts'
import type { Client } from './client.ts'
import { sweepEvents } from './recorder.ts'

const now = Date.parse('2026-05-05T12:00:00Z')
const event = (name: string, created: string, over: Partial<Event> = {}): Event => ({
  apiVersion: 'v1',
  kind: 'Event',
  metadata: { namespace: 'a', name, creationTimestamp: created },
  involvedObject: {},
  ...over,
})

/** Names of the events that a sweep deletes. */
async function swept(items: readonly Event[], keptMs?: number): Promise<string[]> {
  const deleted: string[] = []
  const client = {
    list: async (kind: unknown) => {
      assert.equal(kind, Event)
      return { items }
    },
    delete: async (_kind: unknown, { name }: { name: string }) => deleted.push(name),
  }
  await sweepEvents(client as unknown as Client, now, keptMs)
  return deleted.toSorted()
}

test('events not repeated for an hour are deleted, whoever made them and whatever times they claim', async () => {
  const old = '2026-05-05T10:00:00Z'
  const recent = '2026-05-05T11:30:00Z'
  const deleted = await swept([
    event('old', old),
    event('old-of-the-future', old, { lastTimestamp: '9999-01-01T00:00:00Z' }),
    event('old-of-no-time', old, { lastTimestamp: 'yesterday', eventTime: null }),
    event('new-of-the-past', recent, { eventTime: '2020-01-01T00:00:00Z' }),
    event('repeated', old, { lastTimestamp: recent }),
    event('repeated-as-series', old, { series: { count: 2, lastObservedTime: recent } }),
  ])
  assert.deepEqual(deleted, ['old', 'old-of-no-time', 'old-of-the-future'])
})

test('of more events than a namespace may have the oldest are deleted', async () => {
  const items = Array.from({ length: 5003 }, (_, n) => event(`e${n}`, new Date(now - 1000 - n * 100).toISOString()))
  assert.deepEqual(await swept(items), ['e5000', 'e5001', 'e5002'])
})

test('entries of an audit log are kept for a month, and crowd out no event', async () => {
  const entry = (name: string, created: string) => {
    const one = event(name, created)
    return { ...one, metadata: { ...one.metadata, annotations: { 'ovirt.patchbay.dev/code': '934' } } }
  }
  const items = Array.from({ length: 5001 }, (_, n) => entry(`e${n}`, new Date(now - 1000 - n * 100).toISOString()))
  const day = (ago: number) => new Date(now - ago * 24 * 3600 * 1000).toISOString()
  const deleted = await swept([...items.slice(0, 4999), event('recent', day(0.01)), entry('old', day(29))])
  assert.deepEqual(deleted, [])
  assert.deepEqual(await swept([entry('too-old', day(31)), entry('old', day(29))]), ['too-old'])
  assert.deepEqual(await swept(items), ['e5000'])
  const dayMs = 24 * 3600 * 1000
  assert.deepEqual(await swept([entry('old', day(29)), entry('new', day(1))], 7 * dayMs), ['old'])
})
