import { Worker } from 'node:worker_threads'
import { openBackend } from './sqlite-backend.ts'
import type { Diagnosis } from './sqlite-file.ts'
import type { WorkerOptions } from './sqlite-worker.ts'
import type { Store } from './store.ts'
import { type Tuning, WatchableStore } from './watchable-store.ts'

/** Young generation of the writing thread, MB: what it handles dies at once, and a larger one would stay resident. */
const workerYoungMb = 4

export type SqliteOptions = Tuning &
  Readonly<{
    /** The file, or `:memory:`. Its directory must exist. */
    path: string
    /** Writes that would make the file larger than this are refused. */
    maxBytes?: number
  }>

/** A store in a file. */
export type SqliteStore = Store &
  Readonly<{
    /** Asks the connection that writes, not a second one, which could be set up differently. */
    diagnose(): Promise<Diagnosis>
    /** Writes a whole copy, everything acknowledged before the call included, to a new file. */
    copyTo(path: string): Promise<void>
    /** Why writes fail or are refused, as a sentence with what to do. */
    readonly problem: string | undefined
  }>

/**
 * Opens the store in a SQLite file, creating a missing one. Rows are served from memory; a thread of its own writes.
 * @throws Fault Unavailable when another process has it open or it cannot be read, Unsupported when it is of a newer schema.
 */
export async function openSqliteStore(options: SqliteOptions): Promise<SqliteStore> {
  const workerData: WorkerOptions = { path: options.path, maxBytes: options.maxBytes }
  // The same extension as this file: `.ts` from source, `.js` when built.
  const file = import.meta.url.replace(/(\.\w+)$/, '-worker$1')
  const resourceLimits = { maxYoungGenerationSizeMb: workerYoungMb }
  const worker = new Worker(new URL(file), { workerData, name: 'store', resourceLimits })
  const { backend, contents } = await openBackend(worker, options.path).catch(async (error: unknown) => {
    // It has nothing more to do, but whether it ends by itself is not to be left to chance.
    await worker.terminate()
    throw error
  })
  const store = new WatchableStore(`store ${options.path}`, backend, contents, options)
  return Object.assign(store, {
    diagnose: () => backend.diagnose(),
    copyTo: (path: string) => backend.copyTo(path),
  })
}
