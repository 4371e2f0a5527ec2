import { createHash } from 'node:crypto'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { FileLock } from './file-lock.ts'

/** A folder for the files of one download, which no other process uses meanwhile. */
export type Workspace = Readonly<{
  folder: string
  /** Gives the folder back; what is kept there is the begin of the next try. */
  release(isKept: boolean): Promise<void>
}>

const lockSuffix = '.lock'

/** The folders of downloads that are under way, or were when their process ended. */
export class Workspaces {
  readonly #root: string

  constructor(root: string) {
    this.#root = root
  }

  /** Takes the folder of a key; waits while another download of the key has it. */
  async take(key: string, signal: AbortSignal, onWait?: () => void): Promise<Workspace> {
    await mkdir(this.#root, { recursive: true, mode: 0o700 })
    const folder = join(this.#root, createHash('sha256').update(key).digest('hex').slice(0, 32))
    const lock = await FileLock.take(folder + lockSuffix, signal, onWait)
    const release = async (isKept: boolean) => {
      try {
        if (!isKept) await rm(folder, { recursive: true, force: true })
      } finally {
        await lock.release()
      }
    }
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 })
    } catch (error) {
      await release(false)
      throw error
    }
    return { folder, release }
  }

  /** Removes what downloads have left that no process goes on with. */
  async sweep(): Promise<void> {
    const names = await readdir(this.#root).catch(() => [])
    for (const name of new Set(names.map((one) => one.replace(/\.lock$/, '')))) {
      const lock = FileLock.tryTake(join(this.#root, name + lockSuffix))
      if (!lock) continue
      try {
        await rm(join(this.#root, name), { recursive: true, force: true })
      } finally {
        await lock.release()
      }
    }
  }
}
