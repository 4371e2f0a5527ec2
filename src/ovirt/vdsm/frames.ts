/** A frame of STOMP 1.2. Of a header that comes more than once the first counts. */
export type Frame = Readonly<{ command: string; headers: ReadonlyMap<string, string>; body: Buffer }>

/** What cannot be read as frames. The connection it came over has no meaning any more. */
export class FrameError extends Error {
  override readonly name = 'FrameError'
}

/** Most bytes of a frame: of its command with its headers, and of its body. */
export type FrameLimits = Readonly<{ headerBytes: number; bodyBytes: number }>

const newline = 0x0a
const carriageReturn = 0x0d
const end = 0x00
/** Memory that is kept between frames, bytes. */
const keptBytes = 16 * 1024

/** These two are not escaped, so that servers of version 1.0 can read them. */
const isPlain = (command: string) => command === 'CONNECT' || command === 'CONNECTED'

const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', ':': '\\c' }
const unescapes: Readonly<Record<string, string>> = { '\\\\': '\\', '\\n': '\n', '\\r': '\r', '\\c': ':' }

/** A head that was read, and where the body after it is. */
type Head = Readonly<{
  command: string
  headers: ReadonlyMap<string, string>
  bodyAt: number
  length: number | undefined
}>

/**
 * Takes frames out of a stream of bytes, however that is cut. Every byte is looked at once, and memory grows by doubling: many
 * small pieces cost no more than one large one.
 */
export class FrameReader {
  readonly #limits: FrameLimits
  #bytes = Buffer.alloc(0)
  #length = 0
  /** Where the frame under way begins. */
  #start = 0
  /** Up to where its end was looked for. */
  #seen = 0
  #head: Head | undefined

  constructor(limits: FrameLimits) {
    this.#limits = limits
  }

  /** Bytes that are held of a frame that has not ended. */
  get pendingBytes(): number {
    return this.#length - this.#start
  }

  /** The frames that end in the next piece of the stream. @throws FrameError; then nothing more can be read */
  push(piece: Buffer): Frame[] {
    this.#append(piece)
    const frames: Frame[] = []
    for (let frame = this.#next(); frame; frame = this.#next()) frames.push(frame)
    this.#forget()
    return frames
  }

  #append(piece: Buffer): void {
    const needed = this.#length + piece.length
    if (needed > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2))
      this.#bytes.copy(larger, 0, 0, this.#length)
      this.#bytes = larger
    }
    piece.copy(this.#bytes, this.#length)
    this.#length = needed
  }

  /** Drops what was read; a large frame's memory does not stay with its connection. */
  #forget(): void {
    if (this.#start === 0) return
    const left = this.#bytes.subarray(this.#start, this.#length)
    if (this.#bytes.length > keptBytes) this.#bytes = Buffer.from(left)
    else this.#bytes.copyWithin(0, this.#start, this.#length)
    if (this.#head) this.#head = { ...this.#head, bodyAt: this.#head.bodyAt - this.#start }
    this.#seen -= this.#start
    this.#length -= this.#start
    this.#start = 0
  }

  #next(): Frame | undefined {
    this.#head ??= this.#readHead()
    const head = this.#head
    if (!head) return undefined
    const { command, headers, bodyAt } = head
    const bodyEnd = this.#bodyEnd(head)
    if (bodyEnd === undefined) return undefined
    // A copy, because the memory is used again.
    const body = Buffer.from(this.#bytes.subarray(bodyAt, bodyEnd))
    this.#begin(bodyEnd + 1)
    return { command, headers, body }
  }

  #begin(at: number): void {
    this.#start = at
    this.#seen = at
    this.#head = undefined
  }

  #readHead(): Head | undefined {
    this.#skipNewlines()
    const { headerBytes } = this.#limits
    // It may become a newline between frames.
    if (this.pendingBytes === 1 && this.#bytes[this.#start] === carriageReturn) return undefined
    for (let at = this.#seen; at < this.#length; at++) {
      if (this.#bytes[at] === end) throw new FrameError('a frame ends before the empty line after its headers')
      if (this.#bytes[at] !== newline || !this.#isEmptyLine(at)) continue
      if (at + 1 - this.#start > headerBytes) break
      const head = headOf(this.#bytes.toString('utf8', this.#start, at), at + 1)
      if (head.length !== undefined && head.length > this.#limits.bodyBytes) throw this.#tooLong()
      this.#seen = at + 1
      return head
    }
    this.#seen = this.#length
    if (this.#length - this.#start > headerBytes)
      throw new FrameError(`the headers of a frame have more than ${headerBytes} bytes`)
    return undefined
  }

  /** Newlines between frames are heart-beats. */
  #skipNewlines(): void {
    if (this.#seen !== this.#start) return
    let at = this.#start
    while (at < this.#length) {
      if (this.#bytes[at] === newline) at += 1
      // What is behind the last byte is of another frame.
      else if (this.#bytes[at] === carriageReturn && at + 1 < this.#length && this.#bytes[at + 1] === newline) at += 2
      else break
    }
    this.#begin(at)
  }

  /** Whether the line that a newline ends is empty. */
  #isEmptyLine(at: number): boolean {
    const before = this.#bytes[at - 1] === carriageReturn ? at - 2 : at - 1
    return before > this.#start && this.#bytes[before] === newline
  }

  #bodyEnd({ bodyAt, length }: Head): number | undefined {
    if (length !== undefined) {
      const at = bodyAt + length
      if (this.#length <= at) return undefined
      if (this.#bytes[at] !== end) throw new FrameError('a body is longer than its content-length')
      return at
    }
    const found = this.#bytes.subarray(0, this.#length).indexOf(end, Math.max(this.#seen, bodyAt))
    this.#seen = this.#length
    const size = (found < 0 ? this.#length : found) - bodyAt
    if (size > this.#limits.bodyBytes) throw this.#tooLong()
    return found < 0 ? undefined : found
  }

  #tooLong(): FrameError {
    return new FrameError(`the body of a frame has more than ${this.#limits.bodyBytes} bytes`)
  }
}

/** @throws FrameError */
function headOf(text: string, bodyAt: number): Head {
  const [command = '', ...lines] = text.split('\n').map((line) => line.replace(/\r$/, ''))
  if (!/^[A-Z]{1,16}$/.test(command)) throw new FrameError('a frame does not begin with a command')
  const headers = new Map<string, string>()
  const read = isPlain(command) ? (one: string) => one : unescaped
  for (const line of lines.filter(Boolean)) {
    const colon = line.indexOf(':')
    if (colon <= 0) throw new FrameError(`a header of ${command} has no name before a colon`)
    const name = read(line.slice(0, colon))
    if (!headers.has(name)) headers.set(name, read(line.slice(colon + 1)))
  }
  const length = headers.get('content-length')
  if (length !== undefined && !/^\d{1,15}$/.test(length))
    throw new FrameError('content-length is not a number of bytes')
  return { command, headers, bodyAt, length: length === undefined ? undefined : Number(length) }
}

/** @throws FrameError for an escape that STOMP has not. A colon in a value is taken as it is. */
function unescaped(text: string): string {
  return text.replaceAll(/\\[\s\S]?/g, (two) => {
    const letter = unescapes[two]
    if (letter === undefined) throw new FrameError('a header has a backslash that escapes nothing')
    return letter
  })
}

/** A frame as bytes; one with a body says how long that is. */
export function frameBytes(command: string, headers: Readonly<Record<string, string>>, body = ''): Buffer {
  const content = Buffer.from(body)
  const all = content.length ? { ...headers, 'content-length': String(content.length) } : headers
  const write = isPlain(command)
    ? (text: string) => text
    : (text: string) => text.replaceAll(/[\\\n\r:]/g, (letter) => escapes[letter] ?? letter)
  const lines = Object.entries(all).map(([name, value]) => `${write(name)}:${write(value)}\n`)
  return Buffer.concat([Buffer.from(`${command}\n${lines.join('')}\n`), content, Buffer.of(end)])
}
