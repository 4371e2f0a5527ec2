/** What a field may hold: numbers and flags as varints, the rest as bytes; a list is the field repeated. */
type Value = undefined | number | boolean | string | Uint8Array | readonly Uint8Array[]

const [varint, fixed64, bytes, fixed32] = [0, 1, 2, 5]

/** A protobuf message of numbered fields. Zero, false and the empty string are what a missing field means, and left out. */
export function message(...fields: (readonly [number: number, value: Value])[]): Buffer {
  return Buffer.concat(fields.flatMap(([number, value]) => fieldBytes(number, value)))
}

function fieldBytes(number: number, value: Value): readonly Uint8Array[] {
  if (value === undefined || value === 0 || value === false || value === '') return []
  if (value === true) return [varintOf(number * 8 + varint), varintOf(1)]
  if (typeof value === 'number') return [varintOf(number * 8 + varint), varintOf(value)]
  if (typeof value === 'string') return fieldBytes(number, Buffer.from(value))
  if (value instanceof Uint8Array) return [varintOf(number * 8 + bytes), varintOf(value.length), value]
  return value.flatMap((one) => fieldBytes(number, one))
}

function varintOf(value: number): Buffer {
  const parts: number[] = []
  let left = value
  for (; left >= 0x80; left = Math.floor(left / 0x80)) parts.push((left % 0x80) + 0x80)
  parts.push(left)
  return Buffer.from(parts)
}

/** A message that was received, by the numbers of its fields. @throws Error when it is cut short */
export class Fields {
  readonly #values = new Map<number, (number | Buffer)[]>()

  constructor(message: Buffer) {
    for (let at = 0; at < message.length; ) {
      const tag = readVarint(message, at)
      const { value, end } = readValue(message, tag.end, tag.value % 8)
      const number = Math.floor(tag.value / 8)
      const values = this.#values.get(number)
      if (values) values.push(value)
      else this.#values.set(number, [value])
      at = end
    }
  }

  /** A whole number below 2^53; 0 when it is missing. */
  int(number: number): number {
    const value = this.#values.get(number)?.at(-1)
    return typeof value === 'number' ? value : 0
  }

  isSet(number: number): boolean {
    return this.int(number) !== 0
  }

  /** Bytes; empty when the field is missing. */
  bytes(number: number): Buffer {
    return this.all(number).at(-1) ?? Buffer.alloc(0)
  }

  text(number: number): string {
    return this.bytes(number).toString('utf8')
  }

  /** The message in a field; one without fields when it is missing. */
  fields(number: number): Fields {
    return new Fields(this.bytes(number))
  }

  /** All that a repeated field holds. */
  all(number: number): readonly Buffer[] {
    return (this.#values.get(number) ?? []).filter((value) => typeof value !== 'number')
  }
}

type Read<T> = Readonly<{ value: T; end: number }>

function readValue(message: Buffer, at: number, type: number): Read<number | Buffer> {
  if (type === varint) return readVarint(message, at)
  const { value: length, end: start } = lengthOf(message, at, type)
  const end = start + length
  if (end > message.length) throw new Error('The message of etcd is cut short')
  return { value: message.subarray(start, end), end }
}

function lengthOf(message: Buffer, at: number, type: number): Read<number> {
  if (type === bytes) return readVarint(message, at)
  if (type === fixed64) return { value: 8, end: at }
  if (type === fixed32) return { value: 4, end: at }
  throw new Error(`The message of etcd has a field of wire type ${type}`)
}

function readVarint(message: Buffer, at: number): Read<number> {
  let value = 0
  for (let end = at, factor = 1; end < message.length; factor *= 0x80) {
    const byte = message.readUInt8(end++)
    value += (byte % 0x80) * factor
    if (byte < 0x80) return { value, end }
  }
  throw new Error('The message of etcd is cut short')
}
