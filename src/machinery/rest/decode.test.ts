import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { kinds } from '#apis/kinds.ts'
import { isBuiltIn, type Kind } from '#apis/meta/object.ts'
import { isObject, type Json, type JsonObject } from '#base/json.ts'
import { Widget } from '#kit/machinery/rest/rest-kit.ts'
import { decoded } from './decode.ts'
import { schemaErrors } from './validate.ts'

test('unknown fields are dropped and told with their paths; known, free and metadata fields stay', () => {
  const known = {
    apiVersion: 'v',
    kind: 'K',
    metadata: { anything: 1 },
    spec: { size: 1, parts: [{ name: 'a' }], named: { x: { n: 1 } }, free: { a: { b: [1] } } },
  }
  const { object, unknown } = decoded(Widget, {
    ...known,
    bogus: 1,
    spec: { ...known.spec, Size: 2, parts: [{ name: 'a', typo: 1 }], named: { x: { n: 1, m: 2 } } },
  })
  assert.deepEqual(object, known)
  assert.deepEqual(unknown.paths.toSorted(), ['bogus', 'spec.Size', 'spec.named.x.m', 'spec.parts[0].typo'])
})

test('keys of the prototype are unknown fields like any other', () => {
  const sent = JSON.parse('{"spec":{"__proto__":{"x":1},"constructor":1,"toString":2,"size":1}}') as JsonObject
  const { object, unknown } = decoded(Widget, sent)
  assert.deepEqual(object, { spec: { size: 1 } })
  assert.deepEqual(unknown.paths.toSorted(), ['spec.__proto__', 'spec.constructor', 'spec.toString'])
})

test('decoding what has been decoded changes nothing, whatever was sent', () => {
  const key = fc.constantFrom('spec', 'status', 'size', 'tags', 'parts', 'named', 'free', 'name', 'bogus', '__proto__')
  const leaf = fc.constantFrom(null, true, 0, 1.5, 'x', -1)
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.dictionary(key, tie('tree'), { maxKeys: 4 }),
      fc.array(tie('tree'), { maxLength: 2 }),
    ),
  }))
  fc.assert(
    fc.property(fc.dictionary(key, tree, { maxKeys: 5 }), (sent) => {
      const once = decoded(Widget, sent as JsonObject)
      const twice = decoded(Widget, once.object)
      assert.deepEqual(twice, { object: once.object, unknown: { paths: [], more: 0 } })
      assert.ok(Array.isArray(schemaErrors(Widget, once.object)))
    }),
    { numRuns: 300 },
  )
})

const moments: readonly (readonly [string, string])[] = [
  ['2026-11-27T13:53:39Z', '2026-11-27T13:53:39Z'],
  ['2026-11-27T13:53:39.067042Z', '2026-11-27T13:53:39Z'],
  ['2026-11-27T13:53:39,9+02:00', '2026-11-27T11:53:39Z'],
  ['0000-01-01T00:00:00+01:00', '0000-01-01T00:00:00+01:00'],
  ['9999-12-31T23:59:59-01:00', '9999-12-31T23:59:59-01:00'],
  ['2026-11-27T13:53:39+24:00', '2026-11-27T13:53:39+24:00'],
  ['yesterday', 'yesterday'],
]
for (const [sent, kept] of moments)
  test(`the time ${sent} of a built-in kind is kept as ${kept}`, () => {
    const event = kinds.find((kind) => kind.kind === 'Event' && kind.group === '')
    assert.ok(event)
    assert.deepEqual(decoded(event, { lastTimestamp: sent }).object, { lastTimestamp: kept })
  })

test('the time of a lease is kept in UTC with its microseconds; without six digits it is left to validation', () => {
  const lease = kinds.find((kind) => kind.kind === 'Lease')
  assert.ok(lease)
  const kept = (renewTime: string) => decoded(lease, { spec: { renewTime } }).object
  assert.deepEqual(kept('2026-11-27T13:53:39.067042+02:00'), { spec: { renewTime: '2026-11-27T11:53:39.067042Z' } })
  assert.deepEqual(kept('2026-11-27T13:53:39Z'), { spec: { renewTime: '2026-11-27T13:53:39Z' } })
})

test('the time of another kind is kept as it was sent', () => {
  const schema = { properties: { at: { type: 'string', format: 'date-time' } } }
  const sent = { at: '2026-11-27T13:53:39.5+02:00' }
  assert.deepEqual(decoded({ ...Widget, schema }, sent).object, sent)
})

test('of very many unknown fields the first hundred are named and the others counted', () => {
  const spec = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`x${i}`, 1]))
  const { unknown } = decoded(Widget, { spec })
  assert.deepEqual([unknown.paths.length, unknown.paths[0], unknown.more], [100, 'spec.x0', 4900])
})

/** A kind whose spec has every kind of field, built into Kubernetes or not. */
function kindOf(group: string): Kind {
  const fields = {
    text: { type: 'string' },
    texts: { type: 'object', additionalProperties: { type: 'string' } },
    amounts: { type: 'object', additionalProperties: { 'x-kubernetes-int-or-string': true } },
    items: { type: 'array', items: { type: 'object', properties: { name: { type: 'string' } } } },
    names: { type: 'array', items: { type: 'string' } },
    time: { type: 'string', nullable: true },
    free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
    half: { 'x-kubernetes-preserve-unknown-fields': true, properties: { known: { type: 'string' } } },
  }
  return { ...Widget, group, schema: { type: 'object', properties: { spec: { type: 'object', properties: fields } } } }
}

const nulls: readonly [what: string, spec: JsonObject, builtIn: JsonObject, custom?: JsonObject][] = [
  ['a scalar', { text: null }, {}],
  ['a map', { texts: null }, {}],
  ['a list', { items: null, names: null }, {}],
  ['a value of a map of strings', { texts: { a: null, b: 'x' } }, { texts: { a: '', b: 'x' } }, { texts: { b: 'x' } }],
  ['a value of a map of quantities', { amounts: { a: null } }, { amounts: { a: '0' } }, { amounts: {} }],
  ['a field of an item', { items: [{ name: null }] }, { items: [{}] }],
  ['an item that is an object', { items: [null] }, { items: [{}] }, { items: [null] }],
  ['an item that is a string', { names: ['a', null] }, { names: ['a', ''] }, { names: ['a', null] }],
  ['a nullable field', { time: null }, { time: null }],
  ['what no schema describes', { free: { a: null, b: { c: null, d: 1 } } }, { free: { b: { d: 1 } } }],
  ['known fields beside those kept unseen', { half: { known: null, other: null, more: 1 } }, { half: { more: 1 } }],
]
for (const [what, spec, builtIn, custom = builtIn] of nulls)
  test(`null for ${what} is decoded as Kubernetes does, in built-in and in custom kinds`, () => {
    const specOf = (group: string) => decoded(kindOf(group), { spec }).object.spec
    assert.deepEqual(specOf('apps.k8s.io'), builtIn)
    assert.deepEqual(specOf('example.com'), custom)
  })

test('null for any field of any kind that is not nullable is as good as leaving it out', () => {
  for (const kind of kinds) {
    const visit = (schema: Json | undefined): void => {
      const { properties, items } = isObject(schema) ? schema : {}
      if (isObject(items)) visit(items)
      const root: Kind = { ...kind, schema: { properties: { spec: schema } } }
      for (const [name, below] of Object.entries(isObject(properties) ? properties : {})) {
        if (!isObject(below) || below.nullable === true) continue
        assert.deepEqual(decoded(root, { spec: { [name]: null } }).object, { spec: {} }, `${kind.kind} ${name}`)
        visit(below)
      }
    }
    visit(kind.schema)
  }
})

test('the groups of Kubernetes are told from those of custom resources', () => {
  const own = kinds.filter(isBuiltIn).map(({ kind }) => kind)
  assert.ok(own.includes('Pod') && own.includes('Lease') && own.includes('ClusterRole'))
  for (const custom of ['VirtualMachine', 'KubeVirt', 'NetworkAttachmentDefinition']) assert.ok(!own.includes(custom))
})
