import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Kind, ManagedFieldsEntry } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import { isObject, type Json, type JsonObject } from '#base/json.ts'
import { Widget } from '#kit/machinery/rest/rest-kit.ts'
import { uncheckedDoc } from '../doc.ts'
import { type Fields, isMember, pathsOf } from './fields.ts'
import { applied, configOf } from './managed.ts'
import { shapeOf } from './schema.ts'
import { fieldsOf } from './typed.ts'

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
            items: { type: 'object', properties: { name: text, x: text, y: text } },
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

/** What somebody wants, the plain way: values by path. An item of a list is there by its name. */
type Wish = Readonly<Record<string, string>>

const paths = [
  '.spec.a',
  '.spec.deep.b',
  '.spec.deep.c',
  '.spec.map.k',
  '.spec.map.l/m~n.o',
  ...['i', 'j'].flatMap((name) => [`.spec.list[name="${name}"].x`, `.spec.list[name="${name}"].y`]),
  ...['s', 't'].map((one) => `.spec.set[="${one}"]`),
  '.spec.atoms',
]
/** Whose value is in their path. */
const isSetItem = (path: string) => path.startsWith('.spec.set')

const wish: fc.Arbitrary<Wish> = fc
  .dictionary(fc.constantFrom(...paths), fc.constantFrom('1', '2'), { noNullPrototype: true })
  .map((values) => {
    const items = Object.keys(values).flatMap((path) => {
      const [item, name] = /^\.spec\.list\[name="(.)"\]/.exec(path) ?? []
      return item ? [[item, ''] as const, [`${item}.name`, name!] as const] : []
    })
    const plain = Object.entries(values).map(([path, value]) => [path, isSetItem(path) ? '' : value] as const)
    return Object.fromEntries([...plain, ...items])
  })

/** The manifest that says just that. */
function manifestOf(values: Wish): JsonObject {
  const spec: Record<string, Record<string, Json> | Json[] | string> = {}
  const items = new Map<string, Record<string, string>>()
  for (const [path, value] of Object.entries(values)) {
    const [, name, field] = /^\.spec\.list\[name="(.)"\]\.?(.*)$/.exec(path) ?? []
    const [, member] = /^\.spec\.set\[="(.)"\]$/.exec(path) ?? []
    const [, outer, inner] = /^\.spec\.(\w+)\.?(.*)$/.exec(path) ?? []
    if (name) items.set(name, { ...items.get(name), ...(field && { [field]: value }) })
    else if (member) spec.set = [...((spec.set as Json[] | undefined) ?? []), member]
    else if (outer === 'atoms') spec.atoms = [value]
    else if (inner) spec[outer!] = { ...(spec[outer!] as Record<string, Json> | undefined), [inner]: value }
    else spec[outer!] = value
  }
  return {
    apiVersion: 'example.com/v1',
    kind: 'Widget',
    metadata: { name: 'w' },
    spec: { ...spec, ...(items.size && { list: [...items.values()] }) },
  }
}

/** What an object says, the same way. */
function wishOf({ spec }: JsonObject): Wish {
  const found: Record<string, string> = {}
  for (const [name, value] of Object.entries((spec ?? {}) as JsonObject)) {
    if (name === 'set') for (const one of value as string[]) found[`.spec.set[="${one}"]`] = ''
    else if (name === 'atoms') found['.spec.atoms'] = (value as string[]).join()
    else if (name === 'list')
      for (const item of value as { name: string }[]) {
        const at = `.spec.list[name="${item.name}"]`
        found[at] = ''
        for (const [field, inner] of Object.entries(item)) found[`${at}.${field}`] = inner
      }
    else if (isObject(value))
      for (const [inner, one] of Object.entries(value)) found[`.spec.${name}.${inner}`] = String(one)
    else found[`.spec.${name}`] = String(value)
  }
  return found
}

/** Values with the sets of their owners: what apply should come to. */
class Model {
  readonly #values = new Map<string, string>()
  readonly #owners = new Map<string, Set<string>>()

  get values(): Wish {
    return Object.fromEntries(this.#values)
  }

  ownedBy(manager: string): string[] {
    return [...this.#owners].filter(([, owners]) => owners.has(manager)).map(([path]) => path)
  }

  /** What others have and would lose. */
  conflicts(manager: string, wanted: Wish): string[] {
    return Object.keys(wanted).filter((path) => {
      const others = [...(this.#owners.get(path) ?? [])].filter((owner) => owner !== manager)
      return others.length > 0 && this.#values.get(path) !== wanted[path]
    })
  }

  apply(manager: string, wanted: Wish): void {
    for (const path of this.ownedBy(manager)) {
      if (path in wanted) continue
      const owners = this.#owners.get(path)!
      owners.delete(manager)
      if (owners.size > 0) continue
      this.#owners.delete(path)
      this.#values.delete(path)
    }
    for (const [path, value] of Object.entries(wanted)) {
      const isSame = this.#values.get(path) === value
      this.#values.set(path, value)
      this.#owners.set(path, new Set([...(isSame ? (this.#owners.get(path) ?? []) : []), manager]))
    }
  }
}

const managers = ['me', 'you', 'them']
const step = fc.record({ manager: fc.constantFrom(...managers), wish, force: fc.boolean() })

/** The members of a manager's entry; who says nothing has the empty spec. */
function ownedIn(object: JsonObject, manager: string): string[] {
  const entries = ((object.metadata as JsonObject).managedFields ?? []) as unknown as ManagedFieldsEntry[]
  const fields = (entries.find((entry) => entry.manager === manager)?.fieldsV1 ?? {}) as Fields
  return pathsOf(fields)
    .filter((path) => path !== '.spec')
    .sort()
}

test('applied: any number of managers, each owning a set of values, come to what plain sets say', () => {
  let conflicts = 0
  const property = fc.property(fc.array(step, { maxLength: 8 }), (steps) => {
    const model = new Model()
    let live: JsonObject = manifestOf({})
    for (const { manager, wish: wanted, force } of steps) {
      const config = configOf(kind, manifestOf(wanted), 'w')
      const expected = force ? [] : model.conflicts(manager, wanted).sort()
      try {
        live = applied(kind, uncheckedDoc(live), config, {
          writer: { manager, operation: 'Apply', time: 'now' },
          force,
        })
        assert.deepEqual(expected, [], 'should have been a conflict')
        model.apply(manager, wanted)
      } catch (error) {
        if (!(error instanceof Fault)) throw error
        const { causes } = error.data.details as { causes: { field: string }[] }
        assert.deepEqual([...new Set(causes.map(({ field }) => field))].sort(), expected)
        conflicts++
      }
      assert.deepEqual(wishOf(live), model.values)
      for (const one of managers) assert.deepEqual(ownedIn(live, one), model.ownedBy(one).sort())
    }
  })
  fc.assert(property, { numRuns: 500 })
  assert.ok(conflicts > 100, `only ${conflicts} conflicts; the runs are not what they should be`)
})

test('fields: every path of an object is told as often as there is a value, whatever its keys are', () => {
  const key = fc.string({ unit: fc.constantFrom('a', '/', '~', '.', '"', '[', ' ', 'é'), minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(fc.dictionary(key, fc.constant('v'), { noNullPrototype: true }), (map) => {
      const fields = fieldsOf(shapeOf(kind), { spec: { map } })
      const told = pathsOf(fields).sort()
      const keys = Object.keys(map)
      assert.deepEqual(told, keys.length ? keys.map((one) => `.spec.map.${one}`).sort() : ['.spec.map'])
      assert.ok(isMember(fields) === (keys.length === 0 && told.length === 0))
    }),
    { numRuns: 300 },
  )
})
