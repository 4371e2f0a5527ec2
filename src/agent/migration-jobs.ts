import { explain } from '#base/fault.ts'
import type { MigrationProgress } from '#core/ports.ts'

/** A migration job that this process started or follows. */
type Job = {
  isPending: boolean
  /** Delete the entry when it ends. */
  isForgotten?: boolean
  /** Why the hypervisor ended the job without success. */
  failure?: string
  /** The smallest number of remaining bytes so far, and when it was reached. */
  leastBytes: number
  leastMs: number
}

/** The migration jobs of this process, by UID of the migration. Jobs that an earlier process started are not among them. */
export class MigrationJobs {
  readonly #jobs = new Map<string, Job>()

  /** Runs a migration job and calls `onEnd` when it has ended, whatever the result. */
  start(migration: string, nowMs: number, work: () => Promise<void>, onEnd: () => void): void {
    const job = this.#of(migration, nowMs)
    job.isPending = true
    work()
      .catch((error: unknown) => {
        job.failure = explain(error)
      })
      .finally(() => {
        job.isPending = false
        if (job.isForgotten) this.#jobs.delete(migration)
        onEnd()
      })
  }

  isPending(migration: string): boolean {
    return this.#jobs.get(migration)?.isPending ?? false
  }

  failure(migration: string): string | undefined {
    return this.#jobs.get(migration)?.failure
  }

  /** Records the progress of a job; returns the milliseconds since the number of remaining bytes last fell to a new minimum. */
  stalledMs(migration: string, { remainingBytes }: MigrationProgress, nowMs: number): number {
    const job = this.#of(migration, nowMs)
    if (remainingBytes < job.leastBytes) {
      job.leastBytes = remainingBytes
      job.leastMs = nowMs
    }
    return nowMs - job.leastMs
  }

  forget(migration: string): void {
    const job = this.#jobs.get(migration)
    if (job?.isPending) job.isForgotten = true
    else this.#jobs.delete(migration)
  }

  #of(migration: string, nowMs: number): Job {
    const known = this.#jobs.get(migration)
    if (known) return known
    const job: Job = { isPending: false, leastBytes: Number.POSITIVE_INFINITY, leastMs: nowMs }
    this.#jobs.set(migration, job)
    return job
  }
}
