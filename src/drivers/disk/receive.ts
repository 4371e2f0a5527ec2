import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Fault } from '#base/fault.ts'
import type { Upload } from '#core/disk/upload.ts'
import type { DiskImage } from '#core/ports.ts'
import { checkDisk } from '../image/check/check.ts'
import { plainBytesOf } from '../image/files/decompress.ts'
import type { Room } from '../image/files/room.ts'
import { writeSparse } from '../image/files/sparse-file.ts'

/** What a file of an image may be larger than its disk, bytes: tables of qcow2. */
const moreBytes = 64 * 2 ** 20
/** How much is written before the room for it is looked at again, bytes. */
const roomCheckBytes = 64 * 2 ** 20

const what = 'The uploaded image'
const parts = ['upload.part', 'upload.disk']

type Received = Readonly<{ file: string; format: DiskImage['format']; virtualBytes: number }>

/**
 * Writes an upload into a folder, unpacks and checks it as a download is checked. `diskBytes` is the size of the disk that it is for.
 * @throws Fault Invalid, Unavailable, Aborted
 */
export async function receive(
  { body, bytes }: Upload,
  folder: string,
  how: Readonly<{ diskBytes: number; room: Room; onProgress: (part: number) => void; signal: AbortSignal }>,
): Promise<Received> {
  const { diskBytes, room, onProgress, signal } = how
  const maxBytes = diskBytes + moreBytes
  const [part, file] = parts.map((name) => join(folder, name)) as [string, string]
  requireSize(bytes ?? 0, maxBytes)
  await room.ensure(bytes ?? 0)
  let length = 0
  let unchecked = 0
  await using handle = await open(part, 'wx', 0o600)
  for await (const chunk of body) {
    signal.throwIfAborted()
    length += chunk.length
    unchecked += chunk.length
    requireSize(length, maxBytes)
    if (unchecked > roomCheckBytes) {
      await room.ensure(bytes === undefined ? unchecked : bytes - length)
      unchecked = 0
    }
    await room.guard(() => handle.appendFile(chunk))
    if (bytes) onProgress(length / bytes)
  }
  if (bytes !== undefined && length !== bytes)
    throw new Fault('Aborted', `${what} broke off after ${length} of ${bytes} bytes`)
  await writeSparse(file, plainBytesOf(part, what, signal), { what, maxBytes, room })
  await rm(part)
  return { file, ...(await checkDisk(file, what, Number.MAX_SAFE_INTEGER, signal)) }
}

/** Removes what an upload has left. */
export async function discard(folder: string): Promise<void> {
  for (const name of parts) await rm(join(folder, name), { force: true })
}

function requireSize(bytes: number, maxBytes: number): void {
  if (bytes > maxBytes)
    throw new Fault('Invalid', `${what} is larger than the disk that it is for; make a larger DataVolume`)
}
