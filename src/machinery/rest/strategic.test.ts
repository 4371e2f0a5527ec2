import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Kind } from '#apis/meta/object.ts'
import type { Json, JsonObject } from '#base/json.ts'
import { faultIn, Widget } from '#kit/machinery/rest/rest-kit.ts'
import { applyPatch } from './patch.ts'

const keyed = (key: string) => ({
  type: 'array',
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': [key],
  items: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
})
const kind: Kind = {
  ...Widget,
  schema: {
    type: 'object',
    properties: {
      spec: {
        type: 'object',
        properties: { taints: { type: 'array', items: { type: 'object' } }, ports: keyed('name') },
      },
      status: { type: 'object', properties: { conditions: keyed('type') } },
    },
  },
}
const strategic = (object: JsonObject, patch: JsonObject) =>
  applyPatch(kind, 'application/strategic-merge-patch+json', object, patch)

const node: JsonObject = {
  metadata: { labels: { a: '1', b: '2' }, finalizers: ['x/a', 'x/b'] },
  spec: { taints: [{ key: 'old' }], unschedulable: true },
  status: {
    conditions: [
      { type: 'Ready', status: 'True', reason: 'R' },
      { type: 'Disk', status: 'False' },
    ],
  },
}
const strategicRows: readonly [name: string, patch: JsonObject, path: readonly string[], after: Json][] = [
  [
    'maps are merged and null deletes',
    { metadata: { labels: { a: null, c: '3' } } },
    ['metadata', 'labels'],
    { b: '2', c: '3' },
  ],
  ['other lists are replaced', { spec: { taints: [{ key: 'new' }] } }, ['spec', 'taints'], [{ key: 'new' }]],
  [
    'an item is found by its key',
    { status: { conditions: [{ type: 'Disk', status: 'True' }] } },
    ['status', 'conditions'],
    [
      { type: 'Ready', status: 'True', reason: 'R' },
      { type: 'Disk', status: 'True' },
    ],
  ],
  [
    'an unknown item is added',
    { status: { conditions: [{ type: 'New', status: 'True' }] } },
    ['status', 'conditions', '2'],
    { type: 'New', status: 'True' },
  ],
  [
    '$patch delete removes an item',
    { status: { conditions: [{ type: 'Disk', $patch: 'delete' }] } },
    ['status', 'conditions'],
    [{ type: 'Ready', status: 'True', reason: 'R' }],
  ],
  [
    '$patch replace in a list starts it anew',
    { status: { conditions: [{ $patch: 'replace' }, { type: 'A' }] } },
    ['status', 'conditions'],
    [{ type: 'A' }],
  ],
  [
    '$patch replace in a map starts it anew',
    { metadata: { labels: { $patch: 'replace', z: '1' } } },
    ['metadata', 'labels'],
    { z: '1' },
  ],
  [
    'plain values are united',
    { metadata: { finalizers: ['x/b', 'x/c'] } },
    ['metadata', 'finalizers'],
    ['x/a', 'x/b', 'x/c'],
  ],
  [
    '$deleteFromPrimitiveList removes plain values',
    { metadata: { '$deleteFromPrimitiveList/finalizers': ['x/a'] } },
    ['metadata', 'finalizers'],
    ['x/b'],
  ],
  [
    'an order and retained keys are no fields',
    { metadata: { '$setElementOrder/finalizers': ['x/b'], $retainKeys: ['labels'] } },
    ['metadata'],
    node.metadata!,
  ],
]
for (const [name, patch, path, after] of strategicRows)
  test(`strategic patch: ${name}`, () => {
    const patched = strategic(node, patch)
    assert.deepEqual(
      path.reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], patched),
      after,
    )
  })

test('strategic patch: an item that does not say which one it is is refused', async () => {
  const fault = await faultIn(() => strategic(node, { status: { conditions: [{ status: 'True' }] } }))
  assert.equal(fault.kind, 'BadRequest')
  assert.match(fault.message, /does not contain declared merge key: type/)
})

const ports = (names: string) => [...names].map((name) => ({ name }))
const orders: readonly [name: string, before: string, patch: readonly Json[], order: string, after: string][] = [
  ['moves items', 'abc', [], 'cab', 'cab'],
  ['puts a new item where it belongs', 'ac', [{ name: 'b' }], 'abc', 'abc'],
  ['leaves what it does not name before those it stood before', 'xaby', [], 'ba', 'xbay'],
  ['keeps a removed item away', 'abc', [{ name: 'b', $patch: 'delete' }], 'ca', 'ca'],
  ['may name what is not there', 'ab', [], 'bza', 'ba'],
]
for (const [name, before, patch, order, after] of orders)
  test(`strategic patch: an order ${name}`, () => {
    const patched = strategic(
      { spec: { ports: ports(before) } },
      { spec: { ...(patch.length && { ports: patch }), '$setElementOrder/ports': ports(order) } },
    )
    assert.deepEqual(patched, { spec: { ports: ports(after) } })
  })

test('strategic patch: an order of plain values', () => {
  const patch = { metadata: { finalizers: ['x/c'], '$setElementOrder/finalizers': ['x/c', 'x/b'] } }
  assert.deepEqual(strategic({ metadata: { finalizers: ['x/a', 'x/b'] } }, patch), {
    metadata: { finalizers: ['x/c', 'x/a', 'x/b'] },
  })
})
