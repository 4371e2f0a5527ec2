import { malformed, type XdrReader, type XdrWriter } from './xdr.ts'

/** Encoder and decoder of one type. */
export type Codec<T> = Readonly<{ write: (out: XdrWriter, value: T) => void; read: (from: XdrReader) => T }>

/** The type of a codec. */
export type Carried<C> = C extends Codec<infer T> ? T : never

/**
 * Most items of a list. Replies of libvirt have far fewer; it limits the memory that a broken peer can make this process
 * allocate.
 */
const maxItems = 16_384

export const int: Codec<number> = { write: (out, value) => out.int(value), read: (from) => from.int() }
export const uint: Codec<number> = { write: (out, value) => out.uint(value), read: (from) => from.uint() }
export const hyper: Codec<number> = { write: (out, value) => out.hyper(value), read: (from) => from.hyper() }
export const uhyper: Codec<number> = { write: (out, value) => out.uhyper(value), read: (from) => from.uhyper() }
export const double: Codec<number> = { write: (out, value) => out.double(value), read: (from) => from.double() }
export const string: Codec<string> = { write: (out, value) => out.string(value), read: (from) => from.string() }
export const opaque: Codec<Buffer> = { write: (out, value) => out.opaque(value), read: (from) => from.opaque() }
export const bool: Codec<boolean> = {
  write: (out, value) => out.int(value ? 1 : 0),
  read: (from) => from.int() !== 0,
}

/** A UUID: 16 bytes on the wire, a text here. */
export const uuid: Codec<string> = {
  write: (out, value) => out.fixed(Buffer.from(value.replaceAll('-', ''), 'hex')),
  read: (from) =>
    from
      .fixed(16)
      .toString('hex')
      .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
}

/** A value that may be missing: a flag, then the value. */
export function optional<T>(codec: Codec<T>): Codec<T | undefined> {
  return {
    write: (out, value) => {
      out.int(value === undefined ? 0 : 1)
      if (value !== undefined) codec.write(out, value)
    },
    read: (from) => (from.int() === 0 ? undefined : codec.read(from)),
  }
}

/** A counted list. */
export function list<T>(codec: Codec<T>): Codec<readonly T[]> {
  return {
    write: (out, values) => {
      out.uint(values.length)
      for (const value of values) codec.write(out, value)
    },
    read: (from) => Array.from({ length: from.count(maxItems) }, () => codec.read(from)),
  }
}

/** Fields one after the other, in the order they are declared. */
export function struct<T extends object>(fields: { readonly [K in keyof T]: Codec<T[K]> }): Codec<Readonly<T>> {
  // Object.entries loses the type of each codec, which the type of the parameter has.
  const entries = Object.entries(fields) as [keyof T, Codec<T[keyof T]>][]
  return {
    write: (out, value) => {
      for (const [name, codec] of entries) codec.write(out, value[name])
    },
    read: (from) => Object.fromEntries(entries.map(([name, codec]) => [name, codec.read(from)])) as Readonly<T>,
  }
}

/** No fields at all. */
export const nothing: Codec<undefined> = { write: () => undefined, read: () => undefined }

/** Values with names, as libvirt passes options and statistics. Numbers written are unsigned 64-bit. */
export type Parameters = Readonly<Record<string, number | boolean | string>>

/** The type numbers of libvirt's typed parameters. */
const parameter = { int: 1, uint: 2, hyper: 3, uhyper: 4, double: 5, boolean: 6, string: 7 } as const

/** A counted list of typed parameters, as a record. */
export const parameters: Codec<Parameters> = {
  write: (out, values) => {
    const entries = Object.entries(values)
    out.uint(entries.length)
    for (const [name, value] of entries) {
      out.string(name)
      writeParameter(out, value)
    }
  },
  read: (from) =>
    Object.fromEntries(Array.from({ length: from.count(maxItems) }, () => [from.string(), readParameter(from)])),
}

function writeParameter(out: XdrWriter, value: number | boolean | string): void {
  if (typeof value === 'string') {
    out.int(parameter.string)
    out.string(value)
  } else if (typeof value === 'boolean') {
    out.int(parameter.boolean)
    out.int(value ? 1 : 0)
  } else {
    out.int(parameter.uhyper)
    out.uhyper(value)
  }
}

function readParameter(from: XdrReader): number | boolean | string {
  const type = from.int()
  switch (type) {
    case parameter.int:
      return from.int()
    case parameter.uint:
      return from.uint()
    case parameter.hyper:
      return from.hyper()
    case parameter.uhyper:
      return from.uhyper()
    case parameter.double:
      return from.double()
    case parameter.boolean:
      return from.int() !== 0
    case parameter.string:
      return from.string()
    default:
      throw malformed(`a parameter of unknown type ${type}`)
  }
}
