import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '#base/json.ts'
import {
  admin,
  faultIn,
  makeWidget,
  namespaces,
  openRegistry,
  specOf,
  Widget,
  widget,
} from '#kit/machinery/rest/rest-kit.ts'
import type { Doc } from './doc.ts'
import { applyPatch } from './patch.ts'
import type { Registry, WriteOptions } from './registry.ts'
import { serve } from './strategy.ts'

const key = { namespace: 'default', name: 'a' }
const plain = (doc: Doc) => doc as unknown as JsonObject
const change = (registry: Registry, over: (doc: JsonObject) => JsonObject, options: Partial<WriteOptions> = {}) =>
  registry.update(Widget, key, (doc) => over(plain(doc)), { ...admin, ...options })
const withSpec = (spec: JsonObject) => (doc: JsonObject) => ({ ...doc, spec })
const withMeta = (meta: JsonObject) => (doc: JsonObject) => ({
  ...doc,
  metadata: { ...(doc.metadata as JsonObject), ...meta },
})

test('a new object gets its identity from the server, whatever the client sent', async (t) => {
  const registry = await openRegistry(t)
  const made = await makeWidget(
    registry,
    'a',
    { size: 1 },
    { uid: 'mine', generation: 7, creationTimestamp: 'then', deletionTimestamp: 'then' },
  )
  const { uid, generation, creationTimestamp, deletionTimestamp, namespace, resourceVersion } = made.metadata
  assert.match(uid ?? '', /^[0-9a-f-]{36}$/)
  assert.match(creationTimestamp ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  assert.deepEqual([generation, deletionTimestamp, namespace], [1, undefined, 'default'])
  assert.equal(resourceVersion, String(registry.store.revision))
  assert.deepEqual(await registry.get(Widget, key), made)
})

test('the status a client sends with a new object is not stored', async (t) => {
  const registry = await openRegistry(t)
  const made = await registry.create(Widget, 'default', { ...widget('a'), status: { phase: 'Done' } }, admin)
  assert.equal(made.status, undefined)
})

test('a name is given once, and a generated one fits its prefix', async (t) => {
  const registry = await openRegistry(t)
  await makeWidget(registry, 'a')
  const fault = await faultIn(() => makeWidget(registry, 'a'))
  assert.deepEqual([fault.kind, fault.message], ['AlreadyExists', 'widgets.example.com "a" already exists'])
  const made = await registry.create(Widget, 'default', { metadata: { generateName: 'w-' }, spec: {} }, admin)
  assert.match(made.metadata.name, /^w-[a-z0-9]{5}$/)
  assert.equal(made.metadata.generateName, 'w-')
})

const badCreates: readonly [name: string, input: JsonObject, kind: string, message: RegExp][] = [
  [
    'another kind',
    { kind: 'Gadget', metadata: { name: 'a' }, spec: {} },
    'BadRequest',
    /do not match the expected ones \(example.com\/v1, Widget\)/,
  ],
  [
    'another version',
    { apiVersion: 'example.com/v2', metadata: { name: 'a' }, spec: {} },
    'BadRequest',
    /do not match/,
  ],
  ['metadata that is a list', { metadata: [], spec: {} }, 'BadRequest', /metadata must be an object/],
  ['a name that is a number', { metadata: { name: 5 }, spec: {} }, 'BadRequest', /metadata.name must be a string/],
  [
    'a prefix that is an object',
    { metadata: { generateName: {} }, spec: {} },
    'BadRequest',
    /metadata.generateName must be a string/,
  ],
  [
    'a resourceVersion',
    widget('a', {}, { resourceVersion: '1' }),
    'BadRequest',
    /resourceVersion should not be set on objects to be created/,
  ],
  [
    'another namespace',
    widget('a', {}, { namespace: 'other' }),
    'BadRequest',
    /the namespace of the provided object does not match the namespace sent on the request/,
  ],
  ['no name', widget('', {}), 'Invalid', /name or generateName is required/],
  ['no spec', { metadata: { name: 'a' } }, 'Invalid', /^Widget.example.com "a" is invalid: spec: Required value$/],
  [
    'several faults',
    widget('A', { size: 0, color: 'pink' }),
    'Invalid',
    /is invalid: \[metadata.name: .*spec.size: .*spec.color: /,
  ],
]
for (const [name, input, kind, message] of badCreates)
  test(`a new object with ${name} is refused and nothing is stored`, async (t) => {
    const registry = await openRegistry(t)
    const { revision } = registry.store
    const fault = await faultIn(() => registry.create(Widget, 'default', input, admin))
    assert.equal(fault.kind, kind)
    assert.match(fault.message, message)
    assert.equal(registry.store.revision, revision)
  })

test('nothing is made in a namespace that is missing or going', async (t) => {
  const registry = await openRegistry(t)
  const missing = await faultIn(() => registry.create(Widget, 'nowhere', widget('a'), admin))
  assert.deepEqual([missing.kind, missing.message], ['NotFound', 'namespaces "nowhere" not found'])
  await registry.create(namespaces, undefined, { metadata: { name: 'going', finalizers: ['kubernetes'] } }, admin)
  await registry.delete(namespaces, { name: 'going' }, admin)
  const fault = await faultIn(() => registry.create(Widget, 'going', widget('a'), admin))
  assert.equal(fault.kind, 'Forbidden')
  assert.equal(
    fault.message,
    'widgets.example.com "a" is forbidden: unable to create new content in namespace going because it is being terminated',
  )
})

test('the namespaces that everything rests on are not deleted', async (t) => {
  const registry = await openRegistry(t)
  const fault = await faultIn(() => registry.delete(namespaces, { name: 'default' }, admin))
  assert.deepEqual(
    [fault.kind, fault.message],
    ['Forbidden', 'namespaces "default" is forbidden: this namespace may not be deleted'],
  )
})

test('the generation counts changes of the spec, not of metadata or status', async (t) => {
  const registry = await openRegistry(t)
  await makeWidget(registry, 'a', { size: 1 })
  const generation = async (work: Promise<Doc>) => (await work).metadata.generation
  assert.equal(await generation(change(registry, withMeta({ labels: { x: 'y' } }))), 1)
  assert.equal(
    await generation(change(registry, (doc) => ({ ...doc, status: { phase: 'A' } }), { subresource: 'status' })),
    1,
  )
  assert.equal(await generation(change(registry, withSpec({ size: 2 }))), 2)
  assert.equal(
    await generation(change(registry, (doc) => ({ ...doc, ...withMeta({ generation: 99 })(doc), spec: { size: 3 } }))),
    3,
  )
})

test('status changes only through its subresource, and nothing else does through it', async (t) => {
  const registry = await openRegistry(t)
  await makeWidget(registry, 'a', { size: 1 })
  const both = (doc: JsonObject) => ({
    ...withMeta({ labels: { x: 'y' } })(doc),
    spec: { size: 2 },
    status: { phase: 'A' },
  })
  const byStatus = await change(registry, both, { subresource: 'status' })
  assert.deepEqual([byStatus.spec, byStatus.status, byStatus.metadata.labels], [{ size: 1 }, { phase: 'A' }, undefined])
  const byObject = await change(registry, (doc) => ({ ...both(doc), status: { phase: 'B' } }))
  assert.deepEqual(
    [byObject.spec, byObject.status, byObject.metadata.labels],
    [{ size: 2 }, { phase: 'A' }, { x: 'y' }],
  )
  const cleared = await change(registry, ({ status: _, ...rest }) => rest, { subresource: 'status' })
  assert.equal(cleared.status, undefined)
})

test('a write that changes nothing keeps the resourceVersion', async (t) => {
  const registry = await openRegistry(t)
  const made = await makeWidget(registry, 'a', { size: 1 }, { labels: { x: 'y' } })
  for (const same of [
    (doc: JsonObject) => doc,
    (doc: JsonObject) => structuredClone(doc),
    withMeta({ annotations: {} }),
    withMeta({ uid: '' }),
  ]) {
    const after = await change(registry, same)
    assert.equal(after.metadata.resourceVersion, made.metadata.resourceVersion)
  }
  assert.equal(
    (await registry.update(Widget, key, () => undefined, admin)).metadata.resourceVersion,
    made.metadata.resourceVersion,
  )
})

test('a write over an old version is a conflict, in the words of Kubernetes', async (t) => {
  const registry = await openRegistry(t)
  const old = await makeWidget(registry, 'a', { size: 1 })
  await change(registry, withSpec({ size: 2 }))
  const fault = await faultIn(() => registry.update(Widget, key, () => ({ ...plain(old), spec: { size: 3 } }), admin))
  assert.equal(fault.kind, 'Conflict')
  assert.equal(
    fault.message,
    'Operation cannot be fulfilled on widgets.example.com "a": the object has been modified; please apply your changes to the latest version and try again',
  )
  assert.deepEqual((await registry.get(Widget, key)).spec, { size: 2 })
})

const badUpdates: readonly [name: string, over: (doc: JsonObject) => JsonObject, kind: string, message: RegExp][] = [
  ['without a name', (doc) => ({ ...doc, metadata: {} }), 'BadRequest', /name must be provided/],
  ['without metadata', ({ metadata: _, ...doc }) => doc, 'BadRequest', /name must be provided/],
  [
    'of another name',
    withMeta({ name: 'b' }),
    'BadRequest',
    /the name of the object \(b\) does not match the name on the URL \(a\)/,
  ],
  [
    'of another namespace',
    withMeta({ namespace: 'b' }),
    'BadRequest',
    /the namespace of the provided object does not match/,
  ],
  [
    'of another uid',
    withMeta({ uid: 'b' }),
    'Conflict',
    /Precondition failed: UID in precondition: b, UID in object meta: /,
  ],
  ['of another kind', (doc) => ({ ...doc, kind: 'Gadget' }), 'BadRequest', /do not match the expected ones/],
  ['that breaks the schema', withSpec({ size: 'x' }), 'Invalid', /spec.size: Invalid value: "string"/],
  ['that breaks metadata', withMeta({ labels: { 'a b': 'c' } }), 'Invalid', /metadata.labels: Invalid value: "a b"/],
]
for (const [name, over, kind, message] of badUpdates)
  test(`an update ${name} is refused and changes nothing`, async (t) => {
    const registry = await openRegistry(t)
    const made = await makeWidget(registry, 'a', { size: 1 })
    const fault = await faultIn(() => change(registry, over))
    assert.equal(fault.kind, kind)
    assert.match(fault.message, message)
    assert.deepEqual(await registry.get(Widget, key), made)
  })

test('what is not there can be neither read, changed nor deleted', async (t) => {
  const registry = await openRegistry(t)
  for (const work of [
    () => registry.get(Widget, key),
    () => change(registry, withSpec({})),
    () => registry.delete(Widget, key, admin),
  ]) {
    const fault = await faultIn(work)
    assert.deepEqual([fault.kind, fault.message], ['NotFound', 'widgets.example.com "a" not found'])
  }
})

test('an object with finalizers is marked by a delete and goes with the last finalizer', async (t) => {
  const registry = await openRegistry(t)
  await makeWidget(registry, 'a', {}, { finalizers: ['x/one', 'x/two'] })
  const first = await registry.delete(Widget, key, admin)
  assert.equal(first.gone, false)
  assert.equal(first.doc.metadata.generation, 2)
  const { deletionTimestamp } = first.doc.metadata
  assert.ok(deletionTimestamp)
  const second = await registry.delete(Widget, key, admin)
  assert.equal(
    second.doc.metadata.resourceVersion,
    first.doc.metadata.resourceVersion,
    'deleting twice is deleting once',
  )
  await change(registry, withMeta({ finalizers: ['x/two'], deletionTimestamp: undefined }))
  assert.equal((await registry.get(Widget, key)).metadata.deletionTimestamp, deletionTimestamp)
  const fault = await faultIn(() => change(registry, withMeta({ finalizers: ['x/two', 'x/new'] })))
  assert.match(
    fault.message,
    /no new finalizers can be added if the object is being deleted, found new finalizers \[\]string\{"x\/new"\}/,
  )
  await change(registry, withMeta({ finalizers: [] }))
  assert.equal((await faultIn(() => registry.get(Widget, key))).kind, 'NotFound')
})

test('an object of a kind nobody collects goes at once, however its deletion is asked for', async (t) => {
  const uncollected = { ...Widget, isUncollected: true }
  const registry = await openRegistry(t, [serve(uncollected)])
  for (const propagation of ['Orphan', 'Foreground'] as const) {
    await makeWidget(registry, 'a')
    const { gone } = await registry.delete(uncollected, { namespace: 'default', name: 'a' }, { ...admin, propagation })
    assert.ok(gone)
  }
})

test('an object without finalizers goes at once, and its name can be given again', async (t) => {
  const registry = await openRegistry(t)
  const { metadata } = await makeWidget(registry, 'a')
  const { gone, doc } = await registry.delete(Widget, key, admin)
  assert.deepEqual([gone, doc.metadata.uid], [true, metadata.uid])
  assert.notEqual((await makeWidget(registry, 'a')).metadata.uid, metadata.uid)
})

for (const precondition of [{ uid: 'other' }, { resourceVersion: '1' }])
  test(`a delete whose precondition ${Object.keys(precondition)} does not hold deletes nothing`, async (t) => {
    const registry = await openRegistry(t)
    const made = await makeWidget(registry, 'a')
    const fault = await faultIn(() => registry.delete(Widget, key, { ...admin, ...precondition }))
    assert.equal(fault.kind, 'Conflict')
    assert.match(fault.message, /^Operation cannot be fulfilled on widgets.example.com "a": Precondition failed: /)
    assert.deepEqual(await registry.get(Widget, key), made)
    const { uid = '', resourceVersion = '' } = made.metadata
    assert.equal((await registry.delete(Widget, key, { ...admin, uid, resourceVersion })).gone, true)
  })

test('a dry run answers like the real thing and stores nothing', async (t) => {
  const registry = await openRegistry(t)
  const dry = { ...admin, dryRun: true }
  const made = await registry.create(Widget, 'default', widget('a', { size: 1 }), dry)
  assert.ok(made.metadata.uid)
  assert.equal((await faultIn(() => registry.create(Widget, 'default', widget('A'), dry))).kind, 'Invalid')
  const real = await makeWidget(registry, 'a', { size: 1 })
  const { revision } = registry.store
  assert.equal((await faultIn(() => registry.create(Widget, 'default', widget('a'), dry))).kind, 'AlreadyExists')
  const changed = await change(registry, withSpec({ size: 2 }), dry)
  assert.deepEqual([changed.spec, changed.metadata.generation], [{ size: 2 }, 2])
  assert.equal((await faultIn(() => change(registry, withSpec({ size: 0 }), dry))).kind, 'Invalid')
  assert.equal((await registry.delete(Widget, key, dry)).gone, true)
  assert.equal((await faultIn(() => registry.delete(Widget, key, { ...dry, uid: 'other' }))).kind, 'Conflict')
  assert.equal(registry.store.revision, revision)
  assert.deepEqual(await registry.get(Widget, key), real)
})

test('unknown fields are refused, told or dropped as asked, and never stored', async (t) => {
  const registry = await openRegistry(t)
  const input = { ...widget('a', { size: 1, bogus: 1 }, { tipo: 1 }) }
  const fault = await faultIn(() => registry.create(Widget, 'default', input, { ...admin, unknownFields: 'Strict' }))
  assert.equal(fault.kind, 'BadRequest')
  assert.equal(
    fault.message,
    'Widget in version "v1" cannot be handled as a Widget: strict decoding error: unknown field "spec.bogus", unknown field "metadata.tipo"',
  )
  const told: string[] = []
  const made = await registry.create(Widget, 'default', input, {
    ...admin,
    unknownFields: 'Warn',
    warn: (text) => told.push(text),
  })
  assert.deepEqual(told, ['unknown field "spec.bogus"', 'unknown field "metadata.tipo"'])
  assert.deepEqual(made.spec, { size: 1 })
  const kept = await change(registry, withSpec({ size: 1, bogus: 1 }))
  assert.equal(kept.metadata.resourceVersion, made.metadata.resourceVersion)
})

test('a kind’s own rules fill in, see the old object, and deny in the name of its webhook', async (t) => {
  const strategy = serve(Widget, {
    prepare: (one, old) => ({ ...one, spec: { ...one.spec, size: one.spec?.size ?? old?.spec.size ?? 5 } }),
    validate: (one, old, user) =>
      old && one.spec.size !== old.spec.size
        ? [{ field: 'spec.size', message: `${user.name} may not`, reason: 'FieldValueForbidden' }]
        : [],
    webhook: 'hook.io',
  })
  const registry = await openRegistry(t, [strategy])
  assert.deepEqual((await makeWidget(registry, 'a')).spec, { size: 5 })
  assert.deepEqual((await change(registry, withSpec({}))).spec, { size: 5 })
  const fault = await faultIn(() => change(registry, withSpec({ size: 6 })))
  assert.deepEqual(
    [fault.kind, fault.message],
    ['Invalid', 'admission webhook "hook.io" denied the request: admin may not'],
  )
})

test('a finalizer can be taken from an object that a later rule forbids, and nothing else be done to it', async (t) => {
  let isForbidden = false
  const error = { field: 'spec', message: 'not any more', reason: 'FieldValueForbidden' } as const
  const registry = await openRegistry(t, [serve(Widget, { validate: () => (isForbidden ? [error] : []) })])
  await makeWidget(registry, 'a', {}, { finalizers: ['x.y/z'] })
  isForbidden = true
  const fault = await faultIn(() => change(registry, withMeta({ finalizers: [], labels: { a: 'b' } })))
  assert.equal(fault.kind, 'Invalid')
  assert.deepEqual((await change(registry, withMeta({ finalizers: [] }))).metadata.finalizers ?? [], [])
})

test('64 patches of one object at a time are all applied, each in a revision of its own', async (t) => {
  const registry = await openRegistry(t)
  const { metadata } = await makeWidget(registry, 'a', { named: {} })
  const patches = Array.from({ length: 64 }, (_, n) => [{ op: 'add', path: `/spec/named/n${n}`, value: { n } }])
  const docs = await Promise.all(
    patches.map((patch) => change(registry, (doc) => applyPatch(Widget, 'application/json-patch+json', doc, patch))),
  )
  const after = await registry.get(Widget, key)
  assert.equal(Object.keys(specOf(after).named as object).length, 64)
  assert.equal(after.metadata.generation, 65)
  assert.equal(new Set(docs.map((doc) => doc.metadata.resourceVersion)).size, 64)
  assert.ok(docs.every((doc) => Number(doc.metadata.resourceVersion) > Number(metadata.resourceVersion)))
})

test('objects are listed by namespace and name, of one namespace or of all', async (t) => {
  const registry = await openRegistry(t)
  await registry.create(namespaces, undefined, { metadata: { name: 'default2' } }, admin)
  for (const [namespace, name] of [
    ['default2', 'a'],
    ['default', 'b'],
    ['default', 'a'],
  ] as const)
    await registry.create(Widget, namespace, widget(name), admin)
  const names = async (namespace?: string) => {
    const { items, revision } = await registry.list(Widget, namespace)
    assert.equal(revision, registry.store.revision)
    return items.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)
  }
  assert.deepEqual(await names(), ['default/a', 'default/b', 'default2/a'])
  assert.deepEqual(await names('default'), ['default/a', 'default/b'])
  assert.deepEqual(await names('defau'), [])
})
