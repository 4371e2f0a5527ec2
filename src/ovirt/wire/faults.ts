import type { Doc } from './document.ts'

/** A refusal in the words of oVirt's engine: the HTTP status, a reason, and a detail for people. */
export class EngineFault extends Error {
  override readonly name = 'EngineFault'
  readonly code: number
  readonly reason: string
  readonly detail: string
  /** How many seconds to wait before the same request again. */
  readonly retryAfterSeconds: number | undefined

  constructor(
    code: number,
    reason: string,
    detail: string,
    options: { cause?: unknown; retryAfterSeconds?: number } = {},
  ) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.reason = reason
    this.detail = detail
    this.retryAfterSeconds = options.retryAfterSeconds
  }

  get doc(): Doc {
    return { detail: this.detail, reason: this.reason }
  }
}

/** What the engine refuses with its own messages: in brackets, as a list of Java prints itself. */
export function operationFailed(code: number, ...messages: readonly string[]): EngineFault {
  return new EngineFault(code, 'Operation Failed', `[${messages.join(', ')}]`)
}

/** A body that cannot be read. */
export function badSyntax(detail: string): EngineFault {
  return new EngineFault(400, 'Request syntactically incorrect.', detail)
}

/** What has no text at all: clients take a 404 with an empty body for the absence of the thing (facts/ovirt-clients.md §0.3). */
export class NotFound extends Error {
  override readonly name = 'NotFound'
}

/** A mandatory element is missing. */
export function incomplete(type: string, action: string, ...fields: readonly string[]): EngineFault {
  return new EngineFault(400, 'Incomplete parameters', `${type} [${fields.join(', ')}] required for ${action}`)
}

/** An element that is known and not carried out, in the engine's sentence. */
export function unsupported(what: string): EngineFault {
  return new EngineFault(400, 'The input is unsupported.', `${what} is not supported.`)
}
