import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Kind } from '#apis/meta/object.ts'
import type { Json, JsonObject } from '#base/json.ts'
import { admin, faultIn, openRegistry, specOf, Widget } from '#kit/machinery/rest/rest-kit.ts'
import type { Doc } from '../doc.ts'
import { serve } from '../strategy.ts'
import { applyObject } from './apply.ts'

const item = { type: 'object', properties: { name: { type: 'string' }, mac: { type: 'string' }, loose: loose() } }
function loose() {
  return { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
}
const strings = { type: 'array', items: { type: 'string' } }

/** A kind with a list of every sort, and an item field that the server fills in. */
const Gadget: Kind = {
  ...(Widget as unknown as Kind),
  kind: 'Gadget',
  plural: 'gadgets',
  schema: {
    type: 'object',
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      spec: {
        type: 'object',
        properties: {
          size: { type: 'integer' },
          other: { type: 'object', properties: { a: { type: 'string' }, b: { type: 'string' } } },
          free: loose(),
          atoms: strings,
          tags: { ...strings, 'x-kubernetes-list-type': 'set' },
          parts: {
            type: 'array',
            items: item,
            'x-kubernetes-list-type': 'map',
            'x-kubernetes-list-map-keys': ['name'],
          },
        },
      },
      status: { type: 'object', properties: { phase: { type: 'string' } } },
    },
  },
}

type Part = { name: string; mac?: string }
type Spec = { parts?: Part[] }

const gadgets = serve(Gadget, {
  prepare: (object, old) => {
    const { spec } = object as { spec?: Spec }
    const before = (old as { spec?: Spec } | undefined)?.spec?.parts ?? []
    if (!spec?.parts) return object
    const parts = spec.parts.map((part) => ({
      ...part,
      mac: part.mac ?? before.find((one) => one.name === part.name)?.mac ?? `mac-${part.name}`,
    }))
    return { ...object, spec: { ...spec, parts } } as typeof object
  },
})

/** Nobody is refused anything here. */
const requireCreate = () => undefined

const key = { namespace: 'default', name: 'g' }

async function open(t: TestContext) {
  const registry = await openRegistry(t, [gadgets])
  const apply = async (manager: string, spec: JsonObject, more: { force?: boolean; metadata?: JsonObject } = {}) => {
    const config = { metadata: { ...more.metadata }, spec }
    const { doc } = await applyObject(registry, Gadget, key, config, {
      ...admin,
      manager,
      force: more.force ?? false,
      requireCreate,
    })
    return doc
  }
  const update = (manager: string, change: (spec: JsonObject) => JsonObject, subresource?: 'status') =>
    registry.update(
      Gadget,
      key,
      (doc) => ({ ...doc, spec: change((doc.spec ?? {}) as JsonObject) }) as unknown as JsonObject,
      { ...admin, manager, ...(subresource && { subresource }) },
    )
  return { registry, apply, update }
}

/** `manager operation[/subresource]` of every entry and its fields. */
const owners = (doc: Doc) =>
  Object.fromEntries(
    (doc.metadata.managedFields ?? []).map((entry) => [
      `${entry.manager} ${entry.operation}${entry.subresource ? `/${entry.subresource}` : ''}`,
      (entry.fieldsV1 as JsonObject)['f:spec'] ?? entry.fieldsV1,
    ]),
  )
const names = (doc: Doc) => ((doc.spec as Spec).parts ?? []).map((part) => part.name).join(' ')

test('apply: makes an object and owns just what it says, not what the server fills in', async (t) => {
  const { apply } = await open(t)
  const doc = await apply('me', {
    size: 1,
    parts: [{ name: 'x' }],
    tags: ['t'],
    atoms: ['a'],
    free: { deep: { n: 1 } },
  })
  assert.deepEqual(specOf(doc).parts, [{ name: 'x', mac: 'mac-x' }])
  assert.deepEqual(owners(doc), {
    'me Apply': {
      'f:size': {},
      'f:parts': { 'k:{"name":"x"}': { '.': {}, 'f:name': {} } },
      'f:tags': { 'v:"t"': {} },
      'f:atoms': {},
      'f:free': { 'f:deep': { '.': {}, 'f:n': {} } },
    },
  })
})

test('apply: three times the same writes once', async (t) => {
  const { apply } = await open(t)
  const spec = { size: 1, parts: [{ name: 'x' }, { name: 'y' }] }
  const first = await apply('me', spec)
  assert.deepEqual([await apply('me', spec), await apply('me', spec)], [first, first])
})

test('apply: removes what it had and leaves out, unless somebody else has it too', async (t) => {
  const { apply } = await open(t)
  await apply('me', { size: 1, other: { a: '1' }, parts: [{ name: 'x' }, { name: 'y' }], tags: ['s', 't'] })
  await apply('you', { parts: [{ name: 'y' }], tags: ['t'] })
  const doc = await apply('me', { size: 1 })
  assert.deepEqual(doc.spec, { size: 1, parts: [{ name: 'y', mac: 'mac-y' }], tags: ['t'] })
  assert.deepEqual(Object.keys(owners(doc)), ['me Apply', 'you Apply'])
})

test('apply: an item goes with the manager who has it, although somebody else changed a field of it', async (t) => {
  const { apply, update } = await open(t)
  await apply('me', { parts: [{ name: 'x' }, { name: 'y' }] })
  await update('link', (spec) => ({
    ...spec,
    parts: (spec.parts as Part[]).map((part) => ({ ...part, mac: `new-${part.name}` })),
  }))
  const fault = await faultIn(() => apply('me', { parts: [{ name: 'x', mac: 'mine' }] }))
  assert.match(fault.message, /conflict with "link" using example.com\/v1: .spec.parts\[name="x"\].mac$/)
  const doc = await apply('me', { parts: [{ name: 'x' }] })
  assert.deepEqual(doc.spec, { parts: [{ name: 'x', mac: 'new-x' }] })
  assert.deepEqual(owners(doc)['link Update'], { 'f:parts': { 'k:{"name":"x"}': { 'f:mac': {} } } })
})

test('apply: two managers share a keyed list, each by its items; the order of the applier counts', async (t) => {
  const { apply } = await open(t)
  await apply('me', { parts: [{ name: 'a' }, { name: 'b' }] })
  assert.equal(names(await apply('you', { parts: [{ name: 'c' }] })), 'a b c')
  assert.equal(names(await apply('me', { parts: [{ name: 'b' }, { name: 'a' }] })), 'b c a')
  assert.equal(names(await apply('me', { parts: [{ name: 'a' }] })), 'c a')
})

test('apply: a field of another is a conflict that names him; force takes it', async (t) => {
  const { apply, update } = await open(t)
  await apply('me', { size: 1, other: { a: '1', b: '1' } })
  const edited = await update('kubectl-edit', (spec) => ({ ...spec, size: 2 }))
  assert.deepEqual(owners(edited), {
    'me Apply': { 'f:other': { 'f:a': {}, 'f:b': {} } },
    'kubectl-edit Update': { 'f:size': {} },
  })
  const fault = await faultIn(() => apply('me', { size: 1, other: { a: '1', b: '1' } }))
  assert.equal(fault.kind, 'Conflict')
  assert.equal(
    fault.message,
    'Apply failed with 1 conflict: conflict with "kubectl-edit" using example.com/v1: .spec.size',
  )
  assert.deepEqual(fault.data.details, {
    causes: [
      {
        reason: 'FieldManagerConflict',
        message: 'conflict with "kubectl-edit" using example.com/v1',
        field: '.spec.size',
      },
    ],
  })
  const two = await faultIn(() => apply('you', { size: 3, other: { a: '2', b: '2' } }))
  assert.equal(
    two.message,
    'Apply failed with 3 conflicts: conflicts with "kubectl-edit" using example.com/v1:\n- .spec.size\nconflicts with "me":\n- .spec.other.a\n- .spec.other.b',
  )
  const forced = await apply('me', { size: 1, other: { a: '1', b: '1' } }, { force: true })
  assert.deepEqual(Object.keys(owners(forced)), ['me Apply'])
  assert.equal(specOf(forced).size, 1)
})

test('apply: an equal value is no conflict but shared', async (t) => {
  const { apply } = await open(t)
  await apply('me', { size: 1 })
  const doc = await apply('you', { size: 1 })
  assert.deepEqual(owners(doc), { 'me Apply': { 'f:size': {} }, 'you Apply': { 'f:size': {} } })
})

test('apply: what nobody owned before tracking began belongs to before-first-apply', async (t) => {
  const { registry, apply, update } = await open(t)
  await apply('me', { size: 1 })
  const cleared = await registry.update(
    Gadget,
    key,
    (doc) => ({ ...doc, metadata: { ...doc.metadata, managedFields: [] } }) as unknown as JsonObject,
    admin,
  )
  assert.equal(cleared.metadata.managedFields, undefined)
  const { message } = await faultIn(() => apply('me', { size: 2 }))
  assert.match(message, /conflict with "before-first-apply" using example.com\/v1: .spec.size$/)
  await update('other', (spec) => ({ ...spec, size: 2 }))
})

test('apply: of an object by its uid that is gone makes no other', async (t) => {
  const { apply } = await open(t)
  const fault = await faultIn(() => apply('me', { size: 1 }, { metadata: { uid: 'u-1' } }))
  assert.equal(fault.kind, 'Conflict')
  assert.match(fault.message, /uid mismatch: the provided object specified uid u-1, and no existing object was found$/)
  const made = await apply('me', { size: 1 })
  assert.equal(await apply('me', { size: 1 }, { metadata: { uid: made.metadata.uid } }), made)
})

test('apply: status and object are owned apart', async (t) => {
  const { registry, apply } = await open(t)
  await apply('me', { size: 1 })
  const config = { status: { phase: 'Up' }, spec: { size: 5 } }
  const { doc } = await applyObject(registry, Gadget, key, config, {
    ...admin,
    manager: 'me',
    force: false,
    requireCreate,
    subresource: 'status',
  })
  assert.deepEqual([doc.spec, doc.status], [{ size: 1 }, { phase: 'Up' }])
  assert.deepEqual(owners(doc), { 'me Apply': { 'f:size': {} }, 'me Apply/status': { 'f:status': { 'f:phase': {} } } })
})

test('apply: metadata is shared by key too', async (t) => {
  const { registry, apply } = await open(t)
  await apply('me', {}, { metadata: { labels: { a: '1', b: '1' }, finalizers: ['x.io/a'] } })
  await registry.update(
    Gadget,
    key,
    (doc) =>
      ({
        ...doc,
        metadata: { ...doc.metadata, labels: { ...doc.metadata.labels, c: '1' }, finalizers: ['x.io/a', 'x.io/b'] },
      }) as unknown as JsonObject,
    { ...admin, manager: 'ctl' },
  )
  const doc = await apply('me', {}, { metadata: { labels: { a: '1' } } })
  assert.deepEqual([doc.metadata.labels, doc.metadata.finalizers], [{ a: '1', c: '1' }, ['x.io/b']])
})

for (const [what, parts, message] of [
  [
    'twice the same item',
    [{ name: 'x' }, { name: 'x' }],
    /: .spec.parts: duplicate entries for key \[name="x"\]; give/,
  ],
  [
    'an item without a key',
    [{ mac: 'm' }],
    /: .spec.parts: element 0: associative list with keys has an element that omits key field "name"/,
  ],
] as const)
  test(`apply: ${what} is refused`, async (t) => {
    const { apply } = await open(t)
    const fault = await faultIn(() => apply('me', { parts: parts as unknown as Json }))
    assert.equal(fault.kind, 'BadRequest')
    assert.match(fault.message, /^failed to create typed patch object \(default\/g; example.com\/v1, Kind=Gadget\)/)
    assert.match(fault.message, message)
  })

test('update: owns what it changes, also in a list; what does not change does not change hands', async (t) => {
  const { registry, update } = await open(t)
  await registry.create(
    Gadget,
    'default',
    { metadata: { name: 'g' }, spec: { size: 1, parts: [{ name: 'x' }] } },
    { ...admin, manager: 'maker' },
  )
  const doc = await update('editor', (spec) => ({ ...spec, parts: [{ name: 'x', loose: { k: 1 } }, { name: 'y' }] }))
  assert.deepEqual(owners(doc), {
    'maker Update': {
      '.': {},
      'f:size': {},
      'f:parts': { '.': {}, 'k:{"name":"x"}': { '.': {}, 'f:name': {} } },
    },
    'editor Update': {
      'f:parts': {
        'k:{"name":"x"}': { 'f:loose': { '.': {}, 'f:k': {} } },
        'k:{"name":"y"}': { '.': {}, 'f:name': {} },
      },
    },
  })
  const fewer = await update('editor', (spec) => ({ ...spec, parts: [{ name: 'y', mac: 'mac-y' }] }))
  assert.deepEqual(owners(fewer), {
    'maker Update': { '.': {}, 'f:size': {}, 'f:parts': {} },
    'editor Update': { 'f:parts': { 'k:{"name":"y"}': { '.': {}, 'f:name': {} } } },
  })
})

for (const [config, why] of [
  [{ spec: { bogus: 1 } }, '.spec.bogus: field not declared in schema'],
  [{ spec: { sise: 1 } }, '.spec.sise: field not declared in schema, did you mean ".spec.size"?'],
  [{ spec: {}, metadata: { tipo: 1 } }, '.metadata.tipo: field not declared in schema'],
  [
    { spec: { parts: [{ name: 'x', mak: '' }] }, bogus: {} },
    'errors:\n  .spec.parts[0].mak: field not declared in schema, did you mean ".spec.parts[0].mac"?\n  .bogus: field not declared in schema',
  ],
] as const)
  for (const unknownFields of ['Strict', 'Warn', 'Ignore'] as const)
    test(`apply: ${JSON.stringify(config)} has an unknown field and is refused, ${unknownFields} or not`, async (t) => {
      const registry = await openRegistry(t, [gadgets])
      const options = { ...admin, manager: 'me', force: true, requireCreate, unknownFields }
      const fault = await faultIn(() => applyObject(registry, Gadget, key, { metadata: {}, ...config }, options))
      assert.equal(fault.kind, 'BadRequest')
      const what = 'default/g; example.com/v1, Kind=Gadget'
      assert.equal(fault.message, `failed to create typed patch object (${what}): ${why}`)
      assert.equal((await registry.list(Gadget)).items.length, 0)
    })

test('apply: what it empties goes, although it came into being by the update of another, unless somebody applied it', async (t) => {
  const { registry, apply } = await open(t)
  const made = { metadata: { name: 'g' }, spec: { other: { a: '1' } } }
  await registry.create(Gadget, 'default', made, { ...admin, manager: 'maker' })
  await apply('me', { other: { a: '2' } }, { force: true })
  const doc = await apply('me', { size: 1 })
  assert.deepEqual(doc.spec, { size: 1 })
  assert.deepEqual(owners(doc), { 'maker Update': {}, 'me Apply': { 'f:size': {} } })
  await apply('you', { other: {} })
  await apply('me', { other: { a: '1' } })
  assert.deepEqual((await apply('me', {})).spec, { other: {} })
})

test('update: a manager may be moved by the client; nonsense in managedFields is not taken', async (t) => {
  const { registry, apply } = await open(t)
  const doc = await apply('me', { size: 1 })
  const send = (managedFields: unknown) =>
    registry.update(
      Gadget,
      key,
      (now) => ({ ...now, metadata: { ...now.metadata, managedFields } }) as unknown as JsonObject,
      admin,
    )
  const [entry] = doc.metadata.managedFields!
  assert.deepEqual(Object.keys(owners(await send([{ ...entry, manager: 'you' }]))), ['you Apply'])
  for (const bad of [[{ manager: 'x' }], 'x', [{ ...entry, fieldsV1: { x: {} } }], [{ ...entry, time: 'yesterday' }]])
    assert.deepEqual(Object.keys(owners(await send(bad))), ['you Apply'])
})
