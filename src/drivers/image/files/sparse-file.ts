import { createHash } from 'node:crypto'
import { type FileHandle, open, rm } from 'node:fs/promises'
import { Fault } from '#base/fault.ts'
import type { Room } from './room.ts'

/** Blocks of zeros of this size take no room, bytes: that of a page. */
const blockBytes = 4096
const zeros = Buffer.alloc(blockBytes)

/** How much is written before the room for it is looked at again, bytes. */
const roomCheckBytes = 64 * 2 ** 20

/** A new file of which blocks of zeros are left out; its checksum is that of all it reads as. */
export class SparseFile {
  readonly #file: FileHandle
  readonly #what: string
  readonly #maxBytes: number
  readonly #room: Room
  readonly #hash = createHash('sha256')
  #length = 0
  /** Bytes written since the room was looked at. */
  #unchecked = roomCheckBytes

  private constructor(file: FileHandle, what: string, maxBytes: number, room: Room) {
    this.#file = file
    this.#what = what
    this.#maxBytes = maxBytes
    this.#room = room
  }

  /** Replaces what is there, such as what a killed process has left. */
  static async create(path: string, what: string, maxBytes: number, room: Room): Promise<SparseFile> {
    await rm(path, { force: true })
    return new SparseFile(await open(path, 'wx', 0o600), what, maxBytes, room)
  }

  /** @throws Fault Invalid for more bytes than are taken, Unavailable without room */
  async write(chunk: Buffer): Promise<void> {
    if (this.#length + chunk.length > this.#maxBytes)
      throw new Fault('Invalid', `${this.#what} is larger than ${this.#maxBytes} bytes when unpacked`)
    this.#hash.update(chunk)
    for (let at = 0; at < chunk.length; ) {
      const isZero = isZeroAt(chunk, at, this.#length)
      let end = blockEnd(chunk, at, this.#length)
      while (end < chunk.length && isZeroAt(chunk, end, this.#length) === isZero)
        end = blockEnd(chunk, end, this.#length)
      if (!isZero) await this.#put(chunk.subarray(at, end), this.#length + at)
      at = end
    }
    this.#length += chunk.length
  }

  async #put(bytes: Buffer, position: number): Promise<void> {
    this.#unchecked += bytes.length
    if (this.#unchecked > roomCheckBytes) {
      await this.#room.ensure(bytes.length)
      this.#unchecked = 0
    }
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = await this.#room.guard(() =>
        this.#file.write(bytes, at, bytes.length - at, position + at),
      )
      at += bytesWritten
    }
  }

  /** Puts the file on the disk. Its digest is hexadecimal. */
  async finish(): Promise<Readonly<{ digest: string; bytes: number }>> {
    await this.#room.guard(async () => {
      await this.#file.truncate(this.#length)
      await this.#file.sync()
    })
    await this.close()
    return { digest: this.#hash.digest('hex'), bytes: this.#length }
  }

  async close(): Promise<void> {
    await this.#file.close()
  }
}

/** Where the block of the file that has `chunk[at]` in it ends in the chunk; `start` is the chunk's place in the file. */
function blockEnd(chunk: Buffer, at: number, start: number): number {
  return Math.min(chunk.length, at + blockBytes - ((start + at) % blockBytes))
}

function isZeroAt(chunk: Buffer, at: number, start: number): boolean {
  const end = blockEnd(chunk, at, start)
  return chunk.compare(zeros, 0, end - at, at, end) === 0
}

/** Writes bytes to a new sparse file. */
export async function writeSparse(
  path: string,
  bytes: AsyncIterable<Buffer>,
  { what, maxBytes = Number.POSITIVE_INFINITY, room }: Readonly<{ what: string; maxBytes?: number; room: Room }>,
): Promise<Readonly<{ digest: string; bytes: number }>> {
  const file = await SparseFile.create(path, what, maxBytes, room)
  try {
    for await (const chunk of bytes) await file.write(chunk)
    return await file.finish()
  } finally {
    await file.close()
  }
}
