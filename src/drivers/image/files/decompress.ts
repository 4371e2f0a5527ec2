import { type FileHandle, open } from 'node:fs/promises'
import type { Transform } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { Fault } from '#base/fault.ts'
import { endOf, programFault, spawnLimited } from './limited.ts'

/** A form of compression; undefined is none. */
type Compression = 'gzip' | 'zstd' | 'xz' | undefined

const magics = [
  ['gzip', Buffer.from('1f8b', 'hex')],
  ['zstd', Buffer.from('28b52ffd', 'hex')],
  ['xz', Buffer.from('fd377a585a00', 'hex')],
] as const

/** Pieces of this size come out, bytes. */
const chunkSize = 256 * 1024

/** A dictionary of xz may take gigabytes; images are packed with at most 64 MiB. */
const xzLimits = { memoryBytes: 2 ** 30, cpuSeconds: 3600 }
const xzMemory = '512MiB'

/** The compression of a file, by how it begins. */
export function compressionOf(head: Buffer): Compression {
  return magics.find(([, magic]) => head.subarray(0, magic.length).equals(magic))?.[0]
}

/** The bytes of a file that may be compressed, as they were before. @throws Fault Invalid for a damaged file */
export async function* plainBytesOf(path: string, what: string, signal: AbortSignal): AsyncGenerator<Buffer> {
  const file = await open(path, 'r')
  try {
    const { buffer } = await file.read({ buffer: Buffer.alloc(8), position: 0 })
    yield* through(compressionOf(buffer), file, what, signal)
  } finally {
    await file.close()
  }
}

function through(
  compression: Compression,
  file: FileHandle,
  what: string,
  signal: AbortSignal,
): AsyncGenerator<Buffer> | AsyncIterable<Buffer> {
  if (compression === 'xz') return throughXz(file, what, signal)
  if (compression === 'gzip') return throughTransform(file, createGunzip({ chunkSize }), what, signal)
  if (compression === 'zstd') return throughTransform(file, createZstdDecompress({ chunkSize }), what, signal)
  return file.createReadStream({ start: 0, autoClose: false, highWaterMark: chunkSize, signal })
}

async function* throughTransform(
  file: FileHandle,
  transform: Transform,
  what: string,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const source = file.createReadStream({ start: 0, autoClose: false, highWaterMark: chunkSize })
  source.on('error', (error) => transform.destroy(error))
  const stop = () => transform.destroy(signal.reason)
  signal.addEventListener('abort', stop)
  try {
    signal.throwIfAborted()
    yield* source.pipe(transform)
  } catch (cause) {
    signal.throwIfAborted()
    throw new Fault('Invalid', `${what} is damaged: it cannot be unpacked`, { cause })
  } finally {
    signal.removeEventListener('abort', stop)
    transform.destroy()
    await ended(source)
  }
}

/** The file must not be closed while a read is under way. */
function ended(source: ReturnType<FileHandle['createReadStream']>): Promise<void> {
  if (source.closed) return Promise.resolve()
  const { promise, resolve } = Promise.withResolvers<void>()
  source.once('close', resolve)
  source.destroy()
  return promise
}

async function* throughXz(file: FileHandle, what: string, signal: AbortSignal): AsyncGenerator<Buffer> {
  const command = ['xz', '--decompress', '--stdout', '--threads=1', `--memlimit-decompress=${xzMemory}`]
  const child = spawnLimited(command, file.fd, xzLimits)
  const end = endOf(child)
  end.catch(() => undefined)
  const stop = () => child.process.kill('SIGKILL')
  signal.addEventListener('abort', stop)
  try {
    signal.throwIfAborted()
    yield* child.stdout
    const { code, said } = await end
    signal.throwIfAborted()
    if (code !== 0) throw programFault('xz', what, { code, said })
  } finally {
    signal.removeEventListener('abort', stop)
    child.process.kill('SIGKILL')
  }
}
