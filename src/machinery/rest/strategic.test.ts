import assert from 'node:assert/strict'
import { test } from 'node:test'
import { kinds } from '#apis/kinds.ts'
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
    'an unknown item is added in front, where the patch has it',
    { status: { conditions: [{ type: 'New', status: 'True' }] } },
    ['status', 'conditions', '0'],
    { type: 'New', status: 'True' },
  ],
  [
    'items come in the order of the patch, and others behind those they stood behind',
    { status: { conditions: [{ type: 'New' }, { type: 'Disk' }] } },
    ['status', 'conditions'],
    [{ type: 'New' }, { type: 'Ready', status: 'True', reason: 'R' }, { type: 'Disk', status: 'False' }],
  ],
  [
    'a list without keys may say that it replaces',
    { spec: { taints: [{ $patch: 'replace' }, { key: 'new', gone: null }] } },
    ['spec', 'taints'],
    [{ key: 'new' }],
  ],
  [
    '$patch replace of what is not there makes it',
    { spec: { extra: { $patch: 'replace', deep: { $patch: 'replace', a: '1' } } } },
    ['spec', 'extra'],
    { deep: { a: '1' } },
  ],
  ['$patch delete leaves an empty map', { metadata: { labels: { $patch: 'delete' } } }, ['metadata', 'labels'], {}],
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

const refused: readonly [what: string, patch: JsonObject, message: RegExp][] = [
  [
    'in a map',
    { metadata: { labels: { $patch: 'bogus' } } },
    /^unknown patch type: "bogus" in map: .* \(metadata.labels\)$/,
  ],
  ['in a map that is not there', { spec: { extra: { $patch: 'bogus' } } }, /^unknown patch type: "bogus"/],
  ['in the object', { $patch: 'merge' }, /^unknown patch type: "merge"/],
  ['in a keyed list', { status: { conditions: [{ type: 'Disk', $patch: 'merge' }] } }, /^unknown patch type: "merge"/],
  ['in a list without keys', { spec: { taints: [{ key: 'old', $patch: 'merge' }] } }, /^unknown patch type: "merge"/],
  [
    'in an item',
    { spec: { taints: [{ key: 'old', deep: { $patch: 1 } }] } },
    /^unknown patch type: 1 .*taints\[\].deep/,
  ],
  ['to delete where nothing has a key', { spec: { taints: [{ key: 'old', $patch: 'delete' }] } }, /have no merge key/],
]
for (const [what, patch, message] of refused)
  test(`strategic patch: a directive ${what} that means nothing is refused and never stored`, async () => {
    const fault = await faultIn(() => strategic(node, patch))
    assert.equal(fault.kind, 'BadRequest')
    assert.match(fault.message, message)
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

/** `patchMergeKey` of the types of k8s.io/api; `-` is a list that a patch replaces. */
const mergeKeys: readonly [kind: string, field: string, key: string][] = [
  ['Node', 'spec.podCIDRs', ''],
  ['Node', 'spec.taints', '-'],
  ['Node', 'status.conditions', 'type'],
  ['Node', 'status.addresses', 'type'],
  ['Namespace', 'status.conditions', 'type'],
  ['Pod', 'spec.containers', 'name'],
  ['Pod', 'spec.volumes', 'name'],
  ['Pod', 'status.conditions', 'type'],
  ['Pod', 'status.podIPs', 'ip'],
  ['ServiceAccount', 'secrets', 'name'],
  ['ServiceAccount', 'imagePullSecrets', '-'],
  ['RoleBinding', 'subjects', '-'],
  ['Role', 'rules', '-'],
  ['ConfigMap', 'metadata.ownerReferences', 'uid'],
  ['ConfigMap', 'metadata.finalizers', ''],
]
for (const [name, field, key] of mergeKeys)
  test(`strategic patch: ${field} of ${name} is merged as Kubernetes does`, () => {
    const served = kinds.find((one) => one.kind === name)
    assert.ok(served)
    const item = (id: string) => (key === '' || key === '-' ? id : { [key]: id })
    const nested = (list: Json) =>
      field.split('.').reduceRight<Json>((inner, step) => ({ [step]: inner }), list) as JsonObject
    const patched = applyPatch(
      served,
      'application/strategic-merge-patch+json',
      nested([item('a')]),
      nested([item('b')]),
    )
    assert.deepEqual(patched, nested(key === '-' ? [item('b')] : [item('b'), item('a')]))
  })
