/** Size of a block, bytes. */
const blockBytes = 64
/** The last block ends with the length of the text in bits, in that many bytes. */
const lengthBytes = 8
/** Rounds per block, and words of the message schedule. */
const rounds = 64

/**
 * SHA-256 (FIPS 180-4) of a text in UTF-8, as lower-case hexadecimal. For names, not for secrets. Our own: Node's does not
 * exist in a browser, and a browser's is asynchronous.
 */
export function sha256Hex(text: string): string {
  const state = new DataView(initial.buffer.slice(0))
  const message = padded(new TextEncoder().encode(text))
  const schedule = new DataView(new ArrayBuffer(4 * rounds))
  for (let at = 0; at < message.byteLength; at += blockBytes) compress(state, schedule, message, at)
  return Array.from({ length: 8 }, (_, i) => wordOf(state, i).toString(16).padStart(8, '0')).join('')
}

/** Consecutive 32-bit words: a typed view has a value at each index, which the type of an array does not say. */
function words(values: readonly number[]): DataView {
  const view = new DataView(new ArrayBuffer(4 * values.length))
  for (const [i, value] of values.entries()) setWord(view, i, value)
  return view
}

function wordOf(view: DataView, i: number): number {
  return view.getUint32(4 * i)
}

function setWord(view: DataView, i: number, value: number): void {
  view.setUint32(4 * i, value)
}

/** The text, a set bit, zero bits up to the block size, and the length. */
function padded(bytes: Uint8Array): DataView {
  const blocks = Math.ceil((bytes.length + 1 + lengthBytes) / blockBytes)
  const whole = new Uint8Array(blocks * blockBytes)
  whole.set(bytes)
  whole[bytes.length] = 0x80
  const view = new DataView(whole.buffer)
  view.setBigUint64(whole.length - lengthBytes, BigInt(bytes.length) * 8n)
  return view
}

/** Compresses the block at `at` into the state; letters are those of the standard (section 6.2.2). */
function compress(state: DataView, w: DataView, message: DataView, at: number): void {
  for (let t = 0; t < 16; t++) setWord(w, t, message.getUint32(at + 4 * t))
  for (let t = 16; t < rounds; t++) {
    const [x, y] = [wordOf(w, t - 15), wordOf(w, t - 2)]
    const s0 = turn(x, 7) ^ turn(x, 18) ^ (x >>> 3)
    const s1 = turn(y, 17) ^ turn(y, 19) ^ (y >>> 10)
    setWord(w, t, wordOf(w, t - 16) + s0 + wordOf(w, t - 7) + s1)
  }
  const before = (i: number) => wordOf(state, i)
  let [a, b, c, d, e, f, g, h] = [
    before(0),
    before(1),
    before(2),
    before(3),
    before(4),
    before(5),
    before(6),
    before(7),
  ]
  for (let t = 0; t < rounds; t++) {
    const s1 = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)
    const t1 = h + s1 + ((e & f) ^ (~e & g)) + wordOf(constants, t) + wordOf(w, t)
    const s0 = turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)
    const t2 = s0 + ((a & b) ^ (a & c) ^ (b & c))
    ;[a, b, c, d, e, f, g, h] = [(t1 + t2) | 0, a, b, c, (d + t1) | 0, e, f, g]
  }
  for (const [i, word] of [a, b, c, d, e, f, g, h].entries()) setWord(state, i, before(i) + word)
}

/** Rotates 32 bits to the right. */
function turn(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits))
}

/** The first `count` prime numbers. */
function primes(count: number): number[] {
  const found: number[] = []
  for (let n = 2; found.length < count; n++) if (found.every((prime) => n % prime !== 0)) found.push(n)
  return found
}

/** The first 32 bits of the fraction of a root. A double has 14 more, which no engine's rounding reaches. */
function fraction(root: number): number {
  return (root % 1) * 2 ** 32
}

const constants = words(primes(rounds).map((prime) => fraction(Math.cbrt(prime))))
const initial = words(primes(8).map((prime) => fraction(Math.sqrt(prime))))
