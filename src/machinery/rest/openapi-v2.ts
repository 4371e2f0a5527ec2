import { isList, isObject, type Json, type JsonObject, jsonEntries } from '#base/json.ts'
import { openapiDocuments, rememberedByKinds } from './openapi.ts'

/** The media type kubectl accepts for it, in any version. */
export const openapiV2Protobuf = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf'
/** How such an answer is labelled: clients parse the type, and `@` is no character of one (kube-apiserver does the same). */
export const openapiV2ProtobufAnswer = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf'

/**
 * The OpenAPI 2.0 document of everything served, made from those of 3.0. kubectl before 1.29 goes by it to explain, to
 * compute patches and to find out about dry runs; newer ones only ask it about kinds that the others do not know.
 */
export const openapiV2 = rememberedByKinds((kinds): JsonObject => {
  const documents = openapiDocuments(kinds)
  const schemas = documents.map(({ components }) => (isObject(components) ? components.schemas : undefined))
  const paths = documents.flatMap(({ paths: of }) => jsonEntries(of))
  return {
    swagger: '2.0',
    info: { title: 'Patchbay', version: '1' },
    paths: Object.fromEntries(paths.map(([path, item]) => [path, mapped(item, operationV2)])),
    definitions: Object.assign({}, ...schemas.map((of) => mapped(of, schemaV2))),
  }
})

function mapped(object: Json | undefined, change: (value: Json) => Json): JsonObject {
  return Object.fromEntries(jsonEntries(object).map(([key, value]) => [key, change(value)]))
}

function operationV2(operation: Json): Json {
  const { parameters, requestBody, responses: _, ...rest } = isObject(operation) ? operation : {}
  const body =
    isObject(requestBody) && isObject(requestBody.content) ? { consumes: Object.keys(requestBody.content) } : {}
  const query = isList(parameters)
    ? parameters.filter(isObject).map(({ name }) => ({ name, in: 'query', type: 'string' }))
    : []
  return { ...rest, ...body, parameters: query }
}

function schemaV2(value: Json): Json {
  if (Array.isArray(value)) return value.map(schemaV2)
  if (typeof value === 'string') return value.replace(/^#\/components\/schemas\//, '#/definitions/')
  return isObject(value) ? mapped(value, schemaV2) : value
}

/** Writes a value as the content of a protobuf field; everything we send is of a length that goes before it. */
type Encode = (value: Json) => Buffer

const text: Encode = (value) => Buffer.from(String(value))
/** A message with one field. */
const inside =
  (number: number, encode: Encode): Encode =>
  (value) =>
    field(number, encode(value))
/** A field that comes once for each item of a list. */
const each = (encode: Encode): readonly [Encode, 'each'] => [encode, 'each']
/** A map, as a message of entries. */
const named =
  (number: number, encode: Encode): Encode =>
  (value) =>
    Buffer.concat(jsonEntries(value).map(([name, item]) => field(number, entry(name, encode(item)))))
const entry = (name: string, value: Buffer) => Buffer.concat([field(1, text(name)), field(2, value)])

type Fields = Readonly<Record<string, readonly [number: number, Encode | readonly [Encode, 'each']]>>

/** A message with the known fields of an object; what begins with `x-` goes as YAML, which JSON is. */
function message(fields: () => Fields, extensions?: number): Encode {
  return (value) => {
    const parts = jsonEntries(value).map(([key, item]) => {
      if (key.startsWith('x-') && extensions) return field(extensions, entry(key, field(2, text(JSON.stringify(item)))))
      const [number, how] = fields()[key] ?? []
      if (number === undefined || how === undefined) return Buffer.alloc(0)
      if (typeof how === 'function') return field(number, how(item))
      return Buffer.concat(isList(item) ? item.map((one) => field(number, how[0](one))) : [])
    })
    return Buffer.concat(parts)
  }
}

// Field numbers: OpenAPIv2.proto of github.com/google/gnostic.
const schema: Encode = message(
  () => ({
    $ref: [1, text],
    format: [2, text],
    description: [4, text],
    required: [19, each(text)],
    additionalProperties: [21, inside(1, schema)],
    type: [22, inside(1, text)],
    items: [23, inside(1, schema)],
    properties: [25, named(1, schema)],
  }),
  31,
)
const parameter = message(() => ({ in: [2, text], name: [4, text], type: [6, text] }))
const operation = message(
  () => ({ consumes: [7, each(text)], parameters: [8, each(inside(1, inside(2, inside(3, parameter))))] }),
  13,
)
const pathItem = message(() => ({
  get: [2, operation],
  put: [3, operation],
  post: [4, operation],
  delete: [5, operation],
  patch: [8, operation],
}))
const info = message(() => ({ title: [1, text], version: [2, text] }))
const document = message(() => ({
  swagger: [1, text],
  info: [2, info],
  paths: [8, named(2, pathItem)],
  definitions: [9, named(1, schema)],
}))

/** The document in the one form old kubectls read. */
export function encodeOpenapiV2(value: JsonObject): Buffer {
  const bytes = encoded.get(value) ?? document(value)
  encoded.set(value, bytes)
  return bytes
}

/** Documents that were encoded; each is kept as long as it is. */
const encoded = new WeakMap<JsonObject, Buffer>()

function field(number: number, bytes: Buffer): Buffer {
  return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes])
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) + 0x80)
  return Buffer.from([...bytes, rest])
}
