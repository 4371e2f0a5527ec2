import { explain } from '#base/fault.ts'
import type { MoveProgress } from '#core/ports.ts'

/** A migration job that this process started or follows. */
type Move = {
  isPending: boolean
  /** Delete the entry when it ends. */
  isForgotten?: boolean
  /** Why the hypervisor gave it up. */
  failure?: string
  /** Fewest bytes that were left to send, and when that was. */
  leastBytes: number
  leastMs: number
}

/** The migration jobs of this process, by UID of the migration. It knows nothing of jobs that an earlier process started. */
export class MigrationJobs {
  readonly #moves = new Map<string, Move>()

  /** Runs a migration job and calls `onEnd` when it has ended, whatever the result. */
  start(migration: string, nowMs: number, work: () => Promise<void>, onEnd: () => void): void {
    const move = this.#of(migration, nowMs)
    move.isPending = true
    work()
      .catch((error: unknown) => {
        move.failure = explain(error)
      })
      .finally(() => {
        move.isPending = false
        if (move.isForgotten) this.#moves.delete(migration)
        onEnd()
      })
  }

  isPending(migration: string): boolean {
    return this.#moves.get(migration)?.isPending ?? false
  }

  failure(migration: string): string | undefined {
    return this.#moves.get(migration)?.failure
  }

  /** Notes how far a move is; resolves to the milliseconds since it last came further. */
  stalledMs(migration: string, { remainingBytes }: MoveProgress, nowMs: number): number {
    const move = this.#of(migration, nowMs)
    if (remainingBytes < move.leastBytes) {
      move.leastBytes = remainingBytes
      move.leastMs = nowMs
    }
    return nowMs - move.leastMs
  }

  forget(migration: string): void {
    const move = this.#moves.get(migration)
    if (move?.isPending) move.isForgotten = true
    else this.#moves.delete(migration)
  }

  #of(migration: string, nowMs: number): Move {
    const known = this.#moves.get(migration)
    if (known) return known
    const move: Move = { isPending: false, leastBytes: Number.POSITIVE_INFINITY, leastMs: nowMs }
    this.#moves.set(migration, move)
    return move
  }
}
