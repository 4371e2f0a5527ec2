import { rm } from 'node:fs/promises'
import { DatabaseSync } from 'node:sqlite'
import { delay } from '#base/wait.ts'

/** How often a lock that another has is tried again, milliseconds. */
const everyMs = 100
/** SQLITE_BUSY. */
const busy = 5

/**
 * A lock between processes that ends with its process, however that ends. It is SQLite's lock of an empty file: Node has no other
 * one, and this one excludes also within a process.
 */
export class FileLock {
  readonly #path: string
  readonly #database: DatabaseSync

  private constructor(path: string, database: DatabaseSync) {
    this.#path = path
    this.#database = database
  }

  /** Takes a lock, or undefined when another has it. */
  static tryTake(path: string): FileLock | undefined {
    const first = lockedDatabase(path)
    if (!first) return undefined
    // The file may have been removed between opening and locking it: then it excludes none, and another can be locked.
    const second = lockedDatabase(path)
    if (!second) return new FileLock(path, first)
    first.close()
    second.close()
    return FileLock.tryTake(path)
  }

  /** Waits for a lock; `onWait` is called now and then meanwhile. */
  static async take(path: string, signal: AbortSignal, onWait?: () => void): Promise<FileLock> {
    for (;;) {
      signal.throwIfAborted()
      const lock = FileLock.tryTake(path)
      if (lock) return lock
      onWait?.()
      await delay(everyMs, signal)
    }
  }

  /** Removes the file and gives the lock back. */
  async release(): Promise<void> {
    try {
      await rm(this.#path, { force: true })
    } finally {
      this.#database.close()
    }
  }
}

function lockedDatabase(path: string): DatabaseSync | undefined {
  const database = new DatabaseSync(path, { timeout: 0 })
  try {
    // Nothing is ever written, and no journal is to stay beside the file.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
    return database
  } catch (error) {
    database.close()
    if (error instanceof Error && 'errcode' in error && error.errcode === busy) return undefined
    throw error
  }
}
