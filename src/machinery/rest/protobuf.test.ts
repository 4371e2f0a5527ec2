import assert from 'node:assert/strict'
import { test } from 'node:test'
import { field, protobufOf, text } from '#kit/machinery/rest/protobuf-kit.ts'
import { faultIn } from '#kit/machinery/rest/rest-kit.ts'
import { decodeObject } from './protobuf.ts'

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
