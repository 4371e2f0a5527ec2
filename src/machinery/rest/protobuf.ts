import { apiVersionOf, type Kind } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import type { JsonObject } from '#base/json.ts'
import { maxBodyValues } from './body-limits.ts'
import { type Shape, shapes, type Type } from './protobuf-shapes.ts'

/** How kubectl since 1.32 sends the kinds it was compiled with, whether or not a server supports it. */
export const protobufType = 'application/vnd.kubernetes.protobuf'

/** Every such body starts with these bytes; a message `Unknown` follows, which carries the object. */
const magic = Buffer.from('k8s\0')

const unknown: Shape = { 1: ['typeMeta', { 1: ['apiVersion', 'string'], 2: ['kind', 'string'] }], 2: ['raw', 'bytes'] }

/** What a body must be; undefined when the path does not say. */
export type Expected = Pick<Kind, 'group' | 'version' | 'kind'> | undefined

/**
 * The object in a protobuf body. A body of another kind than the `expected` one is refused before its fields are read.
 * @throws Fault Unsupported for a kind that has to be sent as JSON, TooLarge for too many fields, BadRequest for another kind
 * and for bytes that are no message.
 */
export function decodeObject(body: Buffer, expected?: Expected): JsonObject {
  if (!body.subarray(0, magic.length).equals(magic)) throw new Fault('BadRequest', 'the body is no Kubernetes protobuf')
  const budget = { fields: maxBodyValues }
  const { typeMeta, raw } = decode(body.subarray(magic.length), unknown, budget) as Envelope
  const { apiVersion = '', kind = '' } = typeMeta ?? {}
  const name = `${apiVersion} ${kind}`
  const shape = Object.hasOwn(shapes, name) ? shapes[name] : undefined
  if (!shape)
    throw new Fault('Unsupported', `${kind || 'the body'} cannot be sent as ${protobufType} - send application/json`)
  if (expected && (apiVersion !== apiVersionOf(expected) || kind !== expected.kind))
    throw new Fault(
      'BadRequest',
      `the API version and kind in the data (${apiVersion}, ${kind}) do not match the expected ones (${apiVersionOf(expected)}, ${expected.kind})`,
    )
  return { apiVersion, kind, ...decode(raw ?? Buffer.alloc(0), shape, budget) }
}

type Envelope = { typeMeta?: { apiVersion?: string; kind?: string }; raw?: Buffer }
/** What is left of the fields that a body may have. */
type Budget = { fields: number }

/** A message as an object. Lists and maps are filled in place, so that a field costs the same wherever it stands. */
function decode(bytes: Buffer, shape: Shape, budget: Budget): Values {
  const reader = new Reader(bytes)
  // By the names of the shape, which are ours.
  const values: Values = {}
  while (!reader.isAtEnd) {
    if (--budget.fields < 0)
      throw new Fault('TooLarge', `the protobuf of the body has more than ${maxBodyValues} fields`)
    const { number, value } = reader.field()
    const [name, type] = shape[number] ?? []
    if (name === undefined || type === undefined) continue
    if (isList(type)) listAt(values, name).push(single(type[0], value, budget))
    else if (isMap(type)) mapAt(values, name).set(...entry(type, value, budget))
    else values[name] = single(type, value, budget)
  }
  for (const [name, value] of Object.entries(values)) if (value instanceof Map) values[name] = Object.fromEntries(value)
  return values
}

type Values = Record<string, unknown>

function listAt(values: Values, name: string): unknown[] {
  const list = (values[name] as unknown[] | undefined) ?? []
  values[name] = list
  return list
}

function mapAt(values: Values, name: string): Map<string, unknown> {
  const map = (values[name] as Map<string, unknown> | undefined) ?? new Map<string, unknown>()
  values[name] = map
  return map
}

const entryOf = {
  map: { 1: ['key', 'string'], 2: ['value', 'string'] },
  bytesMap: { 1: ['key', 'string'], 2: ['value', 'bytes'] },
  // A quantity is a message around its text.
  quantityMap: { 1: ['key', 'string'], 2: ['value', { 1: ['text', 'string'] }] },
} as const satisfies Record<string, Shape>

function entry(type: keyof typeof entryOf, value: Buffer | number, budget: Budget): [key: string, value: unknown] {
  if (typeof value === 'number') return broken()
  const { key = '', value: item = '' } = decode(value, entryOf[type], budget)
  if (type === 'quantityMap') return [String(key), (item as Values).text ?? '']
  return [String(key), Buffer.isBuffer(item) ? item.toString('base64') : item]
}

/** One value of a field. */
function single(type: Exclude<Type, keyof typeof entryOf | List>, value: Buffer | number, budget: Budget): unknown {
  if (type === 'integer') return typeof value === 'number' ? value : broken()
  if (type === 'boolean') return typeof value === 'number' ? value !== 0 : broken()
  if (typeof value === 'number') return broken()
  if (type === 'bytes') return value
  return type === 'string' ? value.toString('utf8') : decode(value, type, budget)
}

type List = Extract<Type, readonly unknown[]>

function isMap(type: Type): type is keyof typeof entryOf {
  return typeof type === 'string' && Object.hasOwn(entryOf, type)
}

function isList(type: Type): type is List {
  return Array.isArray(type)
}

class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length
  }

  field(): { number: number; value: Buffer | number } {
    const tag = this.#varint()
    const number = Math.floor(tag / 8)
    switch (tag % 8) {
      case 0:
        return { number, value: this.#varint() }
      case 1:
        return { number, value: this.#take(8) }
      case 2:
        return { number, value: this.#take(this.#varint()) }
      case 5:
        return { number, value: this.#take(4) }
      default:
        return broken()
    }
  }

  #varint(): number {
    let value = 0
    for (let i = 0; i < 10; i++) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) return broken()
      value += (byte & 0x7f) * 2 ** (7 * i)
      if (byte < 0x80) return value
    }
    return broken()
  }

  #take(length: number): Buffer {
    if (this.#at + length > this.#bytes.length) return broken()
    const taken = this.#bytes.subarray(this.#at, this.#at + length)
    this.#at += length
    return taken
  }
}

function broken(): never {
  throw new Fault('BadRequest', 'the protobuf of the body is broken')
}
