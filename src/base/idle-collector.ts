import { performance } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** How often it is looked whether there is something to collect, milliseconds. */
const everyMs = 10_000
/** A thread that worked less than this part of that time is idle. */
const idleUtilization = 0.05
/** Garbage that is worth a collection, bytes: less comes together by itself while nothing happens. */
const worthBytes = 4 * 1024 * 1024

/**
 * Collects garbage when this thread has nothing to do. V8 collects when memory is asked for, so that a server which is idle
 * after a burst keeps all of the burst's garbage. Returns what stops it.
 */
export function collectWhenIdle(): () => void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  let before = performance.eventLoopUtilization()
  let leftBytes = 0
  const timer = setInterval(() => {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, before)
    before = now
    if (utilization > idleUtilization || process.memoryUsage().heapUsed - leftBytes < worthBytes) return
    collect()
    leftBytes = process.memoryUsage().heapUsed
  }, everyMs)
  timer.unref()
  return () => clearInterval(timer)
}
