import { createHash, type Hash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { Fault } from '#base/fault.ts'
import { delay } from '#base/wait.ts'
import { isNoRoom, type Room } from '../files/room.ts'
import { type Answer, bodyOf, nameOf, statusFault } from './http-client.ts'

/** What a download has to be; what is absent is not checked. */
export type Expected = Readonly<{
  /** For humans. */
  what: string
  bytes?: number
  maxBytes: number
  algorithm?: string
  /** Hexadecimal. */
  digest?: string
}>

/** Where a download comes from. `from` is the first byte wanted; `validator` says of which version the bytes before it are. */
export type Source = (from: number, validator: string | undefined) => Promise<Answer>

export type DownloadOptions = Readonly<{
  room: Room
  signal: AbortSignal
  onProgress?: (done: number, total: number | undefined) => void
  /** Times to wait before the next try, milliseconds; a try that brought bytes starts them again. */
  backoffMs?: readonly number[]
}>

const usualBackoffMs = [500, 1000, 2000, 4000]

/**
 * Downloads into the file `path`. What is there already is the begin of it, if `validator` says so or its digest is known
 * beforehand. A connection that breaks is made again and goes on where it broke.
 * @throws Fault Invalid for wrong bytes, and the faults of the source
 */
export async function download(
  path: string,
  source: Source,
  expected: Expected,
  options: DownloadOptions,
): Promise<number> {
  const file = await open(path, 'a+', 0o600)
  try {
    const part = new Part(file, expected, options)
    await part.begin()
    await withTries(part, () => part.fill(source), options)
    return await part.finish()
  } finally {
    await file.close()
  }
}

/** Tries again after failures that may pass. */
async function withTries(part: Part, attempt: () => Promise<void>, options: DownloadOptions): Promise<void> {
  const { signal, backoffMs = usualBackoffMs } = options
  for (let failures = 0; ; failures++) {
    const before = part.length
    try {
      return await attempt()
    } catch (error) {
      if (signal.aborted || !mayPass(error)) throw error
      if (part.length > before) failures = 0
      const wait = backoffMs[failures]
      if (wait === undefined) throw error
      await delay(wait, signal)
    }
  }
}

/** Whether another try may help. A full disk stays full. */
function mayPass(error: unknown): boolean {
  return error instanceof Fault && (error.kind === 'Unavailable' || error.kind === 'Timeout') && !isNoRoom(error)
}

/** A file that fills. */
class Part {
  length = 0
  readonly #file: FileHandle
  readonly #expected: Expected
  readonly #options: DownloadOptions
  #hash: Hash | undefined
  #validator: string | undefined

  constructor(file: FileHandle, expected: Expected, options: DownloadOptions) {
    this.#file = file
    this.#expected = expected
    this.#options = options
  }

  /** Takes what an earlier process has left. Without a digest nothing says that it belongs to this download. */
  async begin(): Promise<void> {
    const { digest, algorithm } = this.#expected
    if (digest === undefined || algorithm === undefined) return this.#restart()
    this.#hash = createHash(algorithm)
    for await (const chunk of this.#file.createReadStream({
      start: 0,
      autoClose: false,
      signal: this.#options.signal,
    })) {
      this.#hash.update(chunk)
      this.length += chunk.length
    }
    if (this.length > (this.#expected.bytes ?? Number.POSITIVE_INFINITY)) await this.#restart()
  }

  async #restart(): Promise<void> {
    await this.#file.truncate(0)
    const { digest, algorithm } = this.#expected
    this.#hash = digest !== undefined && algorithm !== undefined ? createHash(algorithm) : undefined
    this.length = 0
  }

  /** One connection's worth of bytes. */
  async fill(source: Source): Promise<void> {
    if (this.length === this.#expected.bytes) return
    // Nothing would show that the rest belongs to what is here.
    if (this.#validator === undefined && this.#expected.digest === undefined) await this.#restart()
    const answer = await source(this.length, this.#validator)
    try {
      const total = await this.#accept(answer)
      if (total === 'complete') return
      await this.#append(answer, total)
    } finally {
      answer.body.destroy()
    }
  }

  /** The size of the whole, as far as known. */
  async #accept({ status, headers, url }: Answer): Promise<number | undefined | 'complete'> {
    const { what, bytes } = this.#expected
    const [, start, size] = /^bytes (\d*)(?:-\d+)?\/(\d+|\*)$/.exec(headers['content-range'] ?? '') ?? []
    if (status === 416 && this.length > 0) {
      if (/\/(\d+)$/.exec(headers['content-range'] ?? '')?.[1] === String(this.length)) return 'complete'
      await this.#restart()
      throw new Fault('Unavailable', `${nameOf(url)} has changed while it was downloaded`)
    }
    if (status === 206 && Number(start) !== this.length)
      throw new Fault('Invalid', `${what} cannot be read: ${url.host} sent another part of it than was asked for`)
    if (status !== 206 && status !== 200) throw statusFault(what, status)
    if (status === 200) await this.#restart()
    this.#validator = validatorOf(headers)
    const length = headers['content-length']
    const total = status === 206 ? sizeOf(size) : sizeOf(length)
    if (total !== undefined) await this.#require(total)
    return total ?? bytes
  }

  async #require(total: number): Promise<void> {
    const { what, bytes, maxBytes } = this.#expected
    if (bytes !== undefined && bytes !== total)
      throw new Fault('Invalid', `${what} has ${total} bytes and should have ${bytes}`)
    if (total > maxBytes) throw new Fault('Invalid', `${what} has ${total} bytes; at most ${maxBytes} are taken`)
    await this.#options.room.ensure(total - this.length)
  }

  async #append(answer: Answer, total: number | undefined): Promise<void> {
    const { what, bytes, maxBytes } = this.#expected
    const { signal, onProgress } = this.#options
    onProgress?.(this.length, total)
    let unchecked = 0
    for await (const chunk of bodyOf(answer, signal)) {
      if (this.length + chunk.length > (bytes ?? maxBytes))
        throw new Fault('Invalid', `${what} is larger than ${bytes ?? maxBytes} bytes`)
      unchecked += chunk.length
      if (total === undefined && unchecked > roomCheckBytes) {
        await this.#options.room.ensure(unchecked)
        unchecked = 0
      }
      await this.#write(chunk)
      onProgress?.(this.length, total)
    }
    if (total !== undefined && this.length < total)
      throw new Fault('Unavailable', `The download of ${what} broke off after ${this.length} of ${total} bytes`)
  }

  async #write(chunk: Buffer): Promise<void> {
    await this.#options.room.guard(() => this.#file.appendFile(chunk))
    this.#hash?.update(chunk)
    this.length += chunk.length
  }

  /** Checks the whole. */
  async finish(): Promise<number> {
    const { what, digest, bytes } = this.#expected
    if (bytes !== undefined && bytes !== this.length)
      throw new Fault('Invalid', `${what} has ${this.length} bytes and should have ${bytes}`)
    const actual = this.#hash?.digest('hex')
    if (actual === digest) return this.length
    // The next try must not begin with wrong bytes.
    await this.#file.truncate(0)
    throw new Fault('Invalid', `${what} has the checksum ${actual} and should have ${digest}`)
  }
}

/** How much is written before the room for it is looked at again, bytes, where the size is not known. */
const roomCheckBytes = 64 * 2 ** 20

function sizeOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

/** A strong validator, by which a server sees that a part belongs to what it has. */
function validatorOf(headers: Answer['headers']): string | undefined {
  const { etag } = headers
  return etag !== undefined && !etag.startsWith('W/') ? etag : headers['last-modified']
}
