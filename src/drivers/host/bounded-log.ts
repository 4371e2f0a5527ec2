import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** Size from which a log is cut, and what is kept of its end, bytes. */
const maxBytes = 1024 * 1024
const keptBytes = 64 * 1024
/** Part of its beginning that is kept: QEMU's log says there that a guest was started, and how. */
const headBytes = 16 * 1024

/** Keeps the logs of a sandbox's libvirtd and QEMU small. */
export async function boundLogs(sandbox: string): Promise<void> {
  const logs = join(sandbox, 'var/log/libvirt')
  const files = await readdir(join(logs, 'qemu')).catch(() => [])
  for (const path of [join(logs, 'libvirtd.log'), ...files.map((file) => join(logs, 'qemu', file))])
    await boundLog(path)
}

/**
 * Cuts a log that another process goes on appending to: its beginning and its end are kept. None is fine. What is written in
 * the moment of the cut may be lost.
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

/** The beginning and the end of a log that may be large; the whole of a small one, nothing of one that is not there. */
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
