import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { Fault } from '#base/fault.ts'
import type { DiskImage } from '#core/ports.ts'
import { foreignFormatOf } from './formats.ts'
import { isQcow2, maxHeaderBytes, parseQcow2 } from './qcow2-header.ts'
import { requireAsSeen } from './qemu-img.ts'

/** A disk's size is a multiple of this, bytes: QEMU shows the rest of a shorter file as zeros. */
const sectorBytes = 512

/**
 * Finds out what kind of disk a file is, and refuses what could harm this host: its header first, then QEMU without privileges.
 * What is no qcow2 is raw from now on, whatever a guest writes into a copy of it.
 * @throws Fault Invalid that says why
 */
export async function checkDisk(
  path: string,
  what: string,
  maxVirtualBytes: number,
  signal: AbortSignal,
): Promise<Pick<DiskImage, 'format' | 'virtualBytes'>> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    // Nothing changes it from now on, and QEMU reads it without privileges.
    await file.chmod(0o444)
    const { size } = await file.stat()
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(Math.min(maxHeaderBytes, size)), position: 0 })
    const image = kindOf(buffer.subarray(0, bytesRead), size, what)
    if (image.virtualBytes > maxVirtualBytes)
      throw new Fault(
        'Invalid',
        `${what} is refused: its virtual size is ${image.virtualBytes} bytes; at most ${maxVirtualBytes} are taken`,
      )
    await requireAsSeen(file, { what, ...image }, signal)
    return image
  } finally {
    await file.close()
  }
}

function kindOf(head: Buffer, size: number, what: string): Pick<DiskImage, 'format' | 'virtualBytes'> {
  if (size === 0) throw new Fault('Invalid', `${what} is refused: it is empty`)
  if (isQcow2(head)) {
    const header = parseQcow2(head, size)
    if ('problem' in header) throw new Fault('Invalid', `${what} is refused: ${header.problem}`)
    if (header.virtualBytes === 0) throw new Fault('Invalid', `${what} is refused: its virtual size is 0`)
    return { format: 'qcow2', virtualBytes: header.virtualBytes }
  }
  const foreign = foreignFormatOf(head)
  if (foreign !== undefined)
    throw new Fault(
      'Invalid',
      `${what} is refused: unsupported image format: ${foreign}; only qcow2 and raw are taken (qemu-img convert -O qcow2 makes one)`,
    )
  return { format: 'raw', virtualBytes: Math.ceil(size / sectorBytes) * sectorBytes }
}
