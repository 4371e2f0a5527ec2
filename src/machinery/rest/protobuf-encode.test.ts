import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import * as reviews from '#apis/auth/reviews.ts'
import { kinds } from '#apis/kinds.ts'
import { apiVersionOf, isBuiltIn } from '#apis/meta/object.ts'
import { isObject, type Json, type JsonObject } from '#base/json.ts'
import { faultIn } from '#kit/machinery/rest/rest-kit.ts'
import { decodeObject } from './protobuf.ts'
import { encodeEvent, encodeObject, isEncodable, protobufAnswer } from './protobuf-encode.ts'
import { type Field, fieldNamed, type Message, messageOf } from './protobuf-shapes.ts'

/** Objects as client-go writes them in JSON, each after its protobuf (test/peers/go/messages). */
const bodies = readFileSync(new URL('../../../test/kit/machinery/rest/protobuf-bodies.txt', import.meta.url), 'utf8')
for (const line of bodies.trim().split('\n')) {
  const [, ...json] = line.split(' ')
  const object: JsonObject = JSON.parse(json.join(' '))
  test(`${object.apiVersion} ${object.kind} written as protobuf is what it was`, () => {
    assert.deepEqual(decodeObject(encodeObject(object)), withoutNulls(object))
  })
}

/** A null is an absent field. */
function withoutNulls(value: Json): Json {
  if (Array.isArray(value)) return value.map(withoutNulls)
  if (!isObject(value)) return value
  const entries = Object.entries(value).filter((entry): entry is [string, Json] => (entry[1] ?? null) !== null)
  return Object.fromEntries(entries.map(([name, item]) => [name, withoutNulls(item)]))
}

const spec = (fields: JsonObject): JsonObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p' },
  spec: fields,
})
const values: readonly [what: string, object: JsonObject, as?: JsonObject][] = [
  ['a field that the type does not have', spec({ bogus: 1, nodeName: 'n' }), spec({ nodeName: 'n' })],
  ['a field of another form', spec({ nodeName: 5, hostname: 'h' }), spec({ hostname: 'h' })],
  ['a null', spec({ nodeName: null, volumes: null }), spec({})],
  ['an empty message that is there', spec({ volumes: [{ name: 'v', emptyDir: {} }] })],
  [
    'numbers of all lengths',
    spec({ activeDeadlineSeconds: 2 ** 50, terminationGracePeriodSeconds: -1, priority: 128 }),
  ],
  ['a quantity that is a number', spec({ overhead: { cpu: 2 } }), spec({ overhead: { cpu: '2' } })],
  ['a text of many bytes', spec({ nodeName: '€😀'.repeat(5000) })],
  ['names that objects have by themselves', spec({ nodeSelector: JSON.parse('{"__proto__":"a","toString":"b"}') })],
]
for (const [what, object, as = object] of values)
  test(`${what} is written as protobuf as Go would have it`, () => {
    assert.ok(isDeepStrictEqual(decodeObject(encodeObject(object)), as))
  })

const times: readonly string[] = [
  '1970-01-01T00:00:01.000001Z',
  '1969-12-31T23:59:59.500000Z',
  '2038-01-19T03:14:08.999999Z',
  '0001-01-01T00:00:00.000000Z',
]
for (const renewTime of times)
  test(`the time ${renewTime} is the same as protobuf`, () => {
    const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', spec: { renewTime } }
    assert.deepEqual(decodeObject(encodeObject(lease)), lease)
  })

const maps = (count: number): JsonObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMapList',
  metadata: { resourceVersion: '9', continue: 'c', remainingItemCount: 0 },
  items: Array.from({ length: count }, (_, i) => ({ metadata: { name: `é${i}` }, data: { k: 'x'.repeat(2000) } })),
})
for (const [what, list, isLong] of [
  ['an empty list', maps(0), false],
  ['a short list', maps(100), false],
  ['a long list', maps(1000), true],
] as const)
  test(`${what} is the same protobuf whether or not it comes in parts, and when it is sent again`, async () => {
    for (let round = 0; round < 2; round++) {
      const { body, type } = await protobufAnswer(200, list)
      assert.equal(type, 'application/vnd.kubernetes.protobuf')
      if (typeof body === 'string') throw new Error('no bytes')
      assert.equal(!(body instanceof Uint8Array), isLong)
      const parts = body instanceof Uint8Array ? [body] : [...body]
      if (isLong) for (const part of parts) assert.ok(part.length < 256 * 1024)
      const whole = Buffer.concat(parts)
      assert.ok(whole.equals(encodeObject(list)))
      const { items, ...rest } = decodeObject(whole)
      assert.deepEqual({ items: [], ...rest, ...(items && { items }) }, { ...list })
    }
  })

test('an event of a watch is a frame after its length, with an object that says what it is', () => {
  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c' } }
  const frame = encodeEvent('ADDED', object)
  assert.equal(frame.readUInt32BE(0), frame.length - 4)
  const body = encodeObject(object)
  // Field 1 is the type, field 2 a message whose field 1 are the bytes of the object; all are shorter than 128 bytes.
  const event = Buffer.concat([
    Buffer.from([0x0a, 5]),
    Buffer.from('ADDED'),
    Buffer.from([0x12, body.length + 2, 0x0a, body.length]),
    body,
  ])
  assert.deepEqual(frame.subarray(4), event)
})

test('a kind without protobuf is not written as such', async () => {
  const vm = { apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachine', metadata: {} }
  assert.equal(isEncodable(vm), false)
  assert.equal((await faultIn(() => encodeObject(vm))).kind, 'NotAcceptable')
})

/** Kinds that are only listed, and of which there is no object. */
const isNeverThere = ({ verbs }: { verbs?: readonly string[] }) => verbs !== undefined && !verbs.includes('create')

test('every field that our schemas name of a built-in kind has its place in a message', () => {
  const served = [...kinds, ...Object.values(reviews)].filter((kind) => isBuiltIn(kind) && !isNeverThere(kind))
  assert.ok(served.length >= 15)
  for (const kind of served) {
    const message = messageOf(`${apiVersionOf(kind)} ${kind.kind}`)
    assert.ok(message && messageOf(`${apiVersionOf(kind)} ${kind.kind}List`), kind.kind)
    assert.deepEqual(
      missing(kind.schema, message, kind.kind).filter((path) => !unknownToGo.has(path)),
      [],
    )
  }
})

/** What Go's own API server would not take either. */
const unknownToGo = new Set([
  'Namespace.status.conditions.lastProbeTime',
  'Node.status.conditions.lastProbeTime',
  'SelfSubjectReview.spec',
])

/** The paths of fields for which a message has none, or one of another form. */
function missing(schema: JsonObject, message: Message, path: string): readonly string[] {
  const { properties } = schema
  return Object.entries(isObject(properties) ? properties : {}).flatMap(([name, below]) => {
    const at = `${path}.${name}`
    if ((/^\w+$/.test(path) && /^(apiVersion|kind)$/.test(name)) || !isObject(below)) return []
    const field = fieldNamed(message, name)
    return field ? misfit(below, field, at) : [at]
  })
}

function misfit(schema: JsonObject, field: Field, at: string): readonly string[] {
  const { many, ...one } = field
  if (many === 'list') return isObject(schema.items) ? misfit(schema.items, one, at) : [at]
  if (many === 'map') return schema.type === 'object' ? [] : [at]
  if (typeof field.type !== 'string') return missing(schema, field.type, at)
  return (forms[field.type] ?? []).includes(String(schema.type ?? 'any'))
    ? []
    : [`${at}: ${String(schema.type)} as ${field.type}`]
}

const forms: Readonly<Record<string, readonly string[]>> = {
  string: ['string'],
  int: ['integer'],
  bool: ['boolean'],
  bytes: ['string'],
  strings: ['array'],
  time: ['string'],
  microTime: ['string'],
  quantity: ['any', 'string'],
  intOrString: ['any'],
  fields: ['object'],
}
