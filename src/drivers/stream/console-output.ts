import { type FSWatcher, watch } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Fault, systemCode } from '#base/fault.ts'

/** The files that a sandbox keeps its guest's output in: the newer one becomes the older one when it is full (sandbox.sh). */
const newer = 'console.log'
const older = 'console.log.1'

/** How much is shown of what was printed before: bytes, and lines of these. */
export type Tail = Readonly<{ tail: number; tailLines?: number }>

const newline = 0x0a

/** Most bytes of a chunk. */
const chunkBytes = 64 * 1024

/**
 * The output of a guest's serial console, from the last bytes or lines on, as its sandbox writes it down in the folder `run`. The
 * reader decides how fast: what it has not read yet waits in the files, so that a slow one costs no memory; one that is slower
 * than both files are filled misses what was in between. Ends when the folder is gone or the signal aborts.
 * @throws Fault NotFound without the folder, Unavailable when it cannot be watched
 */
export async function followConsole(run: string, tail: Tail, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  const follower = new Follower(run, tail)
  const stop = () => follower.stop()
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  const done = async () => {
    signal.removeEventListener('abort', stop)
    await follower.close()
  }
  try {
    // What is printed from here on is no past.
    await follower.begin()
  } catch (error) {
    await done()
    throw error
  }
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        try {
          const chunk = await follower.next()
          if (chunk) return controller.enqueue(chunk)
          await done()
          controller.close()
        } catch (error) {
          await done()
          throw error
        }
      },
      cancel: async () => {
        follower.stop()
        await done()
      },
    },
    { highWaterMark: 0 },
  )
}

/** A file that is being read. It is the same one when it has another name. */
type Reading = { readonly file: FileHandle; readonly inode: number; position: number }

class Follower {
  readonly #run: string
  readonly #tail: Tail
  #hasBegun = false
  readonly #watcher: FSWatcher
  #current: Reading | undefined
  /** What is read before the current file. */
  #before: Uint8Array | undefined
  #isStopped = false
  /** Whether something has changed since it was last looked. */
  #isChanged = true
  #wake = () => {}

  constructor(run: string, tail: Tail) {
    this.#run = run
    this.#tail = tail
    try {
      this.#watcher = watch(run, { persistent: false }, () => this.#changed())
    } catch (cause) {
      if (systemCode(cause) === 'ENOENT') throw new Fault('NotFound', 'The guest has no serial console', { cause })
      throw new Fault('Unavailable', `Cannot watch ${run}; raise fs.inotify.max_user_watches and _instances`, { cause })
    }
    this.#watcher.on('error', () => this.stop())
  }

  /** Decides what is read first. */
  async begin(): Promise<void> {
    this.#current ??= await this.#begin()
  }

  /** The next bytes, when there are any; undefined at the end. */
  async next(): Promise<Uint8Array | undefined> {
    while (!this.#isStopped) {
      this.#isChanged = false
      const chunk = await this.#read()
      if (chunk?.length) return chunk
      if (chunk === undefined) return undefined
      if (!this.#isChanged && !this.#isStopped)
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
    }
    return undefined
  }

  stop(): void {
    this.#isStopped = true
    this.#changed()
  }

  async close(): Promise<void> {
    this.#watcher.close()
    const { file } = this.#current ?? {}
    this.#current = undefined
    await file?.close()
  }

  #changed(): void {
    this.#isChanged = true
    this.#wake()
  }

  /** What there is: nothing while nothing has come, undefined when nothing can come any more. */
  async #read(): Promise<Uint8Array | undefined> {
    await this.begin()
    if (this.#before) {
      const before = this.#before
      this.#before = undefined
      return before
    }
    const current = this.#current
    if (!current) return (await exists(this.#run)) ? new Uint8Array() : undefined
    const chunk = await this.#piece(current)
    if (chunk.length) return chunk
    const at = await inodeOf(join(this.#run, newer))
    if (at === current.inode || at === undefined) return (await exists(this.#run)) ? chunk : undefined
    // It was written to its end before it got its other name.
    const rest = await this.#piece(current)
    if (rest.length) return rest
    await this.#goOn(current)
    return this.#read()
  }

  async #piece(current: Reading): Promise<Uint8Array> {
    // The sandbox empties the same file when its processes are started again.
    if ((await current.file.stat()).size < current.position) current.position = 0
    const { bytesRead, buffer } = await current.file.read({
      buffer: Buffer.allocUnsafe(chunkBytes),
      position: current.position,
    })
    current.position += bytesRead
    return buffer.subarray(0, bytesRead)
  }

  /** Finds where the last bytes begin; undefined while there is no file. */
  async #begin(): Promise<Reading | undefined> {
    const current = (await openAny(join(this.#run, newer))) ?? (await openAny(join(this.#run, older)))
    const isFirst = !this.#hasBegun
    this.#hasBegun = true
    if (!current) return undefined
    const { size } = await current.file.stat()
    // What comes later is read from its beginning.
    if (!isFirst) return current
    const { tail, tailLines } = this.#tail
    current.position = Math.max(0, size - tail)
    if (size < tail) this.#before = await this.#lastOf(older, tail - size, current.inode)
    if (tailLines !== undefined) await this.#skipTo(current, size, tailLines)
    return current
  }

  /** Leaves of what was printed before only the last lines. */
  async #skipTo(current: Reading, size: number, lines: number): Promise<void> {
    const buffer = Buffer.alloc(size - current.position)
    const { bytesRead } = await current.file.read({ buffer, position: current.position })
    const all = Buffer.concat([this.#before ?? Buffer.alloc(0), buffer.subarray(0, bytesRead)])
    let from = all.length
    // A line that is not ended yet is one, too.
    for (let count = all.at(-1) === newline ? 0 : 1; from > 0 && count <= lines; from--)
      if (all[from - 1] === newline && ++count > lines) break
    current.position += bytesRead
    this.#before = lines && from < all.length ? all.subarray(from) : undefined
  }

  /** The last bytes of a file, unless it is the one that is read. */
  async #lastOf(name: string, bytes: number, not: number): Promise<Uint8Array | undefined> {
    const reading = await openAny(join(this.#run, name))
    if (!reading) return undefined
    try {
      if (reading.inode === not) return undefined
      const { size } = await reading.file.stat()
      const length = Math.min(size, bytes)
      const buffer = Buffer.alloc(length)
      const { bytesRead } = await reading.file.read({ buffer, position: size - length })
      return bytesRead ? buffer.subarray(0, bytesRead) : undefined
    } finally {
      await reading.file.close()
    }
  }

  /** Goes on with the file after the current one. If that has been renamed too meanwhile, it is the older one by now. */
  async #goOn({ file, inode }: Reading): Promise<void> {
    const last = await openAny(join(this.#run, older))
    const isNext = last && last.inode !== inode
    if (last && !isNext) await last.file.close()
    this.#current = isNext ? last : await openAny(join(this.#run, newer))
    await file.close()
  }
}

async function openAny(path: string): Promise<Reading | undefined> {
  try {
    const file = await open(path, 'r')
    return { file, inode: (await file.stat()).ino, position: 0 }
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

async function inodeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ ino }) => ino,
    () => undefined,
  )
}

async function exists(path: string): Promise<boolean> {
  return (await inodeOf(path)) !== undefined
}
