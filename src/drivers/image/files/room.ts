import { statfs } from 'node:fs/promises'
import { Fault, systemCode } from '#base/fault.ts'

/** Free space that downloads leave to everything else on the file system, bytes: at most this much, or this part of it. */
const mostReserve = 2 ** 30
const reservedPart = 0.05

/** The free space of a folder's file system. */
export class Room {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  /** @throws Fault Unavailable unless there is room for so many bytes, and a reserve besides */
  async ensure(bytes: number): Promise<void> {
    const { bavail, blocks, bsize } = await statfs(this.#folder)
    const reserve = Math.min(mostReserve, blocks * bsize * reservedPart)
    const free = Math.max(0, Math.floor(bavail * bsize - reserve))
    if (bytes <= free) return
    throw new Fault(
      'Unavailable',
      `There is no room for the image in ${this.#folder}: it takes ${bytes} bytes more, and ${free} are free (${Math.ceil(reserve)} are kept for everything else); free some space there, or remove images by: patchbay image prune`,
      { data: noRoom },
    )
  }

  /** Does work that writes; a full disk becomes a sentence. @throws Fault Unavailable when the disk is full */
  async guard<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (cause) {
      const code = systemCode(cause)
      if (code !== 'ENOSPC' && code !== 'EDQUOT') throw cause
      throw new Fault(
        'Unavailable',
        `The disk of ${this.#folder} is full; free some space there, or remove images by: patchbay image prune`,
        { cause, data: noRoom },
      )
    }
  }
}

const noRoom = { reason: 'NoRoom' }

/** Whether a failure is that of a full disk. */
export function isNoRoom({ data }: Fault): boolean {
  return data.reason === noRoom.reason
}
