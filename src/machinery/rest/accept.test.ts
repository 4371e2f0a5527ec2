import assert from 'node:assert/strict'
import { test } from 'node:test'
import { faultIn } from '#kit/machinery/rest/rest-kit.ts'
import { negotiated, type Offer, type Wanted } from './accept.ts'

/** What there is of a kind that is built into Kubernetes, and of another one. */
const builtIn: Offer = { forms: ['Table', 'PartialObjectMetadata'], isYaml: true, isProtobuf: true }
const custom: Offer = { ...builtIn, isProtobuf: false }
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
  [`${protobuf},application/json`, { encoding: 'protobuf' }],
  [`${protobuf}, */*`, { encoding: 'protobuf' }],
  [protobuf, { encoding: 'protobuf' }],
  [`application/json,${protobuf}`, {}],
  [`${protobuf};q=0.1,application/json`, {}],
  [`${protobuf};q=0,application/json`, {}],
  [`${protobuf};as=Table;v=v1;g=meta.k8s.io,${table},application/json`, { form: 'Table' }],
  ['application/yaml', { encoding: 'yaml' }],
  ['*/*, application/yaml', { encoding: 'yaml' }],
  ['application/json, application/yaml', {}],
  ['application/json;q=0.5, application/yaml', { encoding: 'yaml' }],
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
  ['application/yaml;as=Table;v=v1;g=meta.k8s.io', { form: 'Table', encoding: 'yaml' }],
  [`${partial},application/json`, { form: 'PartialObjectMetadata' }],
  [
    `${protobuf};as=PartialObjectMetadata;g=meta.k8s.io;v=v1,${partial},application/json`,
    { form: 'PartialObjectMetadata', encoding: 'protobuf' },
  ],
  [
    `${protobuf};as=PartialObjectMetadata;g=meta.k8s.io;v=v1beta1`,
    { form: 'PartialObjectMetadata', version: 'v1beta1', encoding: 'protobuf' },
  ],
]
const plain: Wanted = { form: 'Object', version: 'v1', encoding: 'json' }
for (const [accept, wanted] of rows)
  test(`who accepts ${accept ?? 'nothing in particular'} gets ${JSON.stringify(wanted)}`, () => {
    assert.deepEqual(negotiated(accept, builtIn), { ...plain, ...wanted })
  })

const refused = [
  protobuf,
  `${protobuf};as=Table;v=v1;g=meta.k8s.io`,
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
    const fault = await faultIn(() => negotiated(accept, custom))
    assert.equal(fault.kind, 'NotAcceptable')
    assert.equal(fault.message, 'only the following media types are accepted: application/json, application/yaml')
  })

test('a watch is no YAML', async () => {
  const watch = { ...custom, isYaml: false }
  assert.equal((await faultIn(() => negotiated('application/yaml', watch))).kind, 'NotAcceptable')
  assert.equal(negotiated('application/yaml, application/json;q=0.1', watch).encoding, 'json')
})

test('of a custom kind, metadata alone is protobuf', async () => {
  const metadata = `${protobuf};as=PartialObjectMetadata;g=meta.k8s.io;v=v1`
  assert.equal(negotiated(`${protobuf},application/json`, custom).encoding, 'json')
  assert.deepEqual(negotiated(metadata, custom), { ...plain, form: 'PartialObjectMetadata', encoding: 'protobuf' })
  assert.equal((await faultIn(() => negotiated(protobuf, custom))).kind, 'NotAcceptable')
})
