import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { ApiObject, Kind } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import type { Client } from '#machinery/client/client.ts'
import type { Registry } from '#machinery/rest/registry.ts'
import { faultIn, makeWidget, openRegistry, Widget } from '../rest/rest-kit.ts'

const kind: Kind<ApiObject & { spec: { size?: number }; status?: { phase?: string } }> = Widget
const key = { namespace: 'default', name: 'a' }
const isFault = (wanted: string) => (error: unknown) => error instanceof Fault && error.kind === wanted

type Connect = (t: TestContext, registry: Registry) => Promise<Client>
type Opened = Readonly<{ registry: Registry; client: Client; signal: AbortSignal; stop: () => void }>
type Open = (t: TestContext) => Promise<Opened>
type Make = (what: string, check: (t: TestContext) => Promise<void>) => void

/** What every implementation of Client promises. `connect` makes one of a registry's, for the time of a test. */
export function clientContract(name: string, connect: Connect): void {
  async function open(t: TestContext) {
    const registry = await openRegistry(t)
    const stop = new AbortController()
    const client = await connect(t, registry)
    t.after(() => stop.abort())
    return { registry, client, signal: stop.signal, stop: () => stop.abort() }
  }
  const promise: Make = (what, check) => {
    test(`${name}: ${what}`, check)
  }
  selectingWatches(promise, open)
  resumingWatches(promise, open)
  reads(promise, open)
  changes(promise, open)
}

function selectingWatches(promise: Make, open: Open): void {
  promise(
    'a watch with a selector sees an object enter as ADDED, change as MODIFIED and leave as DELETED',
    async (t) => {
      const { registry, client, signal } = await open(t)
      const { metadata } = await makeWidget(registry, 'a')
      const label = (x: string | undefined) =>
        client.modify(kind, key, (one) => ({
          ...one,
          metadata: { ...one.metadata, labels: x === undefined ? {} : { x } },
        }))
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
    },
  )

  promise('an object that goes with a write which also selects it is no news to a watch', async (t) => {
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
}

function resumingWatches(promise: Make, open: Open): void {
  promise(
    'a watch sees what comes while it is open, goes on where another ended, and ends with its signal',
    async (t) => {
      const { registry, client, signal, stop } = await open(t)
      const first = await makeWidget(registry, 'a')
      const watched = client.watch(kind, first.metadata.resourceVersion!, {}, signal)[Symbol.asyncIterator]()
      const [, { value: early }] = await Promise.all([makeWidget(registry, 'b'), watched.next()])
      await watched.return?.()
      await makeWidget(registry, 'c')
      const [event] = early
      const again = client.watch(kind, event.object.metadata.resourceVersion, {}, signal)[Symbol.asyncIterator]()
      const { value: late } = await again.next()
      assert.deepEqual([event.object.metadata.name, late[0].object.metadata.name], ['b', 'c'])
      const end = again.next()
      stop()
      assert.equal((await end).done, true)
    },
  )

  promise('a watch from before what was compacted is told that it came too late', async (t) => {
    const { registry, client, signal } = await open(t)
    const { metadata } = await makeWidget(registry, 'a')
    await makeWidget(registry, 'b')
    await registry.store.compact(registry.store.revision)
    const fault = await faultIn(async () => {
      for await (const _ of client.watch(kind, String(Number(metadata.resourceVersion) - 1), {}, signal)) break
    })
    assert.equal(fault.kind, 'Expired')
  })
}

function reads(promise: Make, open: Open): void {
  promise('what is missing reads and modifies as undefined, and deleting it is fine', async (t) => {
    const { client } = await open(t)
    assert.equal(await client.get(kind, key), undefined)
    assert.equal(await client.modify(kind, key, (one) => one), undefined)
    await client.delete(kind, key)
  })

  promise('a list obeys its selectors and tells the revision it is true at', async (t) => {
    const { registry, client } = await open(t)
    await makeWidget(registry, 'a', { size: 1 }, { labels: { x: '1' } })
    await makeWidget(registry, 'b', { size: 2 }, { labels: { x: '1' } })
    const { items, resourceVersion } = await client.list(kind, { labelSelector: 'x=1', fieldSelector: 'spec.size=2' })
    assert.deepEqual(
      items.map(({ metadata }) => metadata.name),
      ['b'],
    )
    assert.equal(resourceVersion, String(registry.store.revision))
    assert.deepEqual((await client.list(kind, { namespace: 'other' })).items, [])
  })

  promise('a delete of one uid spares the namesake', async (t) => {
    const { registry, client } = await open(t)
    await makeWidget(registry, 'a')
    await assert.rejects(client.delete(kind, key, { uid: 'other' }), isFault('Conflict'))
    assert.ok(await client.get(kind, key))
  })

  promise('what is refused says why, and what is wrong', async (t) => {
    const { client } = await open(t)
    const widget = { apiVersion: 'example.com/v1', kind: 'Widget', metadata: key, spec: {} }
    await client.create(kind, widget)
    await assert.rejects(client.create(kind, widget), isFault('AlreadyExists'))
    const fault = await faultIn(() => client.modify(kind, key, (one) => ({ ...one, spec: { size: 0 } })))
    assert.equal(fault.kind, 'Invalid')
    assert.match(fault.message, /^Widget\.example\.com "a" is invalid: spec\.size: /)
    const { causes } = fault.data.details as { causes: { field: string }[] }
    assert.deepEqual(
      causes.map(({ field }) => field),
      ['spec.size'],
    )
    const nowhere = { ...widget, metadata: { ...key, namespace: 'nowhere' } }
    await assert.rejects(client.create(kind, nowhere), isFault('NotFound'))
  })
}

function changes(promise: Make, open: Open): void {
  promise('a change is made to the newest object however many make it at once', async (t) => {
    const { registry, client } = await open(t)
    await makeWidget(registry, 'a', { size: 1 })
    const grow = () => client.modify(kind, key, (one) => ({ ...one, spec: { size: (one.spec.size ?? 0) + 1 } }))
    await Promise.all(Array.from({ length: 8 }, grow))
    assert.equal((await client.get(kind, key))?.spec.size, 9)
  })

  promise('a change of the status changes nothing else, and one that cannot be is in conflict', async (t) => {
    const { registry, client } = await open(t)
    await makeWidget(registry, 'a', { size: 1 })
    const change = (one: { spec: object }) => ({ ...one, spec: { size: 5 }, status: { phase: 'Done' } }) as never
    const after = await client.modify(kind, key, change, { subresource: 'status' })
    assert.deepEqual([after?.spec.size, after?.status?.phase], [1, 'Done'])
    const stranger = client.modify(kind, key, (one) => ({ ...one, metadata: { ...one.metadata, uid: 'other' } }))
    await assert.rejects(stranger, isFault('Conflict'))
    const unchanged = await client.modify(kind, key, () => undefined)
    assert.equal(unchanged?.metadata.resourceVersion, after?.metadata.resourceVersion)
  })
}
