import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fault } from '#base/fault.ts'
import { Widget } from '#kit/machinery/rest/rest-kit.ts'
import { draftOf, storedOf } from './stored.ts'

const metadata = { name: 'a', uid: 'u', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' }
const isInternal = (error: unknown) => error instanceof Fault && error.kind === 'Internal'

test('stored: what a server sends is an object when its metadata has what the server sets, and else refused', () => {
  const object = { metadata, spec: {} }
  assert.equal(storedOf(Widget, object), object)
  for (const name of Object.keys(metadata))
    assert.throws(() => storedOf(Widget, { metadata: { ...metadata, [name]: undefined } }), isInternal, name)
  for (const other of [undefined, null, 'text', [], {}, { metadata: [] }])
    assert.throws(() => storedOf(Widget, other), isInternal, JSON.stringify(other))
})

test('stored: an object that would be made needs no resourceVersion, but is one', () => {
  const { resourceVersion: _, ...rest } = metadata
  const draft = { metadata: rest }
  assert.equal(draftOf(Widget, draft), draft)
  for (const other of [undefined, 'text', { metadata: {} }]) assert.throws(() => draftOf(Widget, other), isInternal)
})
