import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { kinds } from '#apis/kinds.ts'
import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { Kind } from '#apis/meta/object.ts'
import { isObject, type JsonObject } from '#base/json.ts'
import { Widget } from '#kit/machinery/rest/rest-kit.ts'
import { schemaErrors } from './validate.ts'

const vms = VirtualMachine as unknown as Kind

const lines = (spec: unknown, kind = Widget) =>
  schemaErrors(kind, { apiVersion: 'v', kind: 'K', spec } as JsonObject).map(
    ({ field, message, reason }) => `${reason} ${field}: ${message}`,
  )

const rows: readonly [name: string, spec: unknown, error: string][] = [
  ['a missing object', undefined, 'FieldValueRequired spec: Required value'],
  [
    'null for an object',
    null,
    'FieldValueInvalid spec: Invalid value: "null": spec in body must be of type object: "null"',
  ],
  [
    'a wrong type',
    { size: 'x' },
    'FieldValueInvalid spec.size: Invalid value: "string": spec.size in body must be of type integer: "string"',
  ],
  [
    'a fraction',
    { size: 1.5 },
    'FieldValueInvalid spec.size: Invalid value: "number": spec.size in body must be of type integer: "number"',
  ],
  [
    'a number too small',
    { size: 0 },
    'FieldValueInvalid spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1',
  ],
  [
    'a value not on the list',
    { color: 'pink' },
    'FieldValueNotSupported spec.color: Unsupported value: "pink": supported values: "red", "blue"',
  ],
  [
    'too many items',
    { tags: ['a', 'b', 'c', 'd'] },
    'FieldValueInvalid spec.tags: Too many: 4: must have at most 3 items',
  ],
  [
    'a wrong item',
    { tags: ['a', 5] },
    'FieldValueInvalid spec.tags[1]: Invalid value: "integer": spec.tags[1] in body must be of type string: "integer"',
  ],
  [
    'a quantity that is a boolean',
    { amount: true },
    'FieldValueInvalid spec.amount: Invalid value: "boolean": spec.amount in body must be of type integer,string: "boolean"',
  ],
  [
    'a wrong value in a map',
    { named: { 'a/b': [] } },
    'FieldValueInvalid spec.named.a/b: Invalid value: "array": spec.named.a/b in body must be of type object: "array"',
  ],
]
for (const [name, spec, error] of rows)
  test(`the schema tells of ${name} in the words of Kubernetes`, () => assert.deepEqual(lines(spec), [error]))

test('a quantity may be a string or a number', () => {
  assert.deepEqual(lines({ amount: '1Gi' }), [])
  assert.deepEqual(lines({ amount: 5 }), [])
})

test('all faults of a virtual machine are told at once, with their paths', () => {
  const template = {
    spec: {
      domain: { cpu: { cores: 0 }, devices: { interfaces: [{ name: 5, masquerade: [] }, { bridge: {} }] } },
      networks: 'none',
    },
  }
  const fields = schemaErrors(vms, { spec: { runStrategy: 'Sometimes', running: 'yes', template } }).map(
    ({ field }) => field,
  )
  assert.deepEqual(fields.toSorted(), [
    'spec.runStrategy',
    'spec.running',
    'spec.template.spec.domain.cpu.cores',
    'spec.template.spec.domain.devices.interfaces[0].masquerade',
    'spec.template.spec.domain.devices.interfaces[0].name',
    'spec.template.spec.domain.devices.interfaces[1].name',
    'spec.template.spec.networks',
  ])
})

test('a long value is not repeated whole', () => {
  const [error] = lines({ color: 'x'.repeat(1_000_000) })
  assert.ok(error!.length < 400, `${error!.length} characters`)
})

test('the path of an error names keys as they are, not as pointers write them', () => {
  const unit = fc.constantFrom('~', '/', '0', '1', 'a', '.', ' ', 'é')
  const key = fc.string({ unit, minLength: 1, maxLength: 4 }).filter((text) => !/^\d+$/.test(text))
  fc.assert(
    fc.property(key, (name) => {
      const [error] = schemaErrors(Widget, { spec: { named: { [name]: { n: 'x' } } } })
      assert.equal(error?.field, `spec.named.${name}.n`)
    }),
    { numRuns: 300 },
  )
})

test('of very many wrong values the first hundred and one are looked for', () => {
  const spec = { parts: Array.from({ length: 100_000 }, () => 1) }
  assert.equal(lines(spec).length, 101)
  assert.deepEqual(lines({ tags: Array.from({ length: 100_000 }, () => 1) }), [
    'FieldValueInvalid spec.tags: Too many: 100000: must have at most 3 items',
  ])
})

test('no kind has a rule in its schema that is not checked', () => {
  const checked = [
    'type',
    'properties',
    'additionalProperties',
    'items',
    'required',
    'enum',
    'nullable',
    'minimum',
    'maxItems',
  ]
  const silent = ['description', 'format']
  const visit = (schema: JsonObject): string[] => [
    ...Object.keys(schema).filter((key) => !key.startsWith('x-kubernetes-') && ![...checked, ...silent].includes(key)),
    ...Object.values((schema.properties ?? {}) as Record<string, JsonObject>).flatMap(visit),
    ...[schema.items, schema.additionalProperties].flatMap((below) => (isObject(below) ? visit(below) : [])),
  ]
  for (const { kind, schema } of kinds) assert.deepEqual(visit(schema as JsonObject), [], kind)
})
