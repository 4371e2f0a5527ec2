import { explain } from '#base/fault.ts'
import { type Log, silent } from '#base/log.ts'
import type { Store } from './store.ts'

/**
 * Compacts a store again and again, so that about the last `historyMs` of its history stay. History from before the call
 * counts as made now. Never keeps a process alive.
 * @returns a function that stops it.
 */
export function retainHistory(store: Store, historyMs: number, log: Log = silent): () => void {
  let samples = [{ at: performance.now(), revision: store.revision }]
  const timer = setInterval(
    () => {
      const now = performance.now()
      const old = samples.findLast(({ at }) => at <= now - historyMs)
      samples = samples.filter((sample) => sample === old || sample.at > now - historyMs)
      samples.push({ at: now, revision: store.revision })
      if (!old || old.revision <= store.compacted) return
      store
        .compact(old.revision)
        .catch((error) => log.warn({ error: explain(error) }, 'Compacting the store failed, trying again later'))
    },
    Math.max(historyMs / 10, 1),
  )
  timer.unref()
  return () => clearInterval(timer)
}
