import type { FaultKind } from '#base/fault.ts'

/** The one table from fault to HTTP, read by the server one way and by clients the other. */
export const http: Record<FaultKind, readonly [code: number, reason: string]> = {
  Invalid: [422, 'Invalid'],
  BadRequest: [400, 'BadRequest'],
  NotFound: [404, 'NotFound'],
  AlreadyExists: [409, 'AlreadyExists'],
  Conflict: [409, 'Conflict'],
  Expired: [410, 'Expired'],
  Unauthorized: [401, 'Unauthorized'],
  Forbidden: [403, 'Forbidden'],
  Unsupported: [415, 'UnsupportedMediaType'],
  NotAcceptable: [406, 'NotAcceptable'],
  NotAllowed: [405, 'MethodNotAllowed'],
  TooLarge: [413, 'RequestEntityTooLarge'],
  HeaderTooLarge: [431, 'RequestHeaderFieldsTooLarge'],
  TooMany: [429, 'TooManyRequests'],
  Unavailable: [503, 'ServiceUnavailable'],
  Timeout: [504, 'Timeout'],
  Aborted: [503, 'ServiceUnavailable'],
  Bug: [500, 'InternalError'],
  Internal: [500, 'InternalError'],
}
