import { Fault } from '#base/fault.ts'
import type { Json, JsonObject } from '#base/json.ts'
import { type Shape, shapes, type Type } from './protobuf-shapes.ts'

/** How kubectl since 1.32 sends the kinds it was compiled with, whether or not a server asked for it. */
export const protobufType = 'application/vnd.kubernetes.protobuf'

/** Every such body starts with these bytes; a message `Unknown` follows, which carries the object. */
const magic = Buffer.from('k8s\0')

const unknown: Shape = { 1: ['typeMeta', { 1: ['apiVersion', 'string'], 2: ['kind', 'string'] }], 2: ['raw', 'bytes'] }

/**
 * The object in a protobuf body.
 * @throws Fault Unsupported for a kind that has to be sent as JSON, BadRequest for bytes that are no message.
 */
export function decodeObject(body: Buffer): JsonObject {
  if (!body.subarray(0, magic.length).equals(magic)) throw new Fault('BadRequest', 'the body is no Kubernetes protobuf')
  const { typeMeta, raw } = decode(body.subarray(magic.length), unknown) as Envelope
  const { apiVersion = '', kind = '' } = typeMeta ?? {}
  const name = `${apiVersion} ${kind}`
  const shape = Object.hasOwn(shapes, name) ? shapes[name] : undefined
  if (!shape)
    throw new Fault('Unsupported', `${kind || 'the body'} cannot be sent as ${protobufType} - send application/json`)
  return { apiVersion, kind, ...(decode(raw ?? Buffer.alloc(0), shape) as JsonObject) }
}

type Envelope = { typeMeta?: { apiVersion?: string; kind?: string }; raw?: Buffer }

function decode(bytes: Buffer, shape: Shape): Record<string, unknown> {
  const reader = new Reader(bytes)
  const values = new Map<string, unknown>()
  while (!reader.isAtEnd) {
    const { number, value } = reader.field()
    const [name, type] = shape[number] ?? []
    if (name !== undefined && type !== undefined) values.set(name, grown(values.get(name), type, value))
  }
  return Object.fromEntries(values)
}

/** The value of a field after one more occurrence of it. */
function grown(before: unknown, type: Type, value: Buffer | number): unknown {
  if (type === 'integer') return typeof value === 'number' ? value : broken()
  if (type === 'boolean') return typeof value === 'number' ? value !== 0 : broken()
  if (typeof value === 'number') return broken()
  if (type === 'bytes') return value
  if (type === 'string') return value.toString('utf8')
  if (type === 'map' || type === 'bytesMap') {
    const entry = decode(value, { 1: ['key', 'string'], 2: ['value', type === 'map' ? 'string' : 'bytes'] })
    const { key = '', value: text = '' } = entry
    const item = Buffer.isBuffer(text) ? text.toString('base64') : text
    return Object.fromEntries([...Object.entries((before as JsonObject | undefined) ?? {}), [String(key), item]])
  }
  if (isList(type)) return [...((before as Json[] | undefined) ?? []), grown(undefined, type[0], value)]
  return decode(value, type)
}

function isList(type: Shape | readonly ['string' | Shape]): type is readonly ['string' | Shape] {
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
      const [byte] = this.#take(1)
      value += (byte! & 0x7f) * 2 ** (7 * i)
      if (byte! < 0x80) return value
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
