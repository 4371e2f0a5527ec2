import type { JsonObject } from './json.ts'

/**
 * The few kinds of failure that code above a driver must tell apart. Three tables give each kind its meaning: HTTP status
 * (machinery/rest), retry (machinery/loop), exit code (cli). `Internal` is not a bug: KubeVirt answers some refusals with
 * 500, and so do we.
 */
export type FaultKind =
  | 'Invalid'
  | 'BadRequest'
  | 'NotFound'
  | 'AlreadyExists'
  | 'Conflict'
  | 'Expired'
  | 'Unauthorized'
  | 'Forbidden'
  | 'Unsupported'
  | 'NotAcceptable'
  | 'NotAllowed'
  | 'TooLarge'
  | 'HeaderTooLarge'
  | 'TooMany'
  | 'Unavailable'
  | 'Timeout'
  | 'Aborted'
  | 'Bug'
  | 'Internal'

/** An error whose kind decides what happens next. The message names the operation and its object, never the cause's text. */
export class Fault extends Error {
  override readonly name = 'Fault'
  readonly kind: FaultKind
  /** Facts for programs: field errors, the object concerned, a foreign error code. */
  readonly data: JsonObject

  constructor(kind: FaultKind, message: string, options: { cause?: unknown; data?: JsonObject } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.kind = kind
    this.data = options.data ?? {}
  }
}

/** The kind of any thrown value; a value that is not a Fault is a bug of ours. */
export function faultKind(error: unknown): FaultKind {
  if (error instanceof Fault) return error.kind
  if (error instanceof Error && error.name === 'AbortError') return 'Aborted'
  return 'Bug'
}

/** The code of an operating system error in Node, such as `ENOENT`; undefined for every other error. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** The whole chain of causes as one sentence: `a: b: c`. */
export function explain(error: unknown): string {
  const parts: string[] = []
  for (let at: unknown = error; at !== undefined && parts.length < 8; at = at instanceof Error ? at.cause : undefined) {
    const text = at instanceof Error ? at.message : String(at)
    if (text && parts.at(-1) !== text) parts.push(text)
  }
  return parts.join(': ')
}
