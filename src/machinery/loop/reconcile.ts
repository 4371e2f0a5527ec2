import { explain, type FaultKind, faultKind } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { type Timers, WorkQueue } from './queue.ts'

/** When to reconcile again without a change; undefined: only after a change. */
type Again = Readonly<{ againAfterMs: number }>

/** Enqueues a controller's keys. Passes start once every source has resolved: its first keys are in, its cache is synced. */
type Source = (enqueue: (key: string) => void) => void | Promise<void>

export type ControllerOptions = Readonly<{
  /** Goes with every line of the log. */
  name: string
  /** Brings the objects of one key closer to what is desired. Runs once at a time per key; throws to be retried. */
  reconcile: (key: string, signal: AbortSignal) => Promise<Again | undefined> | Promise<void>
  /** Number of workers. */
  workers: number
  log: Log
  /** Stops the controller. */
  signal: AbortSignal
  sources?: readonly Source[]
  timers?: Timers
}>

/** A running controller. */
export type Controller = Readonly<{
  enqueue(key: string): void
  /** Resolves when no key waits and no pass runs. Delayed keys (retries, `againAfterMs`) do not count. */
  settled(): Promise<void>
  /** Starts no more passes, aborts those that run, and waits for them. */
  stop(): Promise<void>
}>

type Retry = Readonly<{ capMs: number; level: 'debug' | 'warn' | 'error' }>

/** A conflict: the retry decides by the newer version. */
const soon: Retry = { capMs: 1000, level: 'debug' }
/** Time or an operator may cure it; an event enqueues the key sooner. */
const later: Retry = { capMs: 30_000, level: 'warn' }

/** What each kind of fault means to a controller: the longest backoff, and the log level. */
const retries: Readonly<Record<FaultKind, Retry>> = {
  Conflict: soon,
  Aborted: soon,
  HeaderTooLarge: later,
  TooMany: later,
  Unavailable: later,
  Timeout: later,
  Expired: later,
  AlreadyExists: later,
  NotFound: later,
  Invalid: later,
  BadRequest: later,
  Unauthorized: later,
  Forbidden: later,
  Unsupported: later,
  NotAcceptable: later,
  NotAllowed: later,
  TooLarge: later,
  Internal: later,
  Bug: { ...later, level: 'error' },
}

/** Runs `reconcile` for every key that is enqueued, until the signal aborts. */
export function runController(options: ControllerOptions): Controller {
  const { reconcile, workers, sources = [] } = options
  const log = options.log.child({ controller: options.name })
  const own = new AbortController()
  const signal = AbortSignal.any([options.signal, own.signal])
  const queue = new WorkQueue(options.timers)
  /** The last error of each failing key, so that it is logged once. */
  const said = new Map<string, string>()

  async function pass(key: string): Promise<void> {
    try {
      const again = await reconcile(key, signal)
      queue.forget(key)
      if (said.delete(key)) log.info({ object: key }, 'Reconciling works again')
      if (again) queue.addAfter(key, again.againAfterMs)
    } catch (error) {
      if (!signal.aborted) fail(key, error)
    }
    queue.done(key)
  }

  function fail(key: string, error: unknown): void {
    const kind = faultKind(error)
    const { capMs, level } = retries[kind]
    const retryMs = queue.retry(key, capMs)
    const text = explain(error)
    const isNews = level !== 'debug' && said.get(key) !== text
    if (isNews) said.set(key, text)
    // The stack is the only way to find a bug of ours.
    const stack = kind === 'Bug' && error instanceof Error ? { stack: error.stack } : {}
    log[isNews ? level : 'debug']({ object: key, kind, error: text, retryMs, ...stack }, 'Reconciling failed')
  }

  async function work(): Promise<void> {
    for (let key = await queue.take(); key !== undefined; key = await queue.take()) await pass(key)
  }

  async function run(): Promise<void> {
    try {
      await Promise.race([aborted(signal), Promise.all(sources.map((source) => source(queue.add.bind(queue))))])
    } catch (error) {
      log.error({ error: explain(error) }, 'Starting controller failed')
      queue.close()
    }
    await Promise.all(Array.from({ length: workers }, work))
  }

  const close = () => queue.close()
  if (signal.aborted) close()
  else signal.addEventListener('abort', close, { once: true })
  const running = run()
  return {
    enqueue: (key) => queue.add(key),
    settled: () => queue.idle(),
    stop: () => {
      own.abort()
      return running
    },
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
