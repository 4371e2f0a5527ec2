import assert from 'node:assert/strict'
import { test } from 'node:test'
import { admin, namespaces, Widget, widget } from '#kit/machinery/rest/rest-kit.ts'
import { openMemoryStore } from '#kit/machinery/store/memory.ts'
import { Registry } from './registry.ts'
import { serve } from './strategy.ts'
import { planWatch, streamWatch } from './watch.ts'

test('the objects a watch begins with are written in small parts, however many there are', async (t) => {
  const store = openMemoryStore()
  t.after(() => store.close())
  const registry = new Registry(store, [serve(namespaces), serve(Widget)])
  await registry.create(namespaces, undefined, { metadata: { name: 'default' } }, admin)
  const annotations = { pad: 'x'.repeat(50_000) }
  for (let i = 0; i < 100; i++) await registry.create(Widget, 'default', widget(`w${i}`, {}, { annotations }), admin)
  const stop = new AbortController()
  const sizes: number[] = []
  let turns = 0
  const sink = async (events: string | Buffer) => {
    sizes.push(events.length)
    await new Promise((resolve) => setImmediate(resolve))
    turns++
    if (events.includes('"w99"')) stop.abort()
  }
  const plan = planWatch(registry, Widget, { namespace: 'default', name: undefined, query: {}, accept: undefined })
  await streamWatch(registry, Widget, plan, sink, stop.signal)
  assert.ok(sizes.reduce((sum, size) => sum + size) > 5_000_000)
  assert.ok(Math.max(...sizes) < 250_000, `${Math.max(...sizes)} characters at once`)
  assert.equal(turns, sizes.length)
})
