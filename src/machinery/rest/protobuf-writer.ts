/** What a writer begins with, bytes; it doubles from there. */
const firstBytes = 1024

/** Wire types: what follows the number of a field. */
const [varintType, lengthType] = [0, 2]

/**
 * Writes the fields of a message from the last one to the first, so that the length of what is in a field is known when it is
 * written before it.
 */
export class ProtobufWriter {
  #bytes = Buffer.alloc(firstBytes)
  #at = firstBytes

  /** Bytes written so far. */
  get length(): number {
    return this.#bytes.length - this.#at
  }

  /** A copy of what was written. */
  taken(): Buffer {
    return Buffer.from(this.#bytes.subarray(this.#at))
  }

  /** A field that is a whole number, of which negative ones have all 64 bits. */
  int(number: number, value: number): void {
    this.#varint(value)
    this.#varint(number * 8 + varintType)
  }

  string(number: number, value: string): void {
    const bytes = Buffer.byteLength(value)
    const at = this.#reserve(bytes)
    this.#bytes.write(value, at, 'utf8')
    this.open(number, bytes)
  }

  bytes(number: number, value: Uint8Array): void {
    this.raw(value)
    this.open(number, value.length)
  }

  /** A field whose content `write` writes; `unless empty` none when that writes nothing. */
  message(number: number, write: () => void, when: 'always' | 'unless empty' = 'always'): void {
    const before = this.length
    write()
    if (this.length > before || when === 'always') this.open(number, this.length - before)
  }

  /** Bytes that are no field. */
  raw(value: Uint8Array): void {
    const at = this.#reserve(value.length)
    this.#bytes.set(value, at)
  }

  /** What stands before the content of a field, which has so many bytes. */
  open(number: number, bytes: number): void {
    this.#varint(bytes)
    this.#varint(number * 8 + lengthType)
  }

  #varint(value: number): void {
    if (value < 0) {
      this.#negative(value)
      return
    }
    let size = 1
    for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size++
    let at = this.#reserve(size)
    let rest = value
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.#bytes[at++] = (rest % 0x80) + 0x80
    this.#bytes[at] = rest
  }

  #negative(value: number): void {
    let rest = BigInt.asUintN(64, BigInt(value))
    let at = this.#reserve(10)
    for (; rest >= 0x80n; rest >>= 7n) this.#bytes[at++] = Number(rest & 0x7fn) + 0x80
    this.#bytes[at] = Number(rest)
  }

  /** Room for so many bytes before what there is; returns where they go, in `#bytes` as it is from now on. */
  #reserve(bytes: number): number {
    if (bytes > this.#at) {
      const used = this.length
      const larger = Buffer.alloc(Math.max(2 * this.#bytes.length, used + bytes))
      this.#bytes.copy(larger, larger.length - used, this.#at)
      this.#at = larger.length - used
      this.#bytes = larger
    }
    this.#at -= bytes
    return this.#at
  }
}
