import assert from 'node:assert/strict'
import { test } from 'node:test'
import { faultIn } from '#kit/machinery/rest/rest-kit.ts'
import { type Form, negotiated, type Wanted } from './accept.ts'

const forms: readonly Form[] = ['Table', 'PartialObjectMetadata']
const table = 'application/json;as=Table;v=v1;g=meta.k8s.io'
const partial = 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io'
const protobuf = 'application/vnd.kubernetes.protobuf'

const rows: readonly [accept: string | undefined, wanted: Partial<Wanted>][] = [
  [undefined, {}],
  ['', {}],
  ['*/*', {}],
  ['application/*', {}],
  ['application/json', {}],
  ['APPLICATION/JSON ; charset=utf-8', {}],
  ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', {}],
  [`${protobuf},application/json`, {}],
  [`${protobuf}, */*`, {}],
  [protobuf, {}],
  ['application/yaml', { isYaml: true }],
  ['*/*, application/yaml', { isYaml: true }],
  ['application/json, application/yaml', {}],
  ['application/json;q=0.5, application/yaml', { isYaml: true }],
  ['application/yaml;q=0, application/json', {}],
  [table, { form: 'Table' }],
  [`${table},application/json`, { form: 'Table' }],
  [`application/json,${table}`, {}],
  [`${table};q=0.1,application/json`, {}],
  ['application/json;as=Table;v=v1beta1;g=meta.k8s.io', { form: 'Table', version: 'v1beta1' }],
  ['application/json; as=Table; g=meta.k8s.io; v=v1', { form: 'Table' }],
  ['application/json;as="Table";v="v1";g="meta.k8s.io"', { form: 'Table' }],
  ['application/json;as=Table;v=v1;g=other.io,application/json', {}],
  ['application/json;as=Table;v=v2;g=meta.k8s.io,application/json', {}],
  ['application/yaml;as=Table;v=v1;g=meta.k8s.io', { form: 'Table', isYaml: true }],
  [`${partial},application/json`, { form: 'PartialObjectMetadata' }],
  [
    `${protobuf};as=PartialObjectMetadata;g=meta.k8s.io;v=v1,${partial},application/json`,
    { form: 'PartialObjectMetadata' },
  ],
  [`${protobuf};as=PartialObjectMetadata;g=meta.k8s.io;v=v1`, { form: 'PartialObjectMetadata' }],
]
for (const [accept, wanted] of rows)
  test(`who accepts ${accept ?? 'nothing in particular'} gets ${JSON.stringify(wanted)}`, () => {
    assert.deepEqual(negotiated(accept, forms), { form: 'Object', version: 'v1', isYaml: false, ...wanted })
  })

const refused = [
  'text/plain',
  'application/cbor',
  'application/json;q=0',
  '*/*;q=0',
  'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io',
  'application/json;as=Table;v=v1;g=other.io',
  'application/json;q=bogus',
  ',',
]
for (const accept of refused)
  test(`who accepts ${accept} gets nothing`, async () => {
    const fault = await faultIn(() => negotiated(accept, forms))
    assert.equal(fault.kind, 'NotAcceptable')
    assert.equal(fault.message, 'only the following media types are accepted: application/json, application/yaml')
  })

test('a watch is no YAML', async () => {
  assert.equal((await faultIn(() => negotiated('application/yaml', forms, false))).kind, 'NotAcceptable')
  assert.equal(negotiated('application/yaml, application/json;q=0.1', forms, false).isYaml, false)
})
