import { setImmediate } from 'node:timers/promises'
import { Fault } from '#base/fault.ts'
import { isList, isObject, type Json, type JsonObject, jsonEntries } from '#base/json.ts'
import type { Answer } from '../http/exchange.ts'
import { inParts, manyItems, partBytes } from './json-parts.ts'
import { magic, protobufType } from './protobuf.ts'
import { type Field, type Message, messageOf } from './protobuf-shapes.ts'
import { ProtobufWriter } from './protobuf-writer.ts'

/** The media type of a watch whose events are protobuf. */
export const protobufStream = `${protobufType};stream=watch`

/** Whether an object or a list can be sent as protobuf. */
export function isEncodable({ apiVersion, kind }: JsonObject): boolean {
  return messageOf(`${String(apiVersion)} ${String(kind)}`) !== undefined
}

/**
 * An object or a list as a protobuf body: the message `Unknown` of k8s.io/apimachinery, with the object in it. Only fields that
 * the kind's type in Go has are written; scalars that are not set are left out, which there is the same as empty.
 * @throws Fault NotAcceptable for a kind that is not sent as protobuf
 */
export function encodeObject(object: JsonObject): Buffer {
  const message = requireMessage(object)
  const out = new ProtobufWriter()
  out.raw(tail)
  out.message(rawNumber, () => writeMessage(out, message, object))
  writeType(out, object)
  return out.taken()
}

/** A protobuf body as an answer; a long list in parts, each put together when the client has taken those before it. */
export async function protobufAnswer(code: number, body: JsonObject): Promise<Answer> {
  const { items } = body
  const isLong = isList(items) && items.length > manyItems
  return { code, type: protobufType, body: isLong ? await listParts(body, items) : encodeObject(body) }
}

/**
 * One event of a watch: the message `WatchEvent` with the object as a body of its own, after its length in four bytes
 * (LengthDelimitedFramer of k8s.io/apimachinery).
 */
export function encodeEvent(type: string, object: JsonObject): Buffer {
  const out = new ProtobufWriter()
  out.message(2, () => out.bytes(1, encodeObject(object)))
  out.string(1, type)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(out.length)
  out.raw(length)
  return out.taken()
}

function requireMessage(object: JsonObject): Message {
  const { apiVersion, kind } = object
  const message = messageOf(`${String(apiVersion)} ${String(kind)}`)
  if (message) return message
  const why = `object ${String(kind)} of ${String(apiVersion)} cannot be encoded to a protobuf message`
  throw new Fault('NotAcceptable', why)
}

/** The object in an `Unknown`, which ends with two strings that are empty: encoding and type of the content. */
const rawNumber = 2
const tail = Buffer.from([0x1a, 0, 0x22, 0])

/** What an `Unknown` begins with. */
function writeType(out: ProtobufWriter, { apiVersion, kind }: JsonObject): void {
  out.message(1, () => {
    out.string(2, String(kind))
    out.string(1, String(apiVersion))
  })
  out.raw(magic)
}

/** The items of all lists are field 2. */
const itemsNumber = 2

/** Items of long lists as fields of the list: mostly they are what they were in the list before. */
const itemBytes = new WeakMap<object, Buffer>()

/**
 * The parts of a long list. All items are encoded before the first part is sent, because their length stands before them; others
 * are served in between.
 */
async function listParts(body: JsonObject, items: readonly Json[]): Promise<Iterable<Buffer>> {
  const { items: _, ...rest } = body
  const message = requireMessage(body)
  const item = message.get(itemsNumber)
  if (!item || typeof item.type === 'string') throw new Fault('Bug', `The list ${String(body.kind)} has no items`)
  const { type } = item
  const meta = written((out) => writeMessage(out, message, rest))
  let length = meta.length
  let unshared = 0
  for (const one of items) {
    const bytes = bytesOfItem(type, one).length
    length += bytes
    unshared += bytes
    if (unshared < partBytes) continue
    unshared = 0
    await setImmediate()
  }
  const head = written((out) => {
    out.raw(meta)
    out.open(rawNumber, length)
    writeType(out, body)
  })
  return joined(head, items, type)
}

function* joined(head: Buffer, items: readonly Json[], type: Message): Generator<Buffer> {
  yield head
  for (const part of inParts(items, (one) => bytesOfItem(type, one))) yield Buffer.concat(part)
  yield tail
}

function bytesOfItem(type: Message, item: Json): Buffer {
  const object = isObject(item) ? item : {}
  const bytes =
    itemBytes.get(object) ?? written((out) => out.message(itemsNumber, () => writeMessage(out, type, object)))
  itemBytes.set(object, bytes)
  return bytes
}

function written(write: (out: ProtobufWriter) => void): Buffer {
  const out = new ProtobufWriter()
  write(out)
  return out.taken()
}

/** The fields of messages, the last one first. */
const backwards = new WeakMap<Message, readonly (readonly [number, Field])[]>()

function writeMessage(out: ProtobufWriter, message: Message, object: JsonObject): void {
  const fields = backwards.get(message) ?? [...message].toSorted(([a], [b]) => b - a)
  backwards.set(message, fields)
  for (const [number, field] of fields) writeField(out, number, field, object)
}

function writeField(out: ProtobufWriter, number: number, field: Field, object: JsonObject): void {
  const { name, type, many } = field
  if (field.isInline && typeof type !== 'string') {
    out.message(number, () => writeMessage(out, type, object), 'unless empty')
    return
  }
  const value = Object.hasOwn(object, name) ? object[name] : undefined
  if (value === undefined || value === null) return
  if (many === 'list' && isList(value)) for (const item of value.toReversed()) writeValue(out, number, type, item)
  else if (many === 'map' && isObject(value)) writeMap(out, number, type, value)
  else if (!many) writeValue(out, number, type, value)
}

function writeMap(out: ProtobufWriter, number: number, type: Field['type'], map: JsonObject): void {
  for (const [key, value] of jsonEntries(map).toReversed())
    out.message(number, () => {
      writeValue(out, 2, type, value)
      out.string(1, key)
    })
}

/** A value of another form than its field has is left out: where a schema says nothing about a field, there may be one. */
function writeValue(out: ProtobufWriter, number: number, type: Field['type'], value: Json): void {
  if (typeof type !== 'string') {
    if (isObject(value)) out.message(number, () => writeMessage(out, type, value))
    return
  }
  switch (type) {
    case 'int':
      if (Number.isSafeInteger(value)) out.int(number, Number(value))
      return
    case 'bool':
      if (typeof value === 'boolean') out.int(number, Number(value))
      return
    case 'string':
      if (typeof value === 'string') out.string(number, value)
      return
    case 'bytes':
      if (typeof value === 'string') out.bytes(number, Buffer.from(value, 'base64'))
      return
    default:
      writeSpecial(out, number, type, value)
  }
}

/** Values that are messages on the wire, and no objects in JSON. */
function writeSpecial(out: ProtobufWriter, number: number, type: Field['type'], value: Json): void {
  switch (type) {
    case 'quantity':
      if (typeof value === 'string' || typeof value === 'number')
        out.message(number, () => out.string(1, String(value)))
      return
    case 'fields':
      out.message(number, () => out.string(1, JSON.stringify(value)))
      return
    case 'strings':
      if (isList(value))
        out.message(number, () => {
          for (const item of value.toReversed()) out.string(1, String(item))
        })
      return
    case 'intOrString':
      if (typeof value === 'string' || typeof value === 'number')
        out.message(number, () => writeIntOrString(out, value))
      return
    default:
      writeTime(out, number, value)
  }
}

/** Field 1 says which it is: 0 for a number, 1 for a string. */
function writeIntOrString(out: ProtobufWriter, value: string | number): void {
  if (typeof value === 'string') out.string(3, value)
  else out.int(2, value)
  out.int(1, typeof value === 'string' ? 1 : 0)
}

/** Seconds since 1970, and nanoseconds. */
function writeTime(out: ProtobufWriter, number: number, value: Json): void {
  if (typeof value !== 'string') return
  const [, fraction = ''] = /[.,](\d+)/.exec(value) ?? []
  const ms = Date.parse(value.replace(/[.,]\d+/, ''))
  if (Number.isNaN(ms)) return
  out.message(number, () => {
    out.int(2, Number(fraction.slice(0, 9).padEnd(9, '0')))
    out.int(1, ms / 1000)
  })
}
