import { apiVersionOf, type Kind } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import { type Json, type JsonObject, parsedJson } from '#base/json.ts'
import { timestamp } from '#base/time.ts'
import { maxBodyValues } from './body-limits.ts'
import { type Field, type Message, messageOf } from './protobuf-shapes.ts'

/** How client-go since 0.32, and so kubectl, sends the kinds it was compiled with, whether or not a server supports it. */
export const protobufType = 'application/vnd.kubernetes.protobuf'

/** Every such body starts with these bytes; a message `Unknown` follows, which carries the object. */
export const magic = Buffer.from('k8s\0')

/** What a body must be; undefined when the path does not say. */
export type Expected = Pick<Kind, 'group' | 'version' | 'kind'> | undefined

/**
 * The object in a protobuf body, as the client would have written it in JSON. A body of another kind than the `expected` one is
 * refused before its fields are read.
 * @throws Fault Unsupported for a kind that has to be sent as JSON, TooLarge for too many fields, BadRequest for another kind
 * and for bytes that are no message.
 */
export function decodeObject(body: Buffer, expected?: Expected): JsonObject {
  if (!body.subarray(0, magic.length).equals(magic)) throw new Fault('BadRequest', 'the body is no Kubernetes protobuf')
  const { apiVersion, kind, raw } = envelopeOf(body.subarray(magic.length))
  const message = messageOf(`${apiVersion} ${kind}`)
  if (!message)
    throw new Fault('Unsupported', `${kind || 'the body'} cannot be sent as ${protobufType} - send application/json`)
  if (expected && (apiVersion !== apiVersionOf(expected) || kind !== expected.kind))
    throw new Fault(
      'BadRequest',
      `the API version and kind in the data (${apiVersion}, ${kind}) do not match the expected ones (${apiVersionOf(expected)}, ${expected.kind})`,
    )
  return { apiVersion, kind, ...new Decoder().message(raw, message) }
}

const empty = Buffer.alloc(0)

const deleteOptions = Buffer.from('DeleteOptions')

/** The message `Unknown`: 1 is the type of the object, 2 the object. */
function envelopeOf(body: Buffer): Readonly<{ apiVersion: string; kind: string; raw: Buffer }> {
  const { 1: type = empty, 2: raw = empty } = bytesIn(body)
  const { 1: apiVersion = empty, 2: kind = empty } = bytesIn(type)
  // DeleteOptions are part of every group: clients send those of the group of what they delete.
  if (kind.equals(deleteOptions)) return { apiVersion: 'v1', kind: 'DeleteOptions', raw }
  return { apiVersion: apiVersion.toString('utf8'), kind: kind.toString('utf8'), raw }
}

/** The first fields of a small message that are bytes, by number. */
function bytesIn(bytes: Buffer): Readonly<Record<number, Buffer>> {
  const found: Record<number, Buffer> = {}
  const reader = new Reader(bytes)
  while (!reader.isAtEnd) {
    const { number, value } = reader.field()
    if (number < maxHeaderField && Buffer.isBuffer(value)) found[number] = value
  }
  return found
}
/** Fields of messages that stand around values are numbered below this. */
const maxHeaderField = 8

type Values = { [name: string]: Json }

/** Turns messages into objects, as many fields as one body may have. */
class Decoder {
  #left = maxBodyValues

  /** A message as an object. Lists and maps are filled in place, so that a field costs the same wherever it stands. */
  message(bytes: Buffer, message: Message): JsonObject {
    // By the names of the message, which are ours.
    const values: Values = {}
    this.#read(bytes, message, values)
    return values
  }

  #read(bytes: Buffer, message: Message, values: Values): void {
    const lists = new Map<string, Json[]>()
    const maps = new Map<string, [key: string, value: Json][]>()
    const reader = new Reader(bytes)
    while (!reader.isAtEnd) {
      this.#count()
      const { number, value } = reader.field()
      const field = message.get(number)
      if (!field) continue
      const { name, many } = field
      if (many === 'list') listAt(lists, name, values).push(this.#value(field, value))
      else if (many === 'map') listAt(maps, name, values).push(this.#entry(field, value))
      else if (field.isInline && typeof field.type !== 'string') this.#read(bytesOf(value), field.type, values)
      else this.#set(values, field, this.#value(field, value))
    }
    for (const [name, list] of lists) values[name] = list
    for (const [name, entries] of maps) values[name] = Object.fromEntries(entries)
  }

  #count(): void {
    if (--this.#left < 0) throw new Fault('TooLarge', `the protobuf of the body has more than ${maxBodyValues} fields`)
  }

  /** Go writes scalars that are not set as empty ones, and times as empty messages. */
  #set(values: Values, { name, type, keepsEmpty }: Field, value: Json): void {
    const isEmpty = value === null || (isScalar(type) && !keepsEmpty && !value)
    if (!isEmpty) values[name] = value
  }

  #entry(field: Field, value: Buffer | number): [key: string, value: Json] {
    let [key, item]: [string, Buffer | number] = ['', empty]
    const reader = new Reader(bytesOf(value))
    while (!reader.isAtEnd) {
      this.#count()
      const part = reader.field()
      if (part.number === 1) key = bytesOf(part.value).toString('utf8')
      if (part.number === 2) item = part.value
    }
    return [key, this.#value(field, item)]
  }

  #value({ type }: Field, value: Buffer | number): Json {
    if (type === 'int') return typeof value === 'number' ? value : broken()
    if (type === 'bool') return typeof value === 'number' ? value !== 0 : broken()
    const bytes = bytesOf(value)
    if (typeof type !== 'string') return this.message(bytes, type)
    switch (type) {
      case 'string':
        return bytes.toString('utf8')
      case 'bytes':
        return bytes.toString('base64')
      case 'quantity':
        return bytesIn(bytes)[1]?.toString('utf8') || '0'
      case 'fields':
        return jsonIn(bytesIn(bytes)[1])
      case 'intOrString':
        return intOrString(bytes)
      case 'strings':
        return this.#strings(bytes)
      default:
        return timeIn(bytes, type)
    }
  }

  #strings(bytes: Buffer): readonly string[] {
    const list: string[] = []
    const reader = new Reader(bytes)
    while (!reader.isAtEnd) {
      this.#count()
      const { number, value } = reader.field()
      if (number === 1) list.push(bytesOf(value).toString('utf8'))
    }
    return list
  }
}

/** What is gathered for a field, which has its place in `values` from the first item on. */
function listAt<T>(lists: Map<string, T[]>, name: string, values: Values): T[] {
  const list = lists.get(name) ?? []
  if (list.length) return list
  lists.set(name, list)
  values[name] = null
  return list
}

/** The message `Time` or `MicroTime`: seconds since 1970 and nanoseconds; null when it is empty, which is no time. */
function timeIn(bytes: Buffer, type: 'time' | 'microTime'): Json {
  if (!bytes.length) return null
  const { 1: seconds = 0, 2: nanos = 0 } = numbersIn(bytes)
  const isTime = seconds >= firstSecond && seconds <= lastSecond && nanos >= 0 && nanos < 1e9
  if (!isTime) return broken()
  const whole = timestamp(seconds * 1000)
  if (type === 'time') return whole
  return whole.replace('Z', `.${String(Math.floor(nanos / 1000)).padStart(6, '0')}Z`)
}
/** The years 0 and 9999, as RFC 3339 can write them. */
const firstSecond = -62_167_219_200
const lastSecond = 253_402_300_799

/** The message `IntOrString`: 1 says which (1: a string), 2 is the number, 3 the string. */
function intOrString(bytes: Buffer): Json {
  const { 1: type = 0, 2: number = 0 } = numbersIn(bytes)
  return type === 1 ? (bytesIn(bytes)[3] ?? empty).toString('utf8') : number
}

/** The numbers of a small message. */
function numbersIn(bytes: Buffer): Readonly<Record<number, number>> {
  const found: Record<number, number> = {}
  const reader = new Reader(bytes)
  while (!reader.isAtEnd) {
    const { number, value } = reader.field()
    if (number < maxHeaderField && typeof value === 'number') found[number] = value
  }
  return found
}

function jsonIn(bytes: Buffer | undefined): Json {
  if (!bytes?.length) return null
  const value = parsedJson(bytes.toString('utf8'))
  return value === undefined ? broken() : (value as Json)
}

/** Types whose empty value Go writes where none was set. */
function isScalar(type: Field['type']): boolean {
  return type === 'string' || type === 'int' || type === 'bool' || type === 'bytes'
}

function bytesOf(value: Buffer | number): Buffer {
  return typeof value === 'number' ? broken() : value
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
    for (let i = 0; i < 7; i++) {
      const byte = this.#byte()
      value += (byte & 0x7f) * 2 ** (7 * i)
      if (byte < 0x80) return value
    }
    return this.#longVarint(value)
  }

  /** The rest of a number of more than 49 bits; negative ones have all 64. */
  #longVarint(low: number): number {
    let value = BigInt(low)
    for (let i = 7; i < 10; i++) {
      const byte = this.#byte()
      value += BigInt(byte & 0x7f) << BigInt(7 * i)
      if (byte < 0x80) return Number(BigInt.asIntN(64, value))
    }
    return broken()
  }

  #byte(): number {
    return this.#bytes[this.#at++] ?? broken()
  }

  #take(length: number): Buffer {
    if (length < 0 || this.#at + length > this.#bytes.length) return broken()
    const taken = this.#bytes.subarray(this.#at, this.#at + length)
    this.#at += length
    return taken
  }
}

function broken(): never {
  throw new Fault('BadRequest', 'the protobuf of the body is broken')
}
