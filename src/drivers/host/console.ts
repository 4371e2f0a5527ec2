import { appendFile, rename, stat } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { explain } from '#base/fault.ts'
import type { Log } from '#base/log.ts'

/** What is kept of a guest's serial output: two files of this size at most, bytes. */
const fileBytes = 512 * 1024

/** How fast output is taken, bytes in each period of `periodMs`: a guest that floods its console slows down only itself. */
const bytesPerPeriod = 128 * 1024
const periodMs = 500

/** Where QEMU listens for whoever reads the serial console, and where what was read is kept; in the sandbox's folder. */
export const consoleSocket = 'run/console.sock'
const logFile = 'run/console.log'

/**
 * Reads the serial console of a sandbox's guest and keeps the last of it: at least half a MiB, a MiB at most. QEMU itself keeps
 * nothing, so a guest cannot fill the disk.
 */
export class ConsoleReader {
  readonly #dir: string
  readonly #log: Log
  #socket: Socket | undefined
  #size: number | undefined

  constructor(dir: string, log: Log) {
    this.#dir = dir
    this.#log = log
  }

  /** Begins to read, unless it reads already. Without a guest nothing happens. */
  open(): void {
    if (this.#socket) return
    const socket = connect(join(this.#dir, consoleSocket))
    this.#socket = socket
    socket.unref()
    socket.once('close', () => {
      if (this.#socket === socket) this.#socket = undefined
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // There is no guest, or it ended.
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED' || error.code === 'ECONNRESET') return
      this.#log.warn({ dir: this.#dir, cause: explain(error) }, 'Cannot read the serial console of a guest')
    })
    void this.#read(socket)
  }

  close(): void {
    this.#socket?.destroy()
  }

  async #read(socket: Socket): Promise<void> {
    let taken = 0
    let sinceMs = performance.now()
    try {
      for await (const chunk of socket as AsyncIterable<Buffer>) {
        await this.#keep(chunk)
        taken += chunk.length
        if (taken < bytesPerPeriod) continue
        const restMs = sinceMs + periodMs - performance.now()
        if (restMs > 0) await new Promise((resolve) => setTimeout(resolve, restMs).unref())
        taken = 0
        sinceMs = performance.now()
      }
    } catch (error) {
      // The socket's own errors are handled where it is opened; the others are those of the file.
      if ((error as NodeJS.ErrnoException).syscall === 'connect' || (error as NodeJS.ErrnoException).syscall === 'read')
        return
      this.#log.warn({ dir: this.#dir, cause: explain(error) }, 'Cannot keep the serial output of a guest')
      socket.destroy()
    }
  }

  async #keep(chunk: Buffer): Promise<void> {
    const path = join(this.#dir, logFile)
    this.#size ??= await stat(path).then(
      ({ size }) => size,
      () => 0,
    )
    if (this.#size + chunk.length > fileBytes) {
      await rename(path, `${path}.1`).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error
      })
      this.#size = 0
    }
    await appendFile(path, chunk, { mode: 0o600 })
    this.#size += chunk.length
  }
}
