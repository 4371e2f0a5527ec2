import type { Backend, Write } from '#machinery/store/backend.ts'
import type { Change, Store } from '#machinery/store/store.ts'
import { type Tuning, WatchableStore } from '#machinery/store/watchable-store.ts'

/** A store that forgets everything with its process; for tests and demonstrations. */
export function openMemoryStore(tuning: Tuning = {}): Store {
  return new WatchableStore('store in memory', new MemoryBackend(), empty, tuning)
}

const empty = { rows: [], revision: 0, compacted: 0, historyBytes: 0 }

class MemoryBackend implements Backend {
  readonly broken = new Promise<never>(() => {})
  readonly usedBytes = 0
  readonly lacksDisk = false
  readonly #log: Change[] = []

  async append(writes: readonly Write[]): Promise<void> {
    for (const { change } of writes) this.#log.push(change)
  }

  async history(prefix: string, after: number, upTo: number): Promise<readonly Change[]> {
    return this.#log.filter(({ row }) => row.revision > after && row.revision <= upTo && row.key.startsWith(prefix))
  }

  async compact(_after: number, upTo: number): Promise<void> {
    const kept = this.#log.findIndex(({ row }) => row.revision > upTo)
    this.#log.splice(0, kept < 0 ? this.#log.length : kept)
  }

  async shrink(): Promise<boolean> {
    return false
  }

  async close(): Promise<void> {}
}
