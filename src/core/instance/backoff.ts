/** How long what failed rests before it is tried again, milliseconds: at first, and at most; it doubles in between. */
const firstMs = 250
const mostMs = 10_000

/** Something that failed: all that it depends on, how often it failed so, until when it rests, and why. */
export type Failure = Readonly<{ depends: string; times: number; untilMs: number; cause: unknown }>

/** What failed of one sandbox, by key (steps.ts). */
export type Failures = ReadonlyMap<string, Failure>

/**
 * The failure because of which something is not tried now. A pass comes whenever anything of an instance changes, the complaint
 * about the failure included, and a plugin that hangs would hold up all else. What its owner changes (`depends`) is tried at once.
 */
export function backingOff(failures: Failures, key: string, depends: string, nowMs: number): Failure | undefined {
  const failure = failures.get(key)
  return failure?.depends === depends && failure.untilMs > nowMs ? failure : undefined
}

/** The failures after one more. */
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

/** The failures without those of something that succeeded; the same when there was none. */
export function withoutFailure(failures: Failures, key: string): Failures {
  return failures.has(key) ? new Map([...failures].filter(([one]) => one !== key)) : failures
}
