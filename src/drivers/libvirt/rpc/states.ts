/** What a domain is doing. */
type DomainState = 'none' | 'running' | 'blocked' | 'paused' | 'shutdown' | 'shutoff' | 'crashed' | 'suspended'

/** A state and why it is in it; `unknown` for a reason that is newer than this table. */
export type StateAndReason = Readonly<{ state: DomainState; reason: string }>

/** libvirt numbers states and reasons; the place in the list is the number. */
const states: readonly (readonly [DomainState, readonly string[]])[] = [
  ['none', ['unknown']],
  [
    'running',
    [
      'unknown',
      'booted',
      'migrated',
      'restored',
      'fromSnapshot',
      'unpaused',
      'migrationCanceled',
      'saveCanceled',
      'wakeup',
      'crashed',
      'postCopy',
      'postCopyFailed',
    ],
  ],
  ['blocked', ['unknown']],
  [
    'paused',
    [
      'unknown',
      'user',
      'migration',
      'save',
      'dump',
      'ioError',
      'watchdog',
      'fromSnapshot',
      'shuttingDown',
      'snapshot',
      'crashed',
      'startingUp',
      'postCopy',
      'postCopyFailed',
    ],
  ],
  ['shutdown', ['unknown', 'user']],
  ['shutoff', ['unknown', 'shutdown', 'destroyed', 'crashed', 'migrated', 'saved', 'failed', 'fromSnapshot', 'daemon']],
  ['crashed', ['unknown', 'panicked']],
  ['suspended', ['unknown']],
]

/** A state in words. */
export function stateOf(state: number, reason: number): StateAndReason {
  const [name, reasons] = states[state] ?? ['none', []]
  return { state: name, reason: reasons[reason] ?? 'unknown' }
}

/** What a lifecycle event reports. */
export type LifecycleEvent =
  | 'defined'
  | 'undefined'
  | 'started'
  | 'suspended'
  | 'resumed'
  | 'stopped'
  | 'shutdown'
  | 'pmSuspended'
  | 'crashed'
  | 'unknown'

const lifecycle: readonly (readonly [LifecycleEvent, readonly string[]])[] = [
  ['defined', ['added', 'updated', 'renamed', 'fromSnapshot']],
  ['undefined', ['removed', 'renamed']],
  ['started', ['booted', 'migrated', 'restored', 'fromSnapshot', 'wakeup']],
  [
    'suspended',
    ['paused', 'migrated', 'ioError', 'watchdog', 'restored', 'fromSnapshot', 'apiError', 'postCopy', 'postCopyFailed'],
  ],
  ['resumed', ['unpaused', 'migrated', 'fromSnapshot', 'postCopy', 'postCopyFailed']],
  ['stopped', ['shutdown', 'destroyed', 'crashed', 'migrated', 'saved', 'failed', 'fromSnapshot']],
  ['shutdown', ['finished', 'guest', 'host']],
  ['pmSuspended', ['memory', 'disk']],
  ['crashed', ['panicked', 'crashLoaded']],
]

/** A lifecycle event in words. */
export function lifecycleOf(event: number, detail: number): Readonly<{ event: LifecycleEvent; detail: string }> {
  const [name, details] = lifecycle[event] ?? ['unknown', []]
  return { event: name, detail: details[detail] ?? 'unknown' }
}

/** What a job of a domain is doing or how it ended. */
export type JobType = 'none' | 'bounded' | 'unbounded' | 'completed' | 'failed' | 'cancelled'

const jobTypes: readonly JobType[] = ['none', 'bounded', 'unbounded', 'completed', 'failed', 'cancelled']

/** A job's type in words. */
export function jobTypeOf(type: number): JobType {
  return jobTypes[type] ?? 'none'
}
