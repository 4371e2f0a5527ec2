import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Kind } from '#apis/meta/object.ts'
import type { JsonObject } from '#base/json.ts'
import { namespaces, Widget } from '#kit/machinery/rest/rest-kit.ts'
import { encodeOpenapiV2, openapiV2 } from './openapi-v2.ts'

const kinds: readonly Kind[] = [namespaces, Widget]

test('OpenAPI 2.0: every kind is defined, every reference leads somewhere, and patches tell their types', () => {
  const document = openapiV2(kinds)
  const definitions = document.definitions as Record<string, JsonObject>
  assert.ok(definitions['com.example.v1.Widget'] && definitions['io.k8s.core.v1.Namespace'])
  for (const [, name] of JSON.stringify(document).matchAll(/"\$ref":"#\/definitions\/([^"]+)"/g))
    assert.ok(definitions[name!], name)
  assert.doesNotMatch(JSON.stringify(document), /#\/components/)
  const { patch } = (document.paths as Record<string, JsonObject>)[
    '/apis/example.com/v1/namespaces/{namespace}/widgets/{name}'
  ]!
  const { consumes, parameters } = patch as { consumes: string[]; parameters: JsonObject[] }
  assert.ok(consumes.includes('application/strategic-merge-patch+json'))
  assert.deepEqual(parameters[0], { name: 'dryRun', in: 'query', type: 'string' })
})

test('OpenAPI 2.0: is made once and encoded once, whoever asks for it', () => {
  const document = openapiV2(kinds)
  assert.equal(openapiV2(kinds), document)
  assert.equal(encodeOpenapiV2(document), encodeOpenapiV2(document))
})

test('OpenAPI 2.0: its protobuf is that of gnostic', () => {
  const a = { type: 'object', required: ['b'], properties: { b: { $ref: '#/definitions/B' } }, 'x-y': [1] }
  const bytes = encodeOpenapiV2({ swagger: '2.0', definitions: { A: a, B: { type: 'string', unknown: true } } })
  const field = (number: number, ...content: (string | Buffer)[]): Buffer => {
    const body = Buffer.concat(content.map((part) => Buffer.from(part)))
    const tag = number * 8 + 2
    return Buffer.concat([
      Buffer.from(tag < 128 ? [tag] : [(tag % 128) + 128, tag >> 7]),
      Buffer.from([body.length]),
      body,
    ])
  }
  const ofA = Buffer.concat([
    field(22, field(1, 'object')),
    field(19, 'b'),
    field(25, field(1, field(1, 'b'), field(2, field(1, '#/definitions/B')))),
    field(31, field(1, 'x-y'), field(2, field(2, '[1]'))),
  ])
  const ofB = field(22, field(1, 'string'))
  const entries = [field(1, field(1, 'A'), field(2, ofA)), field(1, field(1, 'B'), field(2, ofB))]
  assert.equal(bytes.toString('hex'), Buffer.concat([field(1, '2.0'), field(9, ...entries)]).toString('hex'))
})

test('OpenAPI 2.0: long content has a length of several bytes', () => {
  const bytes = encodeOpenapiV2({ swagger: 'x'.repeat(300) })
  assert.equal(bytes.subarray(0, 4).toString('hex'), '0aac0278')
})
