import { performance } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** A thread that was busy for less than this part of the interval is idle. */
const idleUtilization = 0.05
/** Garbage worth a collection, bytes: an idle thread produces less than this by itself. */
const worthBytes = 4 * 1024 * 1024

type Collect = (how: Readonly<{ type: 'major'; flavor: 'regular' | 'last-resort' }>) => void

/**
 * Collects garbage when this thread is idle. V8 collects when memory is allocated, so a server that is idle after a burst
 * keeps all of the burst's garbage. V8 also keeps the emptied pages for reuse: the first collection after a burst is V8's
 * last-resort one, which returns them (some 50 ms for 30 MB of live objects). `everyMs` is the interval of the check,
 * milliseconds. Returns a function that stops it.
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

/** Makes V8 collect this thread's garbage at once; Node offers it behind a flag only. */
export function collector(): Collect {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as Collect
}
