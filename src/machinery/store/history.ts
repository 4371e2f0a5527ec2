import type { Store } from './store.ts'

type Compactable = Pick<Store, 'revision' | 'compact'>

/** Calls back after every `ms` milliseconds until the returned function is called. */
export type Every = (ms: number, run: () => void) => () => void

const everyTimer: Every = (ms, run) => {
  const timer = setInterval(run, ms)
  timer.unref()
  return () => clearInterval(timer)
}

/**
 * Keeps history for watches for at least `ms` and at most twice as long: every `ms` it forgets what was there the time
 * before (as kube-apiserver compacts etcd). Returns what ends it.
 */
export function keepHistory(
  store: Compactable,
  ms: number,
  onTrouble: (error: unknown) => void,
  every: Every = everyTimer,
): () => void {
  let before = store.revision
  return every(ms, () => {
    const target = before
    before = store.revision
    store.compact(target).catch(onTrouble)
  })
}
