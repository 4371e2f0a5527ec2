import assert from 'node:assert/strict'
import { test } from 'node:test'
import { admin, openRegistry, Widget } from '#kit/machinery/rest/rest-kit.ts'
import { LocalClient } from '../rest/local-client.ts'
import { modifySame } from './modify-same.ts'

const draft = { apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'a', namespace: 'default' }, spec: {} }

test('modifySame: changes the newest version of the object that was seen', async (t) => {
  const client = new LocalClient(await openRegistry(t), { user: admin.user, manager: 'test' })
  const seen = await client.create(Widget, draft)
  await client.modify(Widget, seen.metadata, (one) => ({ ...one, spec: { size: 1 } }))
  const after = await modifySame(client, Widget, seen, ({ spec, ...one }) => ({
    ...one,
    spec: { ...spec, tags: ['x'] },
  }))
  assert.deepEqual(after?.spec, { size: 1, tags: ['x'] })
})

test('modifySame: writes only the status when asked to', async (t) => {
  const client = new LocalClient(await openRegistry(t), { user: admin.user, manager: 'test' })
  const seen = await client.create(Widget, draft)
  const change = (one: typeof seen) => ({ ...one, spec: { size: 2 }, status: { phase: 'Done' } })
  const after = await modifySame(client, Widget, seen, change, { subresource: 'status' })
  assert.deepEqual([after?.spec, after?.status], [{}, { phase: 'Done' }])
})

test('modifySame: leaves another object of the same name alone', async (t) => {
  const client = new LocalClient(await openRegistry(t), { user: admin.user, manager: 'test' })
  const seen = await client.create(Widget, draft)
  await client.delete(Widget, seen.metadata)
  assert.equal(await modifySame(client, Widget, seen, (one) => ({ ...one, spec: { size: 1 } })), undefined)
  const other = await client.create(Widget, draft)
  const asked: string[] = []
  const change = (one: typeof seen) => {
    asked.push(one.metadata.uid)
    return { ...one, spec: { size: 1 } }
  }
  assert.equal(await modifySame(client, Widget, seen, change), undefined)
  assert.deepEqual(asked, [])
  assert.deepEqual(await client.get(Widget, seen.metadata), other)
})
