/** Backoff after a failure, milliseconds: the first and the longest; it doubles in between. */
const firstMs = 250
const mostMs = 10_000

/**
 * A failure: all that the failed step depends on, the number of repetitions with the same dependencies, the end of the backoff
 * (milliseconds since the epoch), and the cause.
 */
export type Failure = Readonly<{ depends: string; times: number; untilMs: number; cause: unknown }>

/** The failures of one sandbox, by key (steps.ts). */
export type Failures = ReadonlyMap<string, Failure>

/**
 * The failure because of which a step is backing off; undefined when it may be tried. The backoff is needed because every change
 * of an instance causes a pass, including the report of the failure, and a plugin that hangs would block all other steps. A
 * change of `depends` ends the backoff.
 */
export function backingOff(failures: Failures, key: string, depends: string, nowMs: number): Failure | undefined {
  const failure = failures.get(key)
  return failure?.depends === depends && failure.untilMs > nowMs ? failure : undefined
}

/** The failures with one more. */
export function withFailure(
  failures: Failures,
  key: string,
  { depends, cause, nowMs }: Readonly<{ depends: string; cause: unknown; nowMs: number }>,
): Failures {
  const before = failures.get(key)
  const times = before?.depends === depends ? before.times + 1 : 0
  const untilMs = nowMs + Math.min(firstMs * 2 ** times, mostMs)
  return new Map([...failures, [key, { depends, times, untilMs, cause }]])
}

/** The failures without those of a key that succeeded; the same Map when there was none. */
export function withoutFailure(failures: Failures, key: string): Failures {
  return failures.has(key) ? new Map([...failures].filter(([one]) => one !== key)) : failures
}
