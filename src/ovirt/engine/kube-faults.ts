import { explain, Fault, faultKind } from '#base/fault.ts'
import { isList, isObject } from '#base/json.ts'
import { EngineFault, NotFound, operationFailed } from '../wire/faults.ts'

/** The engine's sentence for a missing right (facts/ovirt.md §2.2). */
const unauthorized = 'User is not authorized to perform this action.'

/** What the Kubernetes API refused, as the engine refuses it; errors of the engine itself stay as they are. */
export function engineFault(error: unknown): unknown {
  if (!(error instanceof Fault)) return error
  const { message } = error
  switch (faultKind(error)) {
    case 'Forbidden':
      // A quota forbids in its own words.
      return operationFailed(403, / cannot /.test(message) ? unauthorized : message)
    case 'NotFound':
      return new NotFound()
    case 'Invalid':
    case 'BadRequest':
    case 'Unsupported':
      return operationFailed(400, ...messagesOf(error))
    case 'Conflict':
    case 'AlreadyExists':
      return operationFailed(409, ...messagesOf(error))
    case 'TooLarge':
      return new EngineFault(413, 'Operation Failed', message)
    case 'TooMany':
      return new EngineFault(429, 'Operation Failed', message, { retryAfterSeconds: 1 })
    case 'Unavailable':
    case 'Timeout':
      return new EngineFault(503, 'Operation Failed', explain(error), { retryAfterSeconds: 1 })
    case 'HeaderTooLarge':
      return new EngineFault(431, 'Operation Failed', message)
    default:
      return error
  }
}

/** Each error of an object by itself, with its field, where the API lists them. */
function messagesOf({ data, message }: Fault): string[] {
  const causes = isObject(data.details) ? data.details.causes : undefined
  if (!isList(causes)) return [message]
  const texts = causes.filter(isObject).map((cause) => `${cause.field}: ${cause.message}`)
  return texts.length ? texts : [message]
}
