import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Fault } from '#base/fault.ts'
import type { Json, JsonObject } from '#base/json.ts'
import { faultIn, namespaces, Widget } from '#kit/machinery/rest/rest-kit.ts'
import { applyPatch, mergePatch, type PatchType } from './patch.ts'

const json: PatchType = 'application/json-patch+json'
const merge: PatchType = 'application/merge-patch+json'
const strategic: PatchType = 'application/strategic-merge-patch+json'

const jsonRows: readonly [name: string, before: JsonObject, patch: Json, after: JsonObject][] = [
  ['add makes a member', {}, [{ op: 'add', path: '/a', value: 1 }], { a: 1 }],
  ['add inserts before an index', { l: [1, 2] }, [{ op: 'add', path: '/l/1', value: 9 }], { l: [1, 9, 2] }],
  ['add with - appends', { l: [1] }, [{ op: 'add', path: '/l/-', value: 2 }], { l: [1, 2] }],
  [
    'replace and remove',
    { a: 1, b: 2 },
    [
      { op: 'replace', path: '/a', value: 3 },
      { op: 'remove', path: '/b' },
    ],
    { a: 3 },
  ],
  [
    'move and copy',
    { a: 1 },
    [
      { op: 'move', from: '/a', path: '/b' },
      { op: 'copy', from: '/b', path: '/c' },
    ],
    { b: 1, c: 1 },
  ],
  [
    '~1 is a slash and ~0 a tilde',
    { 'a/b': 1, 'c~d': 1 },
    [
      { op: 'remove', path: '/a~1b' },
      { op: 'remove', path: '/c~0d' },
    ],
    {},
  ],
  [
    'a test that holds lets the rest happen',
    { a: { b: [1] } },
    [
      { op: 'test', path: '/a', value: { b: [1] } },
      { op: 'remove', path: '/a' },
    ],
    {},
  ],
  ['no operations change nothing', { a: 1 }, [], { a: 1 }],
]
for (const [name, before, patch, after] of jsonRows)
  test(`JSON patch: ${name}`, () => {
    const copy = structuredClone(before)
    assert.deepEqual(applyPatch(Widget, json, before, patch), after)
    assert.deepEqual(before, copy, 'the object patched is untouched')
  })

const refused: readonly [name: string, patch: Json, kind: string, message: RegExp][] = [
  ['a test that fails', [{ op: 'test', path: '/a', value: 2 }], 'Invalid', /Test operation failed/],
  ['a path that is not there', [{ op: 'replace', path: '/x/y', value: 1 }], 'Invalid', /path that does not exist/],
  ['an index past the end', [{ op: 'add', path: '/l/7', value: 1 }], 'Invalid', /error in our request/],
  ['an index that is no number', [{ op: 'add', path: '/l/x', value: 1 }], 'Invalid', /error in our request/],
  ['an unknown operation', [{ op: 'frob', path: '/a' }], 'Invalid', /error in our request/],
  ['an operation without a path', [{ op: 'remove' }], 'Invalid', /error in our request/],
  ['an operation that is no object', [null], 'Invalid', /error in our request/],
  ['a patch that is no list', { op: 'remove', path: '/a' }, 'BadRequest', /must be a list of operations/],
  [
    'the prototype by __proto__',
    [{ op: 'add', path: '/__proto__/polluted', value: 1 }],
    'Invalid',
    /error in our request/,
  ],
  [
    'the prototype by constructor',
    [{ op: 'add', path: '/constructor/prototype/polluted', value: 1 }],
    'Invalid',
    /error in our request/,
  ],
  ['a whole that is no object', [{ op: 'replace', path: '', value: [] }], 'BadRequest', /does not leave an object/],
]
for (const [name, patch, kind, message] of refused)
  test(`JSON patch: ${name} is refused`, async () => {
    const fault = await faultIn(() => applyPatch(Widget, json, { a: 1, l: [1] }, patch))
    assert.equal(fault.kind, kind)
    assert.match(fault.message, message)
    assert.equal(({} as JsonObject).polluted, undefined)
  })

test('JSON patch: an index with a leading zero never makes a list anything but a list', async () => {
  const outcome = await Promise.resolve()
    .then(() => applyPatch(Widget, json, { l: [1, 2] }, [{ op: 'add', path: '/l/01', value: 9 }]))
    .catch((error: unknown) => error)
  if (outcome instanceof Fault) assert.equal(outcome.kind, 'Invalid')
  else assert.deepEqual(outcome, { l: [1, 9, 2] })
})

test('JSON patch: a patch is the same after it was applied, so that it can be applied again', () => {
  const patch = [
    { op: 'add', path: '/l', value: [] },
    { op: 'add', path: '/l/-', value: 1 },
  ]
  assert.deepEqual(applyPatch(Widget, json, {}, patch), { l: [1] })
  assert.deepEqual(applyPatch(Widget, json, {}, patch), { l: [1] })
})

test('JSON patch: a handful of copies cannot blow an object up', async () => {
  const doubling = Array.from({ length: 60 }, (_, i) => ({ op: 'copy', from: '', path: `/k${i}` }))
  const fault = await faultIn(() => applyPatch(Widget, json, { a: 'x'.repeat(100) }, doubling))
  assert.equal(fault.kind, 'TooLarge')
  const many = Array.from({ length: 10_001 }, () => ({ op: 'test', path: '/a', value: 1 }))
  assert.equal((await faultIn(() => applyPatch(Widget, json, { a: 1 }, many))).kind, 'TooLarge')
})

test('JSON patch: what operations shift and compare together is bounded', async () => {
  const object = { l: Array.from({ length: 100_000 }, () => 0) }
  const inserts = Array.from({ length: 2000 }, () => ({ op: 'add', path: '/l/0', value: 1 }))
  const moves = Array.from({ length: 2000 }, () => ({ op: 'move', from: '/l/0', path: '/l/1' }))
  for (const patch of [inserts, moves]) {
    const fault = await faultIn(() => applyPatch(Widget, json, object, patch))
    assert.equal(fault.kind, 'TooLarge')
    assert.match(fault.message, /list items shifted by operations in a JSON patch is 100000000/)
  }
  const wide = { o: Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`k${i}`, i])) }
  const tests = Array.from({ length: 200 }, () => ({ op: 'test', path: '', value: { o: { ...wide.o, k0: 0 } } }))
  const fault = await faultIn(() => applyPatch(Widget, json, wide, tests))
  assert.match(fault.message, /fields compared by operations in a JSON patch is 1000000/)
})

test('JSON patch: appending to a long list costs nothing of what is bounded', () => {
  const object = { l: Array.from({ length: 100_000 }, () => 0) }
  const appends = Array.from({ length: 10_000 }, () => ({ op: 'add', path: '/l/-', value: 1 }))
  assert.equal((applyPatch(Widget, json, object, appends).l as number[]).length, 110_000)
})

test('JSON patch: a value cannot be moved into itself, nor nested without end', async () => {
  const into = await faultIn(() =>
    applyPatch(Widget, json, { a: { b: 1 } }, [{ op: 'move', from: '/a', path: '/a/b' }]),
  )
  assert.match(into.message, /moved into itself/)
  const deeper = Array.from({ length: 1000 }, () => [
    { op: 'add', path: '/n', value: {} },
    { op: 'move', from: '/x', path: '/n/x' },
    { op: 'move', from: '/n', path: '/x' },
  ]).flat()
  const nested = await faultIn(() => applyPatch(Widget, json, { x: {} }, deeper))
  assert.match(nested.message, /nested deeper than 200 levels/)
  const copied = [...deeper, { op: 'copy', from: '/x', path: '/y' }]
  assert.match((await faultIn(() => applyPatch(Widget, json, { x: {} }, copied))).message, /copy at most 200 levels/)
})

// RFC 7386, appendix A, as far as object patches go.
const mergeRows: readonly [before: JsonObject, patch: JsonObject, after: JsonObject][] = [
  [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
  [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
  [{ a: 'b' }, { a: null }, {}],
  [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
  [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
  [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
  [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
  [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
  [{ e: null }, { a: 1 }, { e: null, a: 1 }],
  [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
]
for (const [before, patch, after] of mergeRows)
  test(`merge patch: ${JSON.stringify(before)} and ${JSON.stringify(patch)} make ${JSON.stringify(after)}`, () => {
    assert.deepEqual(applyPatch(Widget, merge, before, patch), after)
  })

test('merge patch: __proto__ is a key like any other', () => {
  const patched = mergePatch({}, JSON.parse('{"__proto__":{"polluted":1}}') as Json)
  assert.equal(JSON.stringify(patched), '{"__proto__":{"polluted":1}}')
  assert.equal(({} as JsonObject).polluted, undefined)
})

test('merge patch: applying it twice is applying it once', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), fc.jsonValue({ maxDepth: 4 }), (target, patch) => {
      const once = mergePatch(target as Json, patch as Json)
      assert.deepEqual(mergePatch(once, patch as Json), once)
    }),
  )
})

test('any patch of any object gives an object, or is refused as the client’s fault', () => {
  const pointer = fc.constantFrom('', '/', '/a', '/a/b', '/a/0', '/a/-', '/__proto__', '/a/__proto__/x', 'a', '/~2')
  const operation = fc.record(
    {
      op: fc.constantFrom('add', 'remove', 'replace', 'move', 'copy', 'test', '_get', 5),
      path: pointer,
      from: pointer,
      value: fc.jsonValue(),
    },
    { requiredKeys: [] },
  )
  const patch = fc.oneof(fc.array(operation, { maxLength: 5 }), fc.jsonValue())
  const target = fc.dictionary(fc.constantFrom('a', 'b', 'metadata', 'status'), fc.jsonValue({ maxDepth: 3 }))
  fc.assert(
    fc.property(fc.constantFrom(json, merge, strategic), target, patch, (type, object, change) => {
      try {
        const result = applyPatch(Widget, type, object as JsonObject, change as Json)
        assert.equal(typeof result, 'object')
      } catch (error) {
        assert.ok(error instanceof Fault && error.kind !== 'Bug', `${String(error)}: ${JSON.stringify(change)}`)
      }
    }),
    { numRuns: 1500 },
  )
})

/** A key as a step of a JSON pointer (RFC 6901). */
const stepOf = (key: string) => `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`

test('a JSON pointer reaches just the key it names, whatever is in it', () => {
  const unit = fc.constantFrom('~', '/', '0', '1', '-', 'a', '.', '%', ' ', '"', 'é', '💥')
  const key = fc.string({ unit, maxLength: 4 })
  const keys = fc.uniqueArray(key, { minLength: 2, maxLength: 4 })
  fc.assert(
    fc.property(keys, keys, (outer, inner) => {
      const object = Object.fromEntries(outer.map((one) => [one, Object.fromEntries(inner.map((two) => [two, 'old']))]))
      const [first, second] = [outer[0]!, inner[0]!]
      const path = stepOf(first) + stepOf(second)
      const expected = { ...object, [first]: { ...object[first], [second]: 'new' } }
      const replaced = applyPatch(Widget, json, object, [
        { op: 'test', path, value: 'old' },
        { op: 'replace', path, value: 'new' },
        { op: 'test', path, value: 'new' },
      ])
      assert.deepEqual(replaced, expected)
      const { [second]: _, ...rest } = object[first]!
      assert.deepEqual(applyPatch(Widget, json, object, [{ op: 'remove', path }]), { ...object, [first]: rest })
      const moved = [{ op: 'move', from: stepOf(first), path: '/moved' }]
      assert.deepEqual(applyPatch(Widget, json, { ...object }, moved).moved, object[first])
    }),
    { numRuns: 300 },
  )
})

const goRows: readonly [type: PatchType, patch: Json, message: string][] = [
  [
    strategic,
    { metadata: { labels: 'x', b: { c: [1, null, true] } } },
    '"map[metadata:map[b:map[c:[1 <nil> true]] labels:x]]": cannot restore map from string',
  ],
  [strategic, { metadata: { labels: 1 } }, '"map[metadata:map[labels:1]]": cannot restore map from int64'],
  [
    strategic,
    { metadata: { annotations: 1.5 } },
    '"map[metadata:map[annotations:1.5]]": cannot restore map from float64',
  ],
  [strategic, { metadata: { labels: ['x'] } }, '"map[metadata:map[labels:[x]]]": cannot restore map from slice'],
  [
    merge,
    { metadata: { labels: 'x' } },
    '"{\\"metadata\\":{\\"labels\\":\\"x\\"}}": json: cannot unmarshal string into Go struct field ObjectMeta.metadata.labels of type map[string]string',
  ],
  [
    json,
    [{ op: 'replace', path: '/metadata/labels', value: true }],
    '"{\\"metadata\\":{\\"labels\\":true}}": json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type map[string]string',
  ],
]
for (const [type, patch, message] of goRows)
  test(`${type}: ${JSON.stringify(patch)} leaves no map of labels or annotations, which is told as Kubernetes does`, async () => {
    const fault = await faultIn(() => applyPatch(namespaces, type, { metadata: { labels: { a: 'b' } } }, patch))
    assert.equal(fault.kind, 'Invalid')
    assert.equal(fault.message, ` "" is invalid: patch: Invalid value: ${message}`)
  })
