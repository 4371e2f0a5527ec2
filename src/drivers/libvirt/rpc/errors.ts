import { Fault, type FaultKind } from '#base/fault.ts'
import { type Carried, int, optional, string, struct, uuid } from './codec.ts'
import { domain } from './procedures.ts'
import type { XdrReader } from './xdr.ts'

/** The body of a reply whose status is an error. */
export const errorBody = struct({
  code: int,
  domain: int,
  message: optional(string),
  level: int,
  object: optional(domain),
  text1: optional(string),
  text2: optional(string),
  text3: optional(string),
  number1: int,
  number2: int,
  network: optional(struct({ name: string, uuid })),
})

/**
 * The fault kinds of libvirt's error codes. Other codes are Unavailable: something on the host failed, and may succeed later.
 */
const kinds: Readonly<Record<number, FaultKind>> = {
  3: 'Unsupported', // no support in the driver
  8: 'Invalid', // invalid argument
  16: 'Invalid', // unknown OS type
  21: 'Invalid', // missing name
  22: 'Invalid', // missing OS information
  23: 'Invalid', // missing device information
  27: 'Invalid', // XML description not well formed or not complete
  28: 'AlreadyExists', // domain exists
  29: 'Forbidden', // operation denied
  35: 'Invalid', // XML detail
  42: 'NotFound', // no such domain
  44: 'Invalid', // invalid MAC address
  45: 'Forbidden', // authentication failed
  55: 'Conflict', // operation not valid in this state
  67: 'Unsupported', // configuration not supported
  68: 'Timeout', // operation timed out
  74: 'Unsupported', // argument not supported
  78: 'Aborted', // operation aborted
  80: 'NotFound', // no such metadata
  82: 'Invalid', // too large
  84: 'Unsupported', // operation not supported
  88: 'Forbidden', // access denied
  91: 'Unsupported', // guest CPU not compatible with the host
  92: 'Invalid', // XML does not fit the schema
  99: 'NotFound', // no such device
}

/** The Fault of a libvirt error; `what` is the operation and its object. */
export function faultOf(from: XdrReader, what: string): Fault {
  const error: Carried<typeof errorBody> = errorBody.read(from)
  return new Fault(kinds[error.code] ?? 'Unavailable', `libvirt cannot ${what}`, {
    cause: new Error(error.message ?? `error ${error.code}`),
    data: { code: error.code, domain: error.domain },
  })
}
