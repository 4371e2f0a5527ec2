import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Kind, ManagedFieldsEntry } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import type { JsonObject } from '#base/json.ts'
import type { Fields } from '#machinery/rest/apply/fields.ts'
import { isEmpty, isMember } from '#machinery/rest/apply/fields.ts'
import { applied, configOf, trackCreate, trackUpdate } from '#machinery/rest/apply/managed.ts'
import { type Doc, uncheckedDoc } from '#machinery/rest/doc.ts'
import { ApplyModel, item, objectOf, type Values, valuesOf } from './apply-model.ts'
import { Widget } from './rest-kit.ts'

const text = { type: 'string' }
const struct = (...names: readonly string[]) => ({
  type: 'object',
  properties: Object.fromEntries(names.map((name) => [name, text])),
})
const listOf = (properties: JsonObject) => ({
  type: 'array',
  items: { type: 'object', properties: { name: text, ...properties } },
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': ['name'],
})
const fields = {
  a: text,
  deep: struct('b', 'c'),
  map: { type: 'object', additionalProperties: text },
  list: listOf({ x: text, inner: struct('p', 'q'), sub: listOf({ y: text }) }),
  set: { type: 'array', items: text, 'x-kubernetes-list-type': 'set' },
}
const kind: Kind = {
  ...(Widget as unknown as Kind),
  schema: { type: 'object', properties: { spec: { type: 'object', properties: fields } } },
}
const names = { sets: ['set'], maps: ['map'] }

const paths = [
  ...['a', 'deep/b', 'deep/c', 'map/m:k', 'map/m:l', 'set/s:s', 'set/s:t'],
  ...['i', 'j'].flatMap((name) =>
    ['', '/x', '/inner/p', '/inner/q', '/sub/k:z', '/sub/k:z/y'].map((end) => `list/k:${name}${end}`),
  ),
]

/** Values with the items they are in, each of which has its name. */
function whole(values: Values): Values {
  const found = new Map<string, string>()
  for (const [path, value] of values) {
    for (const [upTo, name = ''] of path
      .matchAll(/k:(\w+)/g)
      .map((match): [string, string | undefined] => [path.slice(0, match.index + match[0].length), match[1]])) {
      found.set(upTo, item)
      found.set(`${upTo}/name`, name)
    }
    if (!/k:\w+$/.test(path)) found.set(path, path.includes('s:') ? '' : value)
  }
  return found
}

const wish = fc
  .dictionary(fc.constantFrom(...paths), fc.constantFrom('1', '2'), { noNullPrototype: true, maxKeys: 8 })
  .map((values) => whole(new Map(Object.entries(values))))
/** An edit sets a value, or takes away what is at a path and below it. */
const edit = fc.tuple(fc.constantFrom(...paths), fc.constantFrom('1', '2', undefined))
const step = fc.oneof(
  fc.record({ manager: fc.constantFrom('me', 'you', 'them'), wish, force: fc.boolean() }),
  fc.record({
    manager: fc.constantFrom('editor', 'controller'),
    edits: fc.array(edit, { minLength: 1, maxLength: 4 }),
  }),
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

function edited(values: Values, edits: readonly (readonly [string, string | undefined])[]): Values {
  let next = new Map(values)
  for (const [path, value] of edits)
    if (value !== undefined) next = new Map([...next, ...whole(new Map([[path, value]]))])
    else next = new Map([...next].filter(([one]) => one !== path && !one.startsWith(`${path}/`)))
  return next
}

const docOf = (values: Values): Doc => uncheckedDoc({ metadata: { name: 'w' }, spec: objectOf(values) })

/** Counts of what was done, to know that the runs are what they should be. */
export type Done = { operations: number; conflicts: number; removals: number }

/** Does the same to an object and to the model, and compares values, owners and conflicts after every step. */
export function followModel(steps: readonly Step[], done: Done): void {
  const model = new ApplyModel(whole(new Map([['a', '1']])), 'maker')
  let live = docOf(model.values)
  live = owned(live, trackCreate(kind, live, { manager: 'maker', operation: 'Update', time: 'now' }))
  for (const one of steps) {
    done.operations++
    const before = model.values
    if ('wish' in one) live = applyBoth(model, live, one, done)
    else {
      const next = edited(model.values, one.edits)
      const after = owned(docOf(next), live.metadata.managedFields ?? [])
      const entries = live.metadata.managedFields ?? []
      const writer = { manager: one.manager, operation: 'Update', time: 'now' } as const
      live = owned(after, trackUpdate(kind, entries, { before: live, sent: after, after }, writer))
      model.update(one.manager, next)
    }
    if ([...before.keys()].some((path) => path.startsWith('list/') && !model.values.has(path))) done.removals++
    assert.deepEqual(sorted(valuesOf(live.spec as JsonObject, names)), sorted(model.values))
    for (const manager of managers) assert.deepEqual(ownedIn(live, manager), model.ownedBy(manager), manager)
  }
}

function applyBoth(
  model: ApplyModel,
  live: Doc,
  { manager, wish, force }: Extract<Step, { force: boolean }>,
  done: Done,
): Doc {
  const expected = model.apply(manager, wish, force)
  if (expected.length) done.conflicts++
  const writer = { manager, operation: 'Apply', time: 'now' } as const
  try {
    const next = applied(kind, live, configOf(kind, docOf(wish), 'w'), { writer, force })
    assert.deepEqual([], expected, 'should have been a conflict')
    return uncheckedDoc(next)
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    const { causes } = error.data.details as { causes: { field: string }[] }
    assert.deepEqual([...new Set(causes.map(({ field }) => pathIn(field)))].toSorted(), expected)
    return live
  }
}

const sorted = (values: Values) => [...values].toSorted(([a], [b]) => (a < b ? -1 : 1))

function owned(doc: Doc, managedFields: readonly ManagedFieldsEntry[]): Doc {
  return { ...doc, metadata: { ...doc.metadata, managedFields } }
}

/** `.spec.list[name="i"].x` as the model writes it. */
function pathIn(field: string): string {
  return field
    .replace(/^\.spec\./, '')
    .replace(/^map\./, 'map/m:')
    .replaceAll(/\[name="(\w+)"\]/g, '/k:$1')
    .replaceAll(/\[="(\w+)"\]/g, '/s:$1')
    .replaceAll('.', '/')
}

function ownedIn(doc: Doc, manager: string): readonly string[] {
  const entry = doc.metadata.managedFields?.find((one) => one.manager === manager)
  return plainPathsIn(entry?.fieldsV1['f:spec'] ?? {})
}

/** The members but for what holds others, of which the model knows nothing. */
function plainPathsIn(fields: Fields): readonly string[] {
  return pathsIn(fields).filter((path) => !containers.test(path))
}

/** The members of a set of fields of the spec, as the model writes them. */
function pathsIn(fields: Fields): readonly string[] {
  const found: string[] = []
  const visit = (at: Fields, path: string): void => {
    for (const [key, node] of Object.entries(at)) {
      if (key === '.') continue
      const step = key.startsWith('k:')
        ? `k:${JSON.parse(key.slice(2)).name}`
        : key.startsWith('v:')
          ? `s:${JSON.parse(key.slice(2))}`
          : `${path === 'map' ? 'm:' : ''}${key.slice(2)}`
      const below = path ? `${path}/${step}` : step
      if (isMember(node)) found.push(below)
      visit(node, below)
    }
  }
  visit(fields, '')
  return found.toSorted()
}

/** Fields that hold others. Updates own those that were not there before, too. */
const containers = /(^|\/)(deep|map|list|set|inner|sub)$/

const histories = fc.array(step, { minLength: 4, maxLength: 12 })

/** What is done, as another implementation gets it, and what should come of it. */
export type Told = Readonly<{ operation: JsonObject; expected: JsonObject }>

/** What the model makes of random histories, step by step. */
export function toldHistories(numRuns: number, seed: number): readonly Told[] {
  const told: Told[] = []
  for (const steps of fc.sample(histories, { numRuns, seed })) {
    const first = whole(new Map([['a', '1']]))
    const model = new ApplyModel(first, 'maker')
    const note = (operation: JsonObject, conflicts: readonly string[] = []) =>
      told.push({ operation, expected: { ...stateOf(model), conflicts: [...conflicts] } })
    note({ do: 'create', manager: 'maker', object: objectOf(first) })
    for (const one of steps)
      if ('wish' in one) {
        const { manager, force } = one
        note({ do: 'apply', manager, force, object: objectOf(one.wish) }, model.apply(manager, one.wish, force))
      } else {
        const next = edited(model.values, one.edits)
        model.update(one.manager, next)
        note({ do: 'update', manager: one.manager, object: objectOf(next) })
      }
  }
  return told
}

const managers = ['maker', 'me', 'you', 'them', 'editor', 'controller']

function stateOf(model: ApplyModel): JsonObject {
  const owned = managers.map((manager): [string, readonly string[]] => [manager, model.ownedBy(manager)])
  return { values: sorted(model.values), owned: Object.fromEntries(owned) }
}

/** What our own implementation makes of the same operations: the sets of fields that managers own after each. */
export function ownedInTurn(told: readonly Told[]): readonly Readonly<Record<string, Fields>>[] {
  let live = docOf(new Map())
  return told.map(({ operation }) => {
    live = done(live, operation)
    const entries = live.metadata.managedFields ?? []
    return Object.fromEntries(
      entries.flatMap(({ manager, fieldsV1 }): [string, Fields][] => {
        const { '.': _, ...inside } = fieldsV1['f:spec'] ?? {}
        return isEmpty(inside) ? [] : [[manager, inside]]
      }),
    )
  })
}

function done(live: Doc, { do: what, manager: name, force, object }: JsonObject): Doc {
  const manager = String(name)
  const next = uncheckedDoc({ metadata: { name: 'w' }, spec: object })
  if (what === 'create') return owned(next, trackCreate(kind, next, { manager, operation: 'Update', time: 'now' }))
  if (what === 'update') {
    const entries = live.metadata.managedFields ?? []
    const writer = { manager, operation: 'Update', time: 'now' } as const
    const objects = { before: live, sent: next, after: owned(next, entries) }
    return owned(next, trackUpdate(kind, entries, objects, writer))
  }
  try {
    const how = { writer: { manager, operation: 'Apply', time: 'now' }, force: force === true } as const
    return uncheckedDoc(applied(kind, live, configOf(kind, next, 'w'), how))
  } catch (error) {
    if (error instanceof Fault && error.kind === 'Conflict') return live
    throw error
  }
}

/** What another implementation made of an operation, in the words of the model. */
export function outcomeOf({
  object,
  conflicts,
  owned,
}: Readonly<{ object: JsonObject; conflicts: Fields; owned: Readonly<Record<string, Fields>> }>): JsonObject {
  const plain = (fields: Fields = {}) => plainPathsIn(fields)
  return {
    values: sorted(valuesOf(object, names)),
    owned: Object.fromEntries(managers.map((manager) => [manager, plain(owned[manager])])),
    conflicts: plain(conflicts),
  }
}

/** Follows the model through so many histories. */
export function followHistories(numRuns: number): Done {
  const done: Done = { operations: 0, conflicts: 0, removals: 0 }
  fc.assert(
    fc.property(histories, (steps) => followModel(steps, done)),
    { numRuns },
  )
  return done
}
