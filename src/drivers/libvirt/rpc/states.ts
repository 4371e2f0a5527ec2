/** States of a domain. */
type DomainState = 'none' | 'running' | 'blocked' | 'paused' | 'shutdown' | 'shutoff' | 'crashed' | 'suspended'

/** A state and its reason; `unknown` for a reason that is newer than this table. */
export type StateAndReason = Readonly<{ state: DomainState; reason: string }>

/** Names of libvirt's states and reasons; the index in a list is libvirt's number. */
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

/** The name of a state. */
export function stateOf(state: number, reason: number): StateAndReason {
  const [name, reasons] = states[state] ?? ['none', []]
  return { state: name, reason: reasons[reason] ?? 'unknown' }
}

/** The content of a lifecycle event. */
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

/** The name of a lifecycle event. */
export function lifecycleOf(event: number, detail: number): Readonly<{ event: LifecycleEvent; detail: string }> {
  const [name, details] = lifecycle[event] ?? ['unknown', []]
  return { event: name, detail: details[detail] ?? 'unknown' }
}

/** States of a domain's job. */
export type JobType = 'none' | 'bounded' | 'unbounded' | 'completed' | 'failed' | 'cancelled'

const jobTypes: readonly JobType[] = ['none', 'bounded', 'unbounded', 'completed', 'failed', 'cancelled']

/** The name of a job's type. */
export function jobTypeOf(type: number): JobType {
  return jobTypes[type] ?? 'none'
}
