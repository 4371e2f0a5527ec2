import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { ApiObject, Kind } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import { LocalClient } from './local-client.ts'
import { faultIn, makeWidget, openRegistry, Widget } from './rest-kit.ts'

const kind = Widget as unknown as Kind<ApiObject & { spec: { size?: number } }>
const key = { namespace: 'default', name: 'a' }

async function open(t: TestContext) {
  const registry = await openRegistry(t)
  const stop = new AbortController()
  t.after(() => stop.abort())
  return {
    registry,
    client: new LocalClient(registry, { user: { name: 'test', groups: [] }, manager: 'test' }),
    signal: stop.signal,
  }
}

test('a watch with a selector sees an object enter as ADDED, change as MODIFIED and leave as DELETED', async (t) => {
  const { registry, client, signal } = await open(t)
  const { metadata } = await makeWidget(registry, 'a')
  const label = (x: string | undefined) =>
    client.modify(kind, key, (one) => ({ ...one, metadata: { ...one.metadata, labels: x === undefined ? {} : { x } } }))
  const watched = client.watch(kind, metadata.resourceVersion!, { labelSelector: 'x=1' }, signal)
  await label('0')
  await label('1')
  await client.modify(kind, key, (one) => ({ ...one, spec: { size: 2 } }))
  await label(undefined)
  await label('0')
  await label('1')
  await client.delete(kind, key)
  await makeWidget(registry, 'b', {}, { labels: { x: '1' } })
  const seen: string[] = []
  for await (const events of watched) {
    for (const event of events)
      if (event.type !== 'BOOKMARK')
        seen.push(`${event.type} ${event.object.metadata.name} ${event.object.metadata.resourceVersion}`)
    if (seen.length >= 6) break
  }
  const from = Number(metadata.resourceVersion)
  assert.deepEqual(seen, [
    `ADDED a ${from + 2}`,
    `MODIFIED a ${from + 3}`,
    `DELETED a ${from + 4}`,
    `ADDED a ${from + 6}`,
    `DELETED a ${from + 7}`,
    `ADDED b ${from + 8}`,
  ])
})

test('an object that goes with a write which also selects it is no news to a watch that never saw it', async (t) => {
  const { registry, client, signal } = await open(t)
  const { metadata } = await makeWidget(registry, 'a', {}, { finalizers: ['x/y'] })
  await client.delete(kind, key)
  await client.modify(kind, key, (one) => ({
    ...one,
    metadata: { ...one.metadata, labels: { x: '1' }, finalizers: [] },
  }))
  await makeWidget(registry, 'b', {}, { labels: { x: '1' } })
  for await (const events of client.watch(kind, metadata.resourceVersion!, { labelSelector: 'x=1' }, signal)) {
    assert.deepEqual(
      events.map((event) => event.type !== 'BOOKMARK' && `${event.type} ${event.object.metadata.name}`),
      ['ADDED b'],
    )
    break
  }
})

test('a watch from before what was compacted is told that it came too late', async (t) => {
  const { registry, client, signal } = await open(t)
  const { metadata } = await makeWidget(registry, 'a')
  await makeWidget(registry, 'b')
  await registry.store.compact(registry.store.revision)
  const fault = await faultIn(async () => {
    for await (const _ of client.watch(kind, String(Number(metadata.resourceVersion) - 1), {}, signal)) break
  })
  assert.equal(fault.kind, 'Expired')
})

test('what is missing reads and modifies as undefined, and deleting it is fine', async (t) => {
  const { client } = await open(t)
  assert.equal(await client.get(kind, key), undefined)
  assert.equal(await client.modify(kind, key, (one) => one), undefined)
  await client.delete(kind, key)
})

test('a list obeys its selectors and tells the revision it is true at', async (t) => {
  const { registry, client } = await open(t)
  await makeWidget(registry, 'a', { size: 1 }, { labels: { x: '1' } })
  await makeWidget(registry, 'b', { size: 2 }, { labels: { x: '1' } })
  const { items, resourceVersion } = await client.list(kind, { labelSelector: 'x=1', fieldSelector: 'spec.size=2' })
  assert.deepEqual(
    items.map(({ metadata }) => metadata.name),
    ['b'],
  )
  assert.equal(resourceVersion, String(registry.store.revision))
})

test('a delete of one uid spares the namesake', async (t) => {
  const { registry, client } = await open(t)
  await makeWidget(registry, 'a')
  await assert.rejects(
    client.delete(kind, key, { uid: 'other' }),
    (error) => error instanceof Fault && error.kind === 'Conflict',
  )
  assert.ok(await client.get(kind, key))
})
