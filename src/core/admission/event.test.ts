import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Event } from '#apis/core/event.ts'
import { eventErrors } from './event.ts'

const event = (namespace: string, about?: string): Event => ({
  apiVersion: 'v1',
  kind: 'Event',
  metadata: { name: 'e', namespace },
  involvedObject: { kind: 'Pod', name: 'p', ...(about !== undefined && { namespace: about }) },
})

test('an Event is in the namespace of the object that it is about', () => {
  for (const good of [event('a', 'a'), event('default'), event('default', ''), event('default', 'default')])
    assert.deepEqual(eventErrors(good, undefined), [])
  for (const bad of [event('a', 'b'), event('a'), event('default', 'b')]) {
    const [error] = eventErrors(bad, undefined)
    assert.equal(error?.field, 'involvedObject.namespace')
    assert.match(error?.message ?? '', /^Invalid value: ".*": does not match event.namespace$/)
    // One that is stored already can still be counted up.
    assert.deepEqual(eventErrors(bad, bad), [])
  }
})
