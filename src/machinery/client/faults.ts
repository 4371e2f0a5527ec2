import { Fault, type FaultKind } from '#base/fault.ts'
import { isObject, type JsonObject } from '#base/json.ts'
import { http } from './codes.ts'

// Of two kinds with the same status code, the first one is meant.
const byCode = new Map<number, FaultKind>()
const byReason = new Map<string, FaultKind>()
for (const [kind, [code, reason]] of (Object.entries(http) as [FaultKind, (typeof http)[FaultKind]][]).toReversed()) {
  byCode.set(code, kind)
  byReason.set(reason, kind)
}

/** The Fault of a server's `Status`, with its message and details. */
export function faultOfStatus(status: JsonObject): Fault {
  const { reason, code, message, details } = status
  const kind =
    byReason.get(String(reason)) ?? byCode.get(Number(code)) ?? (Number(code) >= 500 ? 'Unavailable' : 'BadRequest')
  const seconds = isObject(details) ? details.retryAfterSeconds : undefined
  return new Fault(kind, typeof message === 'string' ? message : `the server answered ${code}`, {
    data: { ...(isObject(details) && { details }), ...(typeof seconds === 'number' && { retryAfterSeconds: seconds }) },
  })
}

/** The Fault of an answer with an error code, whether or not it is a `Status`. */
export function faultOfAnswer(code: number, text: string): Fault {
  try {
    const status: unknown = JSON.parse(text)
    if (isObject(status) && status.kind === 'Status') return faultOfStatus(status)
  } catch {
    // A proxy's page, for example.
  }
  return faultOfStatus({ code })
}
