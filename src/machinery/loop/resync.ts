import { realTimers, type Timers } from './queue.ts'

export type ResyncOptions<T> = Readonly<{
  /** Everything there is; asked at the beginning of each round. */
  list: () => readonly T[]
  enqueue: (one: T) => void
  /** How long a round takes, milliseconds. */
  everyMs: number
  signal: AbortSignal
  timers?: Timers
}>

/** Shortest time between two looks, milliseconds; where that is too seldom, several are taken at once. */
const stepMs = 50

/**
 * Looks at each of many things once in every round, spread evenly over it, so that ten thousand do not all come at once.
 * What comes during a round has its turn in the next.
 */
export function startResync<T>({ list, enqueue, everyMs, signal, timers = realTimers }: ResyncOptions<T>): void {
  if (signal.aborted) return
  let cancel = () => {}
  signal.addEventListener('abort', () => cancel(), { once: true })
  const resync = () => {
    const all = list()
    const startMs = timers.now()
    let next = 0
    const step = () => {
      const share = (timers.now() - startMs) / everyMs
      const end = Math.min(all.length, Math.floor(all.length * share))
      for (const one of all.slice(next, end)) enqueue(one)
      next = Math.max(next, end)
      if (share >= 1) resync()
      else wait()
    }
    const wait = () => {
      const dueMs = startMs + (all.length ? ((next + 1) / all.length) * everyMs : everyMs)
      cancel = timers.after(Math.max(stepMs, Math.min(dueMs, startMs + everyMs) - timers.now()), step)
    }
    wait()
  }
  resync()
}
