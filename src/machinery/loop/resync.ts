import { realTimers, type Timers } from './queue.ts'

export type ResyncOptions<T> = Readonly<{
  /** All objects; read at the beginning of each resync. */
  list: () => readonly T[]
  enqueue: (one: T) => void
  /** Length of one resync, milliseconds. */
  everyMs: number
  signal: AbortSignal
  timers?: Timers
}>

/** Shortest time between two steps, milliseconds; a step enqueues several objects if that is too seldom. */
const stepMs = 50

/**
 * Enqueues every object once per resync, spread evenly over it, so that ten thousand do not all come at once. Objects added
 * during a resync are part of the next.
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
