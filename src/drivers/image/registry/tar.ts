import { Fault } from '#base/fault.ts'

/** An entry of an archive. The path has neither a slash at its begin nor `.` or `..` in it. */
export type TarEntry = Readonly<{ path: string; isFile: boolean; size: number }>

/** What takes the content of an entry. */
export type Sink = Readonly<{ write(chunk: Buffer): Promise<void> }>

const blockBytes = 512
/** Longest name or extended header that is taken, bytes. */
const maxHeaderBytes = 1024 * 1024
/** Most entries of an archive: more than any system has files that are put into one layer. */
const maxEntries = 2_000_000
/** Entries that have no content, whatever size they say: links, devices, folders and pipes. */
const withoutContent = new Set(['1', '2', '3', '4', '5', '6'])
const files = new Set(['0', '\0', '7'])

/** What an extended header says about the next entry. */
type Extended = { path?: string; size?: number; isSparse?: boolean }

/**
 * Reads an archive (ustar, with the names and sizes of pax and GNU), and offers each entry to `visit`, which returns what takes
 * its content. Nothing of it becomes a file here.
 * @throws Fault Invalid for an archive that is damaged or has `..` in a name
 */
export async function readTar(
  bytes: AsyncIterable<Buffer>,
  what: string,
  visit: (entry: TarEntry) => Promise<Sink | undefined>,
): Promise<void> {
  const reader = new Reader(bytes, what)
  try {
    let extended: Extended = {}
    for (let count = 0; ; count++) {
      const header = await reader.header()
      if (!header) return
      if (count === maxEntries) throw damaged(what, `it has more than ${maxEntries} entries`)
      const size = extended.size ?? header.size
      const inside = withoutContent.has(header.type) ? 0 : size
      if (header.type === 'x') extended = { ...extended, ...paxOf(await reader.small(header.size), what) }
      else if (header.type === 'L') extended = { ...extended, path: cString(await reader.small(header.size)) }
      else if (header.type === 'K' || header.type === 'g') await reader.skip(header.size)
      else {
        if (header.type === 'S') throw damaged(what, 'an entry of it is sparse (GNU)')
        const isFile = files.has(header.type) && !extended.isSparse
        const entry = { path: plainPath(extended.path ?? header.path, what), isFile, size: inside }
        await reader.content(inside, await visit(entry))
        extended = {}
      }
    }
  } finally {
    await reader.close()
  }
}

function damaged(what: string, why: string): Fault {
  return new Fault('Invalid', `${what} is no archive that can be read: ${why}`)
}

/** The bytes of an archive, in the pieces that are asked for. */
class Reader {
  readonly #source: AsyncIterator<Buffer>
  readonly #what: string
  #rest: Buffer = Buffer.alloc(0)

  constructor(bytes: AsyncIterable<Buffer>, what: string) {
    this.#source = bytes[Symbol.asyncIterator]()
    this.#what = what
  }

  /** The next header; undefined at the end. */
  async header() {
    // Some archives end without the blocks of zeros that belong there.
    if (this.#rest.length === 0 && !(await this.#more())) return undefined
    const block = await this.#take(blockBytes)
    if (block.every((byte) => byte === 0)) return undefined
    return headerOf(block, this.#what)
  }

  /** The content of a small entry. */
  async small(size: number): Promise<Buffer> {
    if (size > maxHeaderBytes) throw damaged(this.#what, `a header of it has ${size} bytes`)
    const content = Buffer.from(await this.#take(size))
    await this.skip(paddingOf(size), 0)
    return content
  }

  async skip(size: number, padding = paddingOf(size)): Promise<void> {
    await this.#pass(size + padding, undefined)
  }

  async content(size: number, sink: Sink | undefined): Promise<void> {
    await this.#pass(size, sink)
    await this.#pass(paddingOf(size), undefined)
  }

  async #pass(size: number, sink: Sink | undefined): Promise<void> {
    for (let left = size; left > 0; ) {
      if (this.#rest.length === 0 && !(await this.#more())) throw damaged(this.#what, 'it ends too early')
      const piece = this.#rest.subarray(0, left)
      this.#rest = this.#rest.subarray(piece.length)
      left -= piece.length
      await sink?.write(piece)
    }
  }

  async #take(size: number): Promise<Buffer> {
    while (this.#rest.length < size) if (!(await this.#more())) throw damaged(this.#what, 'it ends too early')
    const piece = this.#rest.subarray(0, size)
    this.#rest = this.#rest.subarray(size)
    return piece
  }

  async #more(): Promise<boolean> {
    const { value, done } = await this.#source.next()
    if (done) return false
    this.#rest = this.#rest.length ? Buffer.concat([this.#rest, value]) : value
    return true
  }

  async close(): Promise<void> {
    await this.#source.return?.()
  }
}

function paddingOf(size: number): number {
  return (blockBytes - (size % blockBytes)) % blockBytes
}

/** The fields of a header, at the places of POSIX. */
function headerOf(block: Buffer, what: string): Readonly<{ path: string; size: number; type: string }> {
  const sum = block.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : byte), 0)
  if (numberOf(block.subarray(148, 156)) !== sum) throw damaged(what, 'the checksum of a header is wrong')
  const name = cString(block.subarray(0, 100))
  // GNU has other things there.
  const isPosix = block.toString('latin1', 257, 263) === 'ustar\0'
  const prefix = isPosix ? cString(block.subarray(345, 500)) : ''
  const size = numberOf(block.subarray(124, 136))
  if (!Number.isSafeInteger(size) || size < 0) throw damaged(what, 'the size of an entry is wrong')
  return { path: prefix ? `${prefix}/${name}` : name, size, type: block.toString('latin1', 156, 157) }
}

/** An octal number, or one of GNU's in base 256. NaN for anything else. */
function numberOf(field: Buffer): number {
  if (((field[0] ?? 0) & 0x80) !== 0) {
    if (field[0] !== 0x80) return Number.NaN
    return field.subarray(1).reduce((value, byte) => value * 256 + byte, 0)
  }
  const text = field
    .toString('latin1')
    .replace(/^ +/, '')
    .replace(/[ \0].*$/s, '')
  return /^[0-7]*$/.test(text) ? Number.parseInt(text || '0', 8) : Number.NaN
}

function cString(bytes: Buffer): string {
  const end = bytes.indexOf(0)
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end)
}

/** The records `LENGTH KEY=VALUE\n` of an extended header. */
function paxOf(bytes: Buffer, what: string): Extended {
  const extended: Extended = {}
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at)
    const length = Number(bytes.toString('latin1', at, Math.max(at, space)))
    const isWhole = space > 0 && Number.isSafeInteger(length) && length > space - at && at + length <= bytes.length
    if (!isWhole) throw damaged(what, 'an extended header is wrong')
    const record = bytes.toString('utf8', space + 1, at + length - 1)
    const [key, value] = [record.slice(0, record.indexOf('=')), record.slice(record.indexOf('=') + 1)]
    if (key === 'path') extended.path = value
    if (key === 'size') extended.size = paxSize(value, what)
    if (key.startsWith('GNU.sparse.')) extended.isSparse = true
    at += length
  }
  return extended
}

function paxSize(text: string, what: string): number {
  const size = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(size)) throw damaged(what, 'the size of an entry is wrong')
  return size
}

/** @throws Fault Invalid for a path that leads out of the archive */
function plainPath(path: string, what: string): string {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.')
  if (parts.includes('..') || path.includes('\0'))
    throw damaged(what, `the name ${JSON.stringify(path.slice(0, 200))} leads out of it`)
  return parts.join('/')
}
