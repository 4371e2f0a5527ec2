import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Lease } from '#apis/coordination/lease.ts'
import { EventOfEvents } from '#apis/core/event.ts'
import { Node } from '#apis/core/node.ts'
import { Pod } from '#apis/core/pod.ts'
import { ResourceQuota } from '#apis/core/resourcequota.ts'
import { kinds } from '#apis/kinds.ts'
import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { Kind } from '#apis/meta/object.ts'
import { parseQuantity } from '#apis/meta/quantity.ts'
import { isObject, type Json, type JsonObject } from '#base/json.ts'
import { Widget } from '#kit/machinery/rest/rest-kit.ts'
import { newSchemaErrors, schemaErrors } from './validate.ts'

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

const quantities = ['1E3', '.5Gi', '+1Gi', '1.', '0', '-1', '1e-3', '12n', '1Ei', 5, 0.5]
for (const amount of quantities)
  test(`${amount} is a quantity wherever one is wanted`, () => {
    assert.deepEqual(schemaErrors(ResourceQuota as unknown as Kind, { spec: { hard: { pods: amount } } }), [])
    assert.ok(parseQuantity(amount), 'and is read as one')
  })

const noQuantities = ['', '1gi', '1 Gi', '1K', '0x10', '1GiB', '--1', '.', 'Gi', '1Zi', '1e1.5', '9'.repeat(40)]
for (const amount of noQuantities)
  test(`"${amount.slice(0, 9)}" is refused wherever a quantity is wanted, of every kind`, () => {
    const template = { spec: { domain: { memory: { guest: amount }, resources: { requests: { memory: amount } } } } }
    const found = schemaErrors(vms, { spec: { runStrategy: 'Halted', template } }).map(({ field }) => field)
    const at = 'spec.template.spec.domain'
    for (const field of [`${at}.memory.guest`, `${at}.resources.requests.memory`]) assert.ok(found.includes(field))
    for (const [kind, object] of [
      [ResourceQuota, { spec: { hard: { pods: amount } } }],
      [Pod, { spec: { containers: [{ name: 'c', resources: { limits: { cpu: amount } } }] } }],
      [Node, { status: { capacity: { cpu: amount } } }],
    ] as const)
      assert.equal(schemaErrors(kind as unknown as Kind, object).length, 1, kind.kind)
  })

test('memory below nothing is refused, in the words of a minimum', () => {
  const template = { spec: { domain: { memory: { guest: '-1Gi' } } } }
  const [error] = schemaErrors(vms, { spec: { runStrategy: 'Halted', template } }).filter(({ field }) =>
    field.endsWith('guest'),
  )
  assert.match(error?.message ?? '', /^Invalid value: "-1Gi": .*guest in body should be greater than or equal to 0$/)
})

test('every field of a served kind that is a time by its name is checked to be one', () => {
  const visit = (schema: Json | undefined, path: string): string[] => {
    if (!isObject(schema)) return []
    const { properties, items, additionalProperties } = schema
    const fields = Object.entries(isObject(properties) ? properties : {})
    return [
      ...fields
        .filter(([name, field]) => /(Time|Timestamp)$/.test(name) && isObject(field) && field.type === 'string')
        .filter(([, field]) => isObject(field) && field.format !== 'date-time')
        .map(([name]) => `${path}.${name}`),
      ...fields.flatMap(([name, field]) => visit(field, `${path}.${name}`)),
      ...[items, additionalProperties].flatMap((below) => visit(below, `${path}[]`)),
    ]
  }
  for (const kind of [...kinds, EventOfEvents]) assert.deepEqual(visit(kind.schema, kind.kind), [])
})

const leaseOf = (renewTime: Json) => schemaErrors(Lease as unknown as Kind, { spec: { renewTime } })
for (const text of ['yesterday', '', '2026-02-30T00:00:00.000000Z', '2026-01-01T00:00:00Z', '2026-01-01T00:00:00.000Z'])
  test(`a Lease renewed at "${text}" is refused: typed clients could list no Lease any more`, () => {
    assert.equal(leaseOf(text).length, 1)
  })
test('a Lease renewed at a moment with microseconds is taken', () => {
  assert.deepEqual(leaseOf('2026-01-01T00:00:00.000001Z'), [])
  assert.deepEqual(leaseOf(null), [])
})

test('what was wrong before keeps no object from being changed elsewhere', () => {
  const lease = (renewTime: string, holderIdentity: Json) => ({ spec: { renewTime, holderIdentity } })
  const errors = (next: JsonObject, current: JsonObject) => newSchemaErrors(Lease as unknown as Kind, next, current)
  assert.deepEqual(errors(lease('yesterday', 'b'), lease('yesterday', 'a')), [])
  assert.equal(errors(lease('tomorrow', 'b'), lease('yesterday', 'a')).length, 1)
  assert.equal(errors(lease('yesterday', 5), lease('yesterday', 'a')).length, 1)
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
    'pattern',
    'format',
    'minimum',
    'maxItems',
  ]
  const silent = ['description', 'x-patchbay-fate']
  const formats = [undefined, 'date-time', 'quantity']
  const visit = (schema: JsonObject): string[] => [
    ...(formats.includes(schema.format as string | undefined) ? [] : [`format ${String(schema.format)}`]),
    ...Object.keys(schema).filter((key) => !key.startsWith('x-kubernetes-') && ![...checked, ...silent].includes(key)),
    ...Object.values((schema.properties ?? {}) as Record<string, JsonObject>).flatMap(visit),
    ...[schema.items, schema.additionalProperties].flatMap((below) => (isObject(below) ? visit(below) : [])),
  ]
  for (const { kind, schema } of kinds) assert.deepEqual(visit(schema as JsonObject), [], kind)
})
