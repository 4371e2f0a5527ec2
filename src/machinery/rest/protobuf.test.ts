import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import * as reviews from '#apis/auth/reviews.ts'
import { kinds } from '#apis/kinds.ts'
import { apiVersionOf, isBuiltIn } from '#apis/meta/object.ts'
import type { Json, JsonObject } from '#base/json.ts'
import { isObject } from '#base/json.ts'
import { field, protobufOf, text } from '#kit/machinery/rest/protobuf-kit.ts'
import { faultIn } from '#kit/machinery/rest/rest-kit.ts'
import { decodeObject } from './protobuf.ts'
import { messageOf } from './protobuf-shapes.ts'

const entry = (key: string, value: string) => Buffer.concat([text(1, key), text(2, value)])

test('lists and maps of a protobuf body come whole and in order', () => {
  const metadata = Buffer.concat([
    text(1, 'n'),
    field(11, entry('a', '1')),
    field(11, entry('__proto__', '2')),
    field(11, entry('a', '3')),
    text(14, 'x/a'),
    text(14, 'x/b'),
  ])
  const decoded = decodeObject(protobufOf('v1', 'Namespace', field(1, metadata)))
  assert.equal(
    JSON.stringify(decoded.metadata),
    '{"name":"n","labels":{"a":"3","__proto__":"2"},"finalizers":["x/a","x/b"]}',
  )
})

test('bytes in a protobuf body become base64', () => {
  const { data } = decodeObject(protobufOf('v1', 'Secret', field(2, entry('k', 'hello'))))
  assert.deepEqual(data, { k: 'aGVsbG8=' })
})

test('quantities in a protobuf body become texts', () => {
  const hard = (name: string, amount: string) => field(1, Buffer.concat([text(1, name), field(2, text(1, amount))]))
  const quota = protobufOf('v1', 'ResourceQuota', field(2, Buffer.concat([hard('pods', '2'), hard('memory', '1Gi')])))
  assert.deepEqual(decodeObject(quota).spec, { hard: { pods: '2', memory: '1Gi' } })
})

test('a protobuf body of another kind than the path asks for is refused before its fields are read', async () => {
  const broken = protobufOf('v1', 'Namespace', Buffer.from([0xff]))
  const expected = { group: 'authorization.k8s.io', version: 'v1', kind: 'SelfSubjectAccessReview' }
  const fault = await faultIn(() => decodeObject(broken, expected))
  assert.equal(fault.kind, 'BadRequest')
  assert.match(
    fault.message,
    /\(v1, Namespace\) do not match the expected ones \(authorization.k8s.io\/v1, SelfSubject/,
  )
})

test('a protobuf body of too many fields is refused', async () => {
  const many = Buffer.concat(Array.from({ length: 100_001 }, () => text(1, '')))
  const fault = await faultIn(() => decodeObject(protobufOf('v1', 'Namespace', field(2, many))))
  assert.equal(fault.kind, 'TooLarge')
  assert.match(fault.message, /more than 20000 fields/)
})

/** Bodies that client-go wrote, each with what it would have written in JSON (test/peers/go/messages). */
const bodies = readFileSync(new URL('../../../test/kit/machinery/rest/protobuf-bodies.txt', import.meta.url), 'utf8')
for (const line of bodies.trim().split('\n')) {
  const [body = '', ...json] = line.split(' ')
  const meant: JsonObject = JSON.parse(json.join(' '))
  test(`a protobuf body of ${meant.apiVersion} ${meant.kind} is what client-go writes in JSON`, () => {
    const decoded = decodeObject(Buffer.from(body, 'base64'))
    assert.deepEqual(withoutNulls(decoded), withoutNulls(meant))
  })
}

/** A null is an absent field. */
function withoutNulls(value: Json): Json {
  if (Array.isArray(value)) return value.map(withoutNulls)
  if (!isObject(value)) return value
  const entries = Object.entries(value).filter((entry): entry is [string, Json] => (entry[1] ?? null) !== null)
  return Object.fromEntries(entries.map(([name, item]) => [name, withoutNulls(item)]))
}

test('every served kind that is built into Kubernetes can be sent as protobuf', () => {
  const asked = Object.values(reviews)
  for (const kind of [...kinds, ...asked].filter(isBuiltIn))
    assert.ok(messageOf(`${apiVersionOf(kind)} ${kind.kind}`)?.size, `${apiVersionOf(kind)} ${kind.kind}`)
  assert.ok(messageOf('events.k8s.io/v1 Event')?.size)
})

test('numbers of a protobuf body keep their sign, and empty scalars are absent but where Go has a pointer', () => {
  const meta = Buffer.concat([text(1, 'n'), text(2, ''), text(3, ''), field(4, Buffer.alloc(0))])
  assert.deepEqual(decodeObject(protobufOf('v1', 'Pod', field(1, meta))).metadata, { name: 'n' })
  const lease = decodeObject(protobufOf('coordination.k8s.io/v1', 'Lease', field(2, Buffer.from([0x28, 0]))))
  assert.deepEqual(lease.spec, { leaseTransitions: 0 })
  const options = decodeObject(protobufOf('v1', 'DeleteOptions', Buffer.from('08ffffffffffffffffff01', 'hex')))
  assert.deepEqual(options.gracePeriodSeconds, -1)
})

test('DeleteOptions are those of any group', () => {
  for (const apiVersion of ['v1', 'coordination.k8s.io/v1', 'rbac.authorization.k8s.io/v1']) {
    const body = protobufOf(apiVersion, 'DeleteOptions', text(4, 'Orphan'))
    const decoded = decodeObject(body, { group: '', version: 'v1', kind: 'DeleteOptions' })
    assert.deepEqual(decoded, { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Orphan' })
  }
})

test('a time of a protobuf body that no calendar has is refused', async () => {
  const time = (hex: string) => field(2, field(4, Buffer.from(hex, 'hex')))
  const lease = (hex: string) => decodeObject(protobufOf('coordination.k8s.io/v1', 'Lease', time(hex))).spec
  assert.deepEqual(lease('080110e807'), { renewTime: '1970-01-01T00:00:01.000001Z' })
  assert.deepEqual(lease(''), {})
  for (const hex of ['08ffffffffffffffff7f', '10ffffffffffffffffff01', '1080a8d6b907'])
    assert.equal((await faultIn(() => lease(hex))).kind, 'BadRequest', hex)
})
