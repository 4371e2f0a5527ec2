import { appendFile, rename, stat } from 'node:fs/promises'
import { systemCode } from './fault.ts'

type Options = Readonly<{
  path: string
  /** A file larger than this becomes `path.1`, bytes. */
  maxBytes: number
  /** How many files there are at most, the current one included. */
  files: number
  /** Called with the error when a write fails. */
  onTrouble: (error: unknown, lostLines: number) => void
}>

/** Most lines queued for the disk; further lines are dropped and reported as an error. */
const maxWaiting = 10_000

/** A file of lines that no caller waits for: writes happen in the background, and old lines make room for new ones. */
export class RotatingFile {
  readonly #options: Options
  #waiting: string[] = []
  #lost = 0
  #size: number | undefined
  #writing: Promise<void> | undefined

  constructor(options: Options) {
    this.#options = options
  }

  write(line: string): void {
    if (this.#waiting.length >= maxWaiting) this.#lost++
    else this.#waiting.push(line)
    this.#writing ??= this.#drain().finally(() => {
      this.#writing = undefined
    })
  }

  /** Waits until everything is written. */
  async close(): Promise<void> {
    while (this.#writing) await this.#writing
  }

  async #drain(): Promise<void> {
    // Lines of one event loop turn are one write.
    await Promise.resolve()
    while (this.#waiting.length) {
      const lines = this.#waiting
      this.#waiting = []
      try {
        if (this.#lost) this.#options.onTrouble(undefined, this.#lost)
        this.#lost = 0
        await this.#append(`${lines.join('\n')}\n`)
      } catch (error) {
        this.#options.onTrouble(error, lines.length)
      }
    }
  }

  async #append(text: string): Promise<void> {
    const { path, maxBytes } = this.#options
    this.#size ??= await sizeOf(path)
    if (this.#size > 0 && this.#size + Buffer.byteLength(text) > maxBytes) {
      await this.#rotate()
      this.#size = 0
    }
    await appendFile(path, text, { mode: 0o600 })
    this.#size += Buffer.byteLength(text)
  }

  async #rotate(): Promise<void> {
    const { path, files } = this.#options
    for (let i = files - 2; i >= 0; i--) await renameIfAny(i ? `${path}.${i}` : path, `${path}.${i + 1}`)
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return 0
    throw error
  }
}

async function renameIfAny(from: string, to: string): Promise<void> {
  try {
    await rename(from, to)
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error
  }
}
