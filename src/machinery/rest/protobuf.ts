import { Fault } from '#base/fault.ts'
import type { Json, JsonObject } from '#base/json.ts'

/** How kubectl since 1.32 sends the kinds it was compiled with, whether or not a server asked for it. */
export const protobufType = 'application/vnd.kubernetes.protobuf'

/** Every such body starts with these bytes; a message `Unknown` follows, which carries the object. */
const magic = Buffer.from('k8s\0')

/** What a field holds. `[shape]` is a list of it; a field that is not listed is of no interest to the server. */
type Type = 'string' | 'integer' | 'bytes' | 'map' | Shape | readonly ['string' | Shape]
type Shape = Readonly<{ [number: number]: readonly [name: string, type: Type] }>

const unknown: Shape = { 1: ['typeMeta', { 1: ['apiVersion', 'string'], 2: ['kind', 'string'] }], 2: ['raw', 'bytes'] }

// Field numbers: k8s.io/apimachinery/pkg/apis/meta/v1/generated.proto. Times are the server's business and left out.
const objectMeta: Shape = {
  1: ['name', 'string'],
  2: ['generateName', 'string'],
  3: ['namespace', 'string'],
  5: ['uid', 'string'],
  6: ['resourceVersion', 'string'],
  11: ['labels', 'map'],
  12: ['annotations', 'map'],
  14: ['finalizers', ['string']],
}

/** Objects that can be told, by `apiVersion kind`. */
const shapes: Readonly<Record<string, Shape>> = {
  'v1 Namespace': { 1: ['metadata', objectMeta], 2: ['spec', { 1: ['finalizers', ['string']] }] },
  'v1 DeleteOptions': {
    1: ['gracePeriodSeconds', 'integer'],
    2: ['preconditions', { 1: ['uid', 'string'], 2: ['resourceVersion', 'string'] }],
    4: ['propagationPolicy', 'string'],
    5: ['dryRun', ['string']],
  },
}

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
  if (typeof value === 'number') return broken()
  if (type === 'bytes') return value
  if (type === 'string') return value.toString('utf8')
  if (type === 'map') {
    const { key = '', value: item = '' } = decode(value, { 1: ['key', 'string'], 2: ['value', 'string'] })
    return Object.fromEntries([...Object.entries((before as JsonObject | undefined) ?? {}), [key, item]])
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
