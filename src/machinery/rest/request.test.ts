import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Fault } from '#base/fault.ts'
import { protobufOf } from '#kit/machinery/rest/protobuf-kit.ts'
import { faultIn } from '#kit/machinery/rest/rest-kit.ts'
import { countOf, dryRunOf, fieldValidationOf, flag, objectBody, parseBody, queryOf } from './request.ts'

const parse = (type: string, text: string) => parseBody(type, Buffer.from(text))

test('bodies are JSON unless they say YAML', () => {
  assert.deepEqual(parse('', '{"a":1}'), { a: 1 })
  assert.deepEqual(parse('application/json', '[1]'), [1])
  assert.deepEqual(parse('application/yaml', 'a: 02:00:00:00:00:0a\nb: 2024-01-01\n'), {
    a: '02:00:00:00:00:0a',
    b: '2024-01-01',
  })
})

const refused: readonly [name: string, type: string, text: string, kind: string, message: RegExp][] = [
  ['broken JSON', 'application/json', '{"a":', 'BadRequest', /not well-formed/],
  ['an empty body', 'application/json', '', 'BadRequest', /not well-formed/],
  ['broken YAML', 'application/yaml', 'a: [', 'BadRequest', /not well-formed/],
  ['a YAML tag that makes things', 'application/yaml', 'a: !!js/function "x"', 'BadRequest', /unknown scalar tag/],
  [
    'another type',
    'text/plain',
    'a',
    'Unsupported',
    /unknown format \(text\/plain\) - accepted media types include: application\/json, application\/yaml/,
  ],
  ['a number past all numbers', 'application/json', '{"a":1e999}', 'BadRequest', /number too large/],
  [
    'a deep nest',
    'application/json',
    '['.repeat(1000) + ']'.repeat(1000),
    'BadRequest',
    /nested deeper than 200 levels/,
  ],
  ['a YAML bomb', 'application/yaml', bomb(), 'TooLarge', /more than 20000 values/],
  ['many values', 'application/json', `[${'1,'.repeat(20_000)}1]`, 'TooLarge', /more than 20000 values/],
  ['a long YAML', 'application/yaml', '- 1\n'.repeat(150_000), 'TooLarge', /send application\/json/],
]
for (const [name, type, text, kind, message] of refused)
  test(`${name} is refused with a sentence`, async () => {
    const fault = await faultIn(() => parse(type, text))
    assert.equal(fault.kind, kind)
    assert.match(fault.message, message)
  })

function bomb(): string {
  const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]']
  for (let i = 1; i < 9; i++) lines.push(`a${i}: &a${i} [${Array.from({ length: 10 }, () => `*a${i - 1}`).join(', ')}]`)
  return lines.join('\n')
}

test('a body that must be an object is nothing else', async () => {
  for (const text of ['[]', 'null', '5', '"x"'])
    assert.equal((await faultIn(() => objectBody('', Buffer.from(text)))).kind, 'BadRequest')
})

test('any body of any type is read, or refused as the client’s fault', () => {
  const type = fc.constantFrom('', 'application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf', 'x')
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
    fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.concat([Buffer.from('k8s\0'), bytes])),
    fc.json().map((text) => Buffer.from(text)),
    fc.string({ unit: fc.constantFrom(...'a:-[]{}&*!|>\n "#%'), maxLength: 30 }).map((text) => Buffer.from(text)),
  )
  fc.assert(
    fc.property(type, body, (contentType, bytes) => {
      try {
        parseBody(contentType, bytes)
      } catch (error) {
        assert.ok(
          error instanceof Fault && (error.kind === 'BadRequest' || error.kind === 'Unsupported'),
          String(error),
        )
      }
    }),
    { numRuns: 2000 },
  )
})

test('of a name that comes twice in a query the first counts, and no name is special', () => {
  assert.deepEqual(queryOf('a=1&a=2&b=%20c&d'), { a: '1', b: ' c', d: '' })
  assert.equal(queryOf('watch').watch, '')
  assert.equal(({} as Record<string, unknown>).x, undefined)
  assert.deepEqual(Object.keys(queryOf('__proto__=x')), ['__proto__'])
})

test('flags are read as Kubernetes reads them', () => {
  for (const yes of ['1', 'true', 'True', '', 'yes', 'bogus']) assert.equal(flag(yes), true)
  for (const no of ['0', 'false', 'FALSE', undefined]) assert.equal(flag(no), false)
})

test('counts are whole numbers or refused', async () => {
  assert.equal(countOf({ n: '7' }, 'n'), 7)
  assert.equal(countOf({ n: '' }, 'n'), undefined)
  assert.equal(countOf({}, 'n'), undefined)
  for (const n of ['-1', 'x', '1.5', '1e3', '9'.repeat(20)])
    assert.match((await faultIn(() => countOf({ n }, 'n'))).message, /^n: Invalid value: /)
})

test('a dry run is asked for by query or body, and has one mode', async () => {
  assert.equal(dryRunOf('PUT', {}), false)
  assert.equal(dryRunOf('PUT', { dryRun: 'All' }), true)
  assert.equal(dryRunOf('PUT', {}, { dryRun: ['All'] }), true)
  for (const [method, kind] of [
    ['POST', 'CreateOptions'],
    ['PUT', 'UpdateOptions'],
    ['PATCH', 'PatchOptions'],
    ['DELETE', 'DeleteOptions'],
  ] as const)
    for (const [query, body] of [[{ dryRun: 'Some' }], [{}, { dryRun: ['Some'] }]] as const) {
      const fault = await faultIn(() => dryRunOf(method, query, body))
      assert.equal(fault.kind, 'Invalid')
      assert.equal(
        fault.message,
        `${kind}.meta.k8s.io "" is invalid: dryRun: Unsupported value: []string{"Some"}: supported values: "All"`,
      )
    }
})

test('field validation has three modes and warns when none is asked for', async () => {
  assert.equal(fieldValidationOf('PATCH', {}), 'Warn')
  assert.equal(fieldValidationOf('PATCH', { fieldValidation: 'Strict' }), 'Strict')
  assert.match(
    (await faultIn(() => fieldValidationOf('PATCH', { fieldValidation: 'strict' }))).message,
    /supported values: "Ignore", "Strict", "Warn"/,
  )
})

// What kubectl 1.32 sends for `kubectl create namespace t1`.
const namespaceT1 = Buffer.from('6b3873000a0f0a02763112094e616d65737061636512100a0c0a0274311a0022002a0032003800', 'hex')

test('a namespace is understood as protobuf, as kubectl sends it', () => {
  const { kind, metadata } = parseBody('application/vnd.kubernetes.protobuf', namespaceT1) as {
    kind: string
    metadata: { name: string }
  }
  assert.deepEqual([kind, metadata.name], ['Namespace', 't1'])
})

test('a kind that is not understood as protobuf is to be sent as JSON', async () => {
  const vm = protobufOf('kubevirt.io/v1', 'VirtualMachine', Buffer.alloc(0))
  const fault = await faultIn(() => parseBody('application/vnd.kubernetes.protobuf', vm))
  assert.equal(fault.kind, 'Unsupported')
  assert.match(fault.message, /VirtualMachine cannot be sent as .* - send application\/json/)
})
