import { backingOff, type Failures, withFailure } from '#core/instance/backoff.ts'

type Job = { part: number | undefined; readonly stop: AbortController; readonly ended: Promise<void> }

/** The disks of claims that this process makes, and when one that failed is tried again; by UID of the claim. */
export class Populations {
  readonly #jobs = new Map<string, Job>()
  #failures: Failures = new Map()

  /** Begins to make a disk. `onEnd` is called when it is made, or with the cause if it failed; not after it was stopped. */
  start(
    uid: string,
    work: (onProgress: (part: number) => void, signal: AbortSignal) => Promise<void>,
    onEnd: (ended: Readonly<{ cause?: unknown }>) => Promise<void>,
    signal: AbortSignal,
  ): void {
    const stop = new AbortController()
    const both = AbortSignal.any([signal, stop.signal])
    const { promise, resolve } = Promise.withResolvers<void>()
    const job: Job = { part: undefined, stop, ended: promise }
    this.#jobs.set(uid, job)
    const onProgress = (part: number) => {
      job.part = Math.max(part, job.part ?? 0)
    }
    const end = async (ended: Readonly<{ cause?: unknown }>) => {
      try {
        if (both.aborted) return
        // What `onEnd` enqueues finds it ended.
        this.#jobs.delete(uid)
        await onEnd(ended)
      } finally {
        this.#jobs.delete(uid)
        resolve()
      }
    }
    void work(onProgress, both).then(
      () => end({}),
      (cause: unknown) => end({ cause }),
    )
  }

  /** The disk that is being made: how far it is, if that is known. */
  running(uid: string): Readonly<{ part: number | undefined }> | undefined {
    return this.#jobs.get(uid)
  }

  failed(uid: string, cause: unknown, nowMs: number): void {
    this.#failures = withFailure(this.#failures, uid, { depends: '', cause, nowMs })
  }

  /** How long a disk that failed is not tried again, milliseconds; 0: it may be tried. */
  waitMs(uid: string, nowMs: number): number {
    return Math.max(0, (backingOff(this.#failures, uid, '', nowMs)?.untilMs ?? 0) - nowMs)
  }

  /** Stops making a disk, and forgets it. Resolves when nothing is written any more. */
  async stop(uid: string): Promise<void> {
    this.#failures = new Map([...this.#failures].filter(([one]) => one !== uid))
    const job = this.#jobs.get(uid)
    job?.stop.abort()
    await job?.ended
  }

  /** Stops making disks. Resolves when nothing is written any more. */
  async stopAll(): Promise<void> {
    await Promise.all([...this.#jobs.keys()].map((uid) => this.stop(uid)))
  }
}
