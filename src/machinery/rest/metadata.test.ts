import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ObjectMeta } from '#apis/meta/object.ts'
import { Widget } from '#kit/machinery/rest/rest-kit.ts'
import { clientMetadata, generatedName, metadataErrors, requireHeader, unknownMetadata } from './metadata.ts'

const check = (meta: Record<string, unknown>, isNamespace = false) =>
  metadataErrors(meta as unknown as ObjectMeta, { isNamespace }).map(({ field, message }) => `${field}: ${message}`)

for (const name of ['a', 'a-b.c', '0', 'a'.repeat(253)])
  test(`${name.slice(0, 9)} (${name.length}) can be a name`, () => assert.deepEqual(check({ name }), []))

for (const name of ['A', '-a', 'a-', 'a..b', 'a_b', 'a/b', '../x', 'é', ' ', '\0', 'a\n'])
  test(`${JSON.stringify(name)} cannot be a name, in the words of Kubernetes`, () => {
    const [error, ...more] = check({ name })
    assert.deepEqual(more, [])
    assert.ok(
      error?.startsWith(`metadata.name: Invalid value: "${name}": a lowercase RFC 1123 subdomain must consist of`),
    )
  })

test('names have a longest length, which is shorter for namespaces, and namespaces have no dots', () => {
  assert.deepEqual(check({ name: 'a'.repeat(254) }), [
    `metadata.name: Invalid value: "${'a'.repeat(254)}": must be no more than 253 characters`,
  ])
  assert.match(check({ name: 'a'.repeat(64) }, true)[0]!, /must be no more than 63 characters/)
  assert.match(check({ name: 'a.b' }, true)[0]!, /a lowercase RFC 1123 label must consist of/)
})

const faults: readonly [name: string, meta: Record<string, unknown>, error: RegExp][] = [
  ['no name', {}, /^metadata.name: Required value: name or generateName is required$/],
  ['a name that is a number', { name: 5 }, /^metadata.name: Invalid value: 5: must be a string$/],
  [
    'a label value with a space',
    { name: 'a', labels: { x: 'a b' } },
    /^metadata.labels: Invalid value: "a b": a valid label must be/,
  ],
  ['a label value of 64 letters', { name: 'a', labels: { x: 'a'.repeat(64) } }, /^metadata.labels: Invalid value/],
  [
    'a label value that is a number',
    { name: 'a', labels: { x: 5 } },
    /^metadata.labels: .*the value must be a string; write it in quotes$/,
  ],
  [
    'a label key with two slashes',
    { name: 'a', labels: { 'a/b/c': 'x' } },
    /^metadata.labels: Invalid value: "a\/b\/c": name part must consist/,
  ],
  [
    'labels that are a list',
    { name: 'a', labels: ['x'] },
    /^metadata.labels: Invalid value: must be a map of strings$/,
  ],
  [
    'annotations that are too long',
    { name: 'a', annotations: { x: 'é'.repeat(131_072) } },
    /^metadata.annotations: Too long: may not be more than 262144 bytes$/,
  ],
  ['a finalizer of 64 characters', { name: 'a', finalizers: ['x'.repeat(64)] }, /^metadata.finalizers: Invalid value/],
  ['finalizers that are a string', { name: 'a', finalizers: 'x' }, /^metadata.finalizers: Invalid value/],
  [
    'a finalizer that is no name',
    { name: 'a', finalizers: ['ok/ok', 'not ok'] },
    /^metadata.finalizers: Invalid value/,
  ],
  ['a finalizer that is too long', { name: 'a', finalizers: ['x'.repeat(64)] }, /^metadata.finalizers: Invalid value/],
  [
    'owners that are a map',
    { name: 'a', ownerReferences: { a: 1 } },
    /^metadata.ownerReferences: Invalid value: must be a list$/,
  ],
  [
    'an owner without uid',
    { name: 'a', ownerReferences: [{ apiVersion: 'v1', kind: 'K', name: 'n' }] },
    /^metadata.ownerReferences\[0\].uid: Invalid value/,
  ],
]
for (const [name, meta, error] of faults)
  test(`metadata with ${name} is refused`, () => {
    const errors = check(meta)
    assert.equal(errors.length, 1)
    assert.match(errors[0]!, error)
  })

test('an owner that is null is told field by field', () => {
  assert.equal(check({ name: 'a', ownerReferences: [null] }).length, 4)
})

test('everything wrong with metadata is told at once', () => {
  assert.equal(check({ name: 'A', labels: { x: 'a b', '-': 'y' }, finalizers: ['-'] }).length, 4)
})

test('what the server decides is taken from nobody, and empty maps and lists mean none', () => {
  const sent = {
    name: 'a',
    uid: 'u',
    resourceVersion: '7',
    generation: 9,
    creationTimestamp: 'then',
    deletionTimestamp: 'then',
    managedFields: [],
    labels: {},
    annotations: { a: 'b' },
    finalizers: [],
    ownerReferences: null,
  }
  assert.deepEqual(clientMetadata(sent), { name: 'a', annotations: { a: 'b' } })
})

test('null in metadata is decoded as Kubernetes does: an absent field, and an empty text in a map', () => {
  const owner = { apiVersion: 'v1', kind: 'K', name: 'n', uid: 'u' }
  const sent = {
    name: 'a',
    namespace: null,
    labels: { a: null, b: 'x' },
    annotations: { c: null },
    finalizers: null,
    ownerReferences: [{ ...owner, controller: null, blockOwnerDeletion: null }],
  }
  const meant = { name: 'a', labels: { a: '', b: 'x' }, annotations: { c: '' }, ownerReferences: [owner] }
  assert.deepEqual(clientMetadata(sent), meant)
  assert.deepEqual(requireHeader(Widget, { apiVersion: null, kind: null, metadata: null }), {})
})

test('metadata fields that do not exist are told by path', () => {
  assert.deepEqual(unknownMetadata({ name: 'a', bogus: 1, managedFields: [], Labels: {} }), {
    paths: ['metadata.bogus', 'metadata.Labels'],
    more: 0,
  })
})

test('too many labels, finalizers or owners are one error, however many of them are wrong', () => {
  const many = Array.from({ length: 1001 }, (_, i) => `-${i}`)
  const errors = metadataErrors(
    {
      name: 'a',
      labels: Object.fromEntries(many.map((key) => [key, key])),
      finalizers: many,
      ownerReferences: many as never,
    },
    { isNamespace: false },
  )
  assert.deepEqual(
    errors.map(({ field, message }) => `${field}: ${message}`),
    [
      'metadata.labels: Too many: 1001: must have at most 1000 items',
      'metadata.finalizers: Too many: 1001: must have at most 100 items',
      'metadata.ownerReferences: Too many: 1001: must have at most 100 items',
    ],
  )
})

test('a generated name keeps its prefix, is a valid name, and is hardly ever given twice', () => {
  const names = Array.from({ length: 50 }, () => generatedName('vm-'))
  for (const name of names) assert.match(name, /^vm-[a-z0-9]{5}$/)
  assert.ok(new Set(names).size > 45)
  assert.equal(generatedName('x'.repeat(100)).length, 63)
})
