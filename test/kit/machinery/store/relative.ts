import type { Change, Decision, DecisionListener, Row, Store } from '#machinery/store/store.ts'

/**
 * A store as if it had been empty when this was made: revisions count from there. For the contract of stores that share their
 * revisions with others, as all stores in one etcd do.
 */
export class RelativeStore implements Store {
  readonly #store: Store
  readonly #base: number

  constructor(store: Store) {
    this.#store = store
    this.#base = store.revision
  }

  get revision(): number {
    return this.#store.revision - this.#base
  }

  get compacted(): number {
    return Math.max(0, this.#store.compacted - this.#base)
  }

  async get(key: string): Promise<Row | undefined> {
    return this.#row(await this.#store.get(key))
  }

  async list(prefix: string) {
    const { rows, revision } = await this.#store.list(prefix)
    return { rows: rows.map((row) => this.#ours(row)), revision: revision - this.#base }
  }

  async listAt(prefix: string, revision: number): Promise<readonly Row[]> {
    return (await this.#store.listAt(prefix, revision + this.#base)).map((row) => this.#ours(row))
  }

  async update(key: string, decide: (current: Row | undefined) => Decision | undefined): Promise<Row | undefined> {
    return this.#row(await this.#store.update(key, (current) => decide(this.#row(current))))
  }

  async *watch(prefix: string, after: number, signal: AbortSignal): AsyncGenerator<readonly Change[], void> {
    for await (const changes of this.#store.watch(prefix, after + this.#base, signal)) {
      yield changes.map((change) => {
        const { type, row, previous } = change
        return { type, row: this.#ours(row), ...(previous && { previous: this.#ours(previous) }) }
      })
    }
  }

  onDecided(listener: DecisionListener): void {
    this.#store.onDecided(listener)
  }

  compact(revision: number): Promise<void> {
    return this.#store.compact(revision + this.#base)
  }

  close(): Promise<void> {
    return this.#store.close()
  }

  #row(row: Row | undefined): Row | undefined {
    return row && this.#ours(row)
  }

  #ours(row: Row): Row {
    return { ...row, revision: row.revision - this.#base }
  }
}
