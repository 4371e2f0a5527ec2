import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Kind } from '#apis/meta/object.ts'
import type { JsonObject } from '#base/json.ts'
import { admin, faultIn, openRegistry, Widget } from '#kit/machinery/rest/rest-kit.ts'
import { registryFor } from './converted.ts'
import { eventOf } from './events.ts'
import { serve, serveConverted } from './strategy.ts'

const Gadget: Kind = {
  ...Widget,
  group: 'gadgets.io',
  kind: 'Gadget',
  schema: {
    type: 'object',
    required: ['body', 'note'],
    properties: { body: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }, note: { type: 'string' } },
  },
}
const converted = serveConverted(Gadget, Widget, { body: 'spec' })
const gadget = (name: string, more: JsonObject = {}) => ({ metadata: { name }, body: { size: 1 }, note: 'n', ...more })
const key = (name: string) => ({ name, namespace: 'default' })

test('a view shows stored objects in its own form, and stores what it is given in theirs', async (t) => {
  const registry = await openRegistry(t, [serve({ ...Widget, schema: noted }), converted])
  const gadgets = registryFor(registry, converted)
  assert.equal(registryFor(registry, converted), gadgets)
  const made = await gadgets.create(Gadget, 'default', gadget('a'), admin)
  assert.deepEqual([made.apiVersion, made.kind], ['gadgets.io/v1', 'Gadget'])
  const stored = (await registry.get(Widget, key('a'))) as unknown as JsonObject
  assert.deepEqual([stored.apiVersion, stored.kind, stored.spec], ['example.com/v1', 'Widget', { size: 1 }])
  await registry.create(Widget, 'default', { metadata: { name: 'b' }, spec: { size: 2 } }, admin)
  const { items } = await gadgets.list(Gadget, 'default')
  assert.deepEqual(
    items.map((one) => (one as unknown as JsonObject).body),
    [{ size: 1 }, { size: 2 }],
  )
  const changed = await gadgets.update(
    Gadget,
    key('a'),
    (one) => ({ ...(one as unknown as JsonObject), body: { size: 3 } }),
    admin,
  )
  assert.deepEqual((changed as unknown as JsonObject).body, { size: 3 })
  assert.equal((await gadgets.delete(Gadget, key('a'), admin)).doc.kind, 'Gadget')
  assert.equal((await faultIn(() => registry.get(Widget, key('a')))).kind, 'NotFound')
})

test('a view watches in its own form', async (t) => {
  const registry = await openRegistry(t, [serve({ ...Widget, schema: noted }), converted])
  const gadgets = registryFor(registry, converted)
  const after = registry.store.revision
  const stop = new AbortController()
  await gadgets.create(Gadget, 'default', gadget('a'), admin)
  await gadgets.delete(Gadget, key('a'), admin)
  const seen: (string | undefined)[] = []
  const isOurs = (one: JsonObject) => one.kind === 'Gadget' && one.body !== undefined
  for await (const changes of gadgets.watch(Gadget, 'default', after, stop.signal)) {
    for (const change of changes) seen.push(eventOf(change, isOurs)?.type)
    if (seen.length >= 2) stop.abort()
  }
  assert.deepEqual(seen, ['ADDED', 'DELETED'])
})

test('a view asks of what is made through it what only it requires, and takes no words of the other form', async (t) => {
  const registry = await openRegistry(t, [serve({ ...Widget, schema: noted }), converted])
  const gadgets = registryFor(registry, converted)
  const create = (input: JsonObject) =>
    faultIn(() => gadgets.create(Gadget, 'default', input, { ...admin, unknownFields: 'Strict' }))
  const { note: _, ...bare } = gadget('a')
  assert.match((await create(bare)).message, /^Gadget.gadgets.io "a" is invalid: note: Required value$/)
  assert.match((await create(gadget('a', { spec: {} }))).message, /unknown field "spec"/)
  assert.match((await create(gadget('a', { kind: 'Widget' }))).message, /do not match the expected ones/)
})

const noted = {
  ...Widget.schema,
  properties: { ...(Widget.schema.properties as JsonObject), note: { type: 'string' } },
}
