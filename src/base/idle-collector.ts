import { performance } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** A thread that worked less than this part of that time is idle. */
const idleUtilization = 0.05
/** Garbage that is worth a collection, bytes: less comes together by itself while nothing happens. */
const worthBytes = 4 * 1024 * 1024

type Collect = (how: Readonly<{ type: 'major'; flavor: 'regular' | 'last-resort' }>) => void

/**
 * Collects garbage when this thread has nothing to do. V8 collects when memory is asked for, so that a server which is idle
 * after a burst keeps all of the burst's garbage. Pages that collections have emptied it keeps, too, for what may come
 * next: they are given back by the first collection after a burst, which is V8's last resort when memory runs out (some
 * 50 ms for 30 MB of living objects). `everyMs` is how often it is looked whether there is something to collect,
 * milliseconds. Returns what stops it.
 */
export function collectWhenIdle(everyMs = 10_000): () => void {
  const collect = collector()
  let before = performance.eventLoopUtilization()
  let leftBytes = 0
  let wasBusy = true
  const timer = setInterval(() => {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, before)
    before = now
    const isIdle = utilization <= idleUtilization
    wasBusy ||= !isIdle
    if (!isIdle || (!wasBusy && process.memoryUsage().heapUsed - leftBytes < worthBytes)) return
    collect({ type: 'major', flavor: wasBusy ? 'last-resort' : 'regular' })
    leftBytes = process.memoryUsage().heapUsed
    wasBusy = false
  }, everyMs)
  timer.unref()
  return () => clearInterval(timer)
}

/** What makes V8 collect this thread's garbage at once; Node offers it behind a flag only. */
export function collector(): Collect {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as Collect
}
