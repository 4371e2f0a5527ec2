import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '#base/json.ts'
import { admin, faultIn, makeWidget, openRegistry, Widget } from '#kit/machinery/rest/rest-kit.ts'
import type { Doc } from './doc.ts'

test('what would be too large to be stored is refused with its size, and what is too large already may shrink and go', async (t) => {
  const registry = await openRegistry(t)
  const key = { namespace: 'default', name: 'w' }
  const large = (count: number) => ({ free: { text: 'x'.repeat(count) } })
  const fault = await faultIn(() => makeWidget(registry, 'w', large(2_000_000)))
  assert.equal(fault.kind, 'TooLarge')
  assert.match(fault.message, /widgets "w" would have 200\d{4} bytes; at most 1572864 can be stored/)
  const doc = await makeWidget(registry, 'w', large(1))
  const huge = { ...doc, spec: large(3_000_000) } as unknown as JsonObject
  await registry.store.update('/example.com/widgets/default/w', () => ({ type: 'put', value: huge }))
  const change = (count: number) =>
    registry.update(Widget, key, (now) => ({ ...now, spec: large(count) }) as unknown as JsonObject, admin)
  await change(2_500_000)
  assert.equal((await faultIn(() => change(2_600_000))).kind, 'TooLarge')
  await registry.delete(Widget, key, admin)
})

test('an object has ten plain updates at most; older ones become one, as in Kubernetes', async (t) => {
  const registry = await openRegistry(t)
  await makeWidget(registry, 'w')
  const key = { namespace: 'default', name: 'w' }
  for (let i = 0; i < 30; i++) {
    const label = (now: Doc) => ({
      ...now,
      metadata: { ...now.metadata, labels: { ...now.metadata.labels, [`l${i}`]: 'x' } },
    })
    await registry.update(Widget, key, (now) => label(now) as unknown as JsonObject, { ...admin, manager: `m${i}` })
  }
  const { managedFields = [] } = (await registry.get(Widget, key)).metadata
  assert.equal(managedFields.length, 10)
  assert.equal(managedFields[0]?.manager, 'ancient-changes')
  assert.match(JSON.stringify(managedFields[0]?.fieldsV1), /"f:l0":\{\}/)
  assert.equal(managedFields.at(-1)?.manager, 'm29')
})

test('a client sends at most a hundred entries of managedFields', async (t) => {
  const registry = await openRegistry(t)
  await makeWidget(registry, 'w')
  const [entry] = (await registry.get(Widget, { namespace: 'default', name: 'w' })).metadata.managedFields ?? []
  const managedFields = Array.from({ length: 101 }, (_, i) => ({ ...entry, manager: `m${i}` }))
  const sent = (now: Doc) => ({ ...now, metadata: { ...now.metadata, managedFields } }) as unknown as JsonObject
  const fault = await faultIn(() => registry.update(Widget, { namespace: 'default', name: 'w' }, sent, admin))
  assert.match(fault.message, /metadata.managedFields: Too many: 101: must have at most 100 items/)
})
