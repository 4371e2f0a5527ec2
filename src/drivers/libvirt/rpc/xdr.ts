import { Fault } from '#base/fault.ts'

/** Longest string or opaque of libvirt; a longer one comes from a broken or hostile peer. */
const maxStringBytes = 4 * 1024 * 1024

/** One message body being written, in XDR: big-endian, every item padded to four bytes. */
export class XdrWriter {
  #buffer = Buffer.alloc(256)
  #length = 0

  /** What was written so far. The bytes are shared: do not write any more after taking them. */
  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  int(value: number): void {
    const at = this.#grow(4)
    this.#buffer.writeInt32BE(value, at)
  }

  uint(value: number): void {
    const at = this.#grow(4)
    this.#buffer.writeUInt32BE(value, at)
  }

  hyper(value: number): void {
    const at = this.#grow(8)
    this.#buffer.writeBigInt64BE(BigInt(value), at)
  }

  uhyper(value: number): void {
    const at = this.#grow(8)
    this.#buffer.writeBigUInt64BE(BigInt(value), at)
  }

  double(value: number): void {
    const at = this.#grow(8)
    this.#buffer.writeDoubleBE(value, at)
  }

  /** Bytes of a fixed number. */
  fixed(value: Uint8Array): void {
    const at = this.#grow(padded(value.length))
    this.#buffer.set(value, at)
  }

  opaque(value: Uint8Array): void {
    if (value.length > maxStringBytes) throw new Fault('TooLarge', `A libvirt argument has ${value.length} bytes`)
    this.uint(value.length)
    this.fixed(value)
  }

  string(value: string): void {
    this.opaque(Buffer.from(value, 'utf8'))
  }

  /** Reserves `size` zeroed bytes and returns their offset. */
  #grow(size: number): number {
    const at = this.#length
    this.#length += size
    if (this.#length > this.#buffer.length) {
      const bigger = Buffer.alloc(Math.max(this.#buffer.length * 2, this.#length))
      this.#buffer.copy(bigger, 0, 0, at)
      this.#buffer = bigger
    }
    return at
  }
}

/**
 * One message body being read. Every read checks that the bytes are there.
 * @throws Fault Unavailable when they are not: the peer uses another protocol.
 */
export class XdrReader {
  readonly #buffer: Buffer
  #at = 0

  constructor(buffer: Buffer) {
    this.#buffer = buffer
  }

  get remaining(): number {
    return this.#buffer.length - this.#at
  }

  int(): number {
    return this.#buffer.readInt32BE(this.#take(4))
  }

  uint(): number {
    return this.#buffer.readUInt32BE(this.#take(4))
  }

  /** A 64-bit number as a double: exact up to 2^53, which no counter of a guest reaches. */
  hyper(): number {
    return Number(this.#buffer.readBigInt64BE(this.#take(8)))
  }

  uhyper(): number {
    return Number(this.#buffer.readBigUInt64BE(this.#take(8)))
  }

  double(): number {
    return this.#buffer.readDoubleBE(this.#take(8))
  }

  fixed(size: number): Buffer {
    const at = this.#take(padded(size))
    return this.#buffer.subarray(at, at + size)
  }

  opaque(): Buffer {
    return this.fixed(this.count(maxStringBytes))
  }

  string(): string {
    return this.opaque().toString('utf8')
  }

  /** A length or a number of items. Each takes a byte at least, so the rest of the message bounds it as well. */
  count(max: number): number {
    const count = this.uint()
    if (count > max || count > this.remaining)
      throw malformed(`a count of ${count} where ${this.remaining} bytes are left`)
    return count
  }

  #take(size: number): number {
    if (size > this.remaining) throw malformed(`${size} bytes wanted, ${this.remaining} left`)
    const at = this.#at
    this.#at += size
    return at
  }
}

/** The error for bytes that violate the protocol. */
export function malformed(what: string): Fault {
  return new Fault('Unavailable', `libvirt sent a malformed message: ${what}`)
}

function padded(size: number): number {
  return Math.ceil(size / 4) * 4
}
