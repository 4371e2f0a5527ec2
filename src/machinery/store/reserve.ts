import { closeSync, existsSync, ftruncateSync, openSync, statfsSync, statSync, truncateSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { systemCode } from '#base/fault.ts'

const mebibyte = 1024 * 1024

/** What one giving up makes room for: a log of SQLite between two checkpoints (4 MB). */
const pieceBytes = 4 * mebibyte
const pieces = 4

/** Room that has to be left on the disk for the reserve to be taken again, bytes: else it would be full at once. */
const marginBytes = pieceBytes

/**
 * A file that holds nothing but room. When the disk is full it is given up piece by piece, so that objects can still be
 * deleted and history forgotten; it is taken again when there is room. Synchronous; lives in the worker.
 */
export class Reserve {
  readonly #path: string
  #pieces: number

  /** Takes as much as there is room for. */
  constructor(path: string) {
    this.#path = path
    this.#pieces = existsSync(path) ? Math.min(pieces, Math.floor(statSync(path).size / pieceBytes)) : 0
    this.take()
  }

  /** Whether all of it is there: else the disk is as good as full. */
  get isWhole(): boolean {
    return this.#pieces === pieces
  }

  /** Frees a piece for the next write; returns whether there was one, and the disk is what is full. */
  give(): boolean {
    if (this.#pieces === 0 || this.#room() >= pieceBytes) return false
    truncateSync(this.#path, --this.#pieces * pieceBytes)
    return true
  }

  /** Takes what is missing, as far as there is room for it. */
  take(): void {
    while (!this.isWhole && this.#room() >= pieceBytes + marginBytes && this.#takePiece()) this.#pieces++
  }

  #takePiece(): boolean {
    const file = openSync(this.#path, 'a', 0o600)
    try {
      ftruncateSync(file, this.#pieces * pieceBytes)
      // Zeros that are written take room; those of a hole would not.
      const zeros = Buffer.alloc(mebibyte)
      for (let written = 0; written < pieceBytes; ) {
        const some = writeSync(file, zeros, 0, Math.min(zeros.length, pieceBytes - written))
        if (some === 0) return false
        written += some
      }
      return true
    } catch (error) {
      // Another call has done it.
      if (['ENOSPC', 'EDQUOT'].includes(systemCode(error) ?? '')) return false
      throw error
    } finally {
      closeSync(file)
    }
  }

  /** Bytes that this user may still write on the disk. */
  #room(): number {
    const { bavail, bfree, bsize } = statfsSync(dirname(this.#path))
    return (process.getuid?.() === 0 ? bfree : bavail) * bsize
  }
}
