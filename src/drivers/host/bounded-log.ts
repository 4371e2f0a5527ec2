import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** Size above which a log is cut, and how much of its end is kept, bytes. */
const maxBytes = 1024 * 1024
const keptBytes = 64 * 1024
/** How much of its beginning is kept, bytes: there QEMU's log records the start of a guest. */
const headBytes = 16 * 1024

/** Cuts the logs of a sandbox's libvirtd and QEMU. */
export async function boundLogs(sandbox: string): Promise<void> {
  const logs = join(sandbox, 'var/log/libvirt')
  const files = await readdir(join(logs, 'qemu')).catch(() => [])
  for (const path of [join(logs, 'libvirtd.log'), ...files.map((file) => join(logs, 'qemu', file))])
    await boundLog(path)
}

/**
 * Cuts a log to which another process appends: its beginning and its end are kept. A missing file is no error. Lines written
 * during the cut may be lost.
 */
export async function boundLog(path: string): Promise<void> {
  const file = await openIfAny(path, 'r+')
  if (!file) return
  try {
    const { size } = await file.stat()
    if (size <= maxBytes) return
    const kept = Buffer.concat([
      await part(file, 0, headBytes),
      Buffer.from('\n[cut]\n'),
      await part(file, size - keptBytes),
    ])
    await file.truncate(0)
    await file.write(kept, 0, kept.length, 0)
  } finally {
    await file.close()
  }
}

/** The beginning and the end of a log; the whole of a small one, and an empty text for a missing one. */
export async function readLogEnds(path: string): Promise<string> {
  const file = await openIfAny(path, 'r')
  if (!file) return ''
  try {
    const { size } = await file.stat()
    if (size <= headBytes + keptBytes) return (await part(file, 0)).toString()
    return `${await part(file, 0, headBytes)}\n${await part(file, size - keptBytes)}`
  } finally {
    await file.close()
  }
}

type File = Awaited<ReturnType<typeof open>>

async function part(file: File, from: number, length = maxBytes): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, from)
  return buffer.subarray(0, bytesRead)
}

async function openIfAny(path: string, flags: string): Promise<File | undefined> {
  try {
    return await open(path, flags)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
