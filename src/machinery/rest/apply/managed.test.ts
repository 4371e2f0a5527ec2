import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Kind } from '#apis/meta/object.ts'
import { type JsonObject, sameJson } from '#base/json.ts'
import { Widget } from '#kit/machinery/rest/rest-kit.ts'
import { uncheckedDoc } from '../doc.ts'
import { applied, configOf, trackUpdate } from './managed.ts'

const text = { type: 'string' }
const kind: Kind = {
  ...(Widget as unknown as Kind),
  schema: {
    type: 'object',
    properties: {
      spec: {
        type: 'object',
        properties: {
          a: text,
          deep: { type: 'object', properties: { b: text, c: text } },
          map: { type: 'object', additionalProperties: text },
          list: {
            type: 'array',
            items: { type: 'object', properties: { name: text, x: text } },
            'x-kubernetes-list-type': 'map',
            'x-kubernetes-list-map-keys': ['name'],
          },
          set: { type: 'array', items: text, 'x-kubernetes-list-type': 'set' },
          atoms: { type: 'array', items: text },
        },
      },
    },
  },
}

const value = fc.constantFrom('1', '2')
const key = fc.constantFrom('k', 'l', 'm')
const spec = fc.record(
  {
    a: value,
    deep: fc.record({ b: value, c: value }, { requiredKeys: [], noNullPrototype: true }),
    map: fc.dictionary(key, value, { noNullPrototype: true }),
    list: fc.uniqueArray(fc.record({ name: key, x: value }, { requiredKeys: ['name'], noNullPrototype: true }), {
      selector: (one) => one.name,
    }),
    set: fc.uniqueArray(key),
    atoms: fc.array(key, { maxLength: 2 }),
  },
  { requiredKeys: [], noNullPrototype: true },
)
const start = { apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'w' } }
const writer = (manager: string, operation: 'Apply' | 'Update' = 'Apply') => ({ manager, operation, time: 'now' })
const apply = (live: JsonObject, manager: string, wanted: object) =>
  applied(kind, uncheckedDoc(live), configOf(kind, { ...start, spec: wanted as JsonObject }, 'w'), {
    writer: writer(manager),
    force: true,
  })

test('applied: the only manager gets exactly what it says, whatever it said before', () => {
  fc.assert(
    fc.property(spec, spec, (before, after) => {
      const first = apply(apply(start, 'me', before), 'me', after)
      assert.deepEqual(first.spec, after)
      assert.ok(sameJson(apply(first, 'me', after), first), 'the second time changes nothing')
    }),
    { numRuns: 500 },
  )
})

test('applied: who applies nothing any more leaves what the other one has', () => {
  fc.assert(
    fc.property(spec, spec, (mine, yours) => {
      const both = apply(apply(start, 'me', mine), 'you', yours)
      const left = apply(both, 'me', {})
      assert.deepEqual(apply(left, 'you', yours).spec, left.spec)
      assert.deepEqual(apply(left, 'you', {}).spec, {})
    }),
    { numRuns: 500 },
  )
})

test('trackUpdate: an update that is undone by another manager leaves nothing with the first', () => {
  fc.assert(
    fc.property(spec, spec, (one, two) => {
      const [a, b] = [one, two].map((wanted) => ({ ...start, spec: wanted }) as unknown as JsonObject)
      const step = (entries: ReturnType<typeof trackUpdate>, before: JsonObject, after: JsonObject, manager: string) =>
        trackUpdate(kind, entries, { before, sent: after, after }, writer(manager, 'Update'))
      const entries = step(step([], a!, b!, 'first'), b!, a!, 'second')
      assert.deepEqual(
        entries.filter(({ manager }) => manager === 'first'),
        [],
      )
    }),
    { numRuns: 500 },
  )
})
