import { Fault, type FaultKind } from '#base/fault.ts'

/** Codes of gRPC that differ in what they mean here. */
export const codes = {
  ok: 0,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  outOfRange: 11,
  unimplemented: 12,
  unavailable: 14,
  unauthenticated: 16,
} as const

/** What is the matter, where more than the kind of the fault is asked. */
export type Matter = 'full' | 'compacted' | 'token' | 'denied' | undefined

type Judged = Readonly<{ kind: FaultKind; matter?: Matter; isUnclear?: boolean; text: string }>

/** A call that etcd refused, or did not answer. */
export class EtcdFault extends Fault {
  readonly matter: Matter
  /** Whether the request may have been carried out all the same, or still be. */
  readonly isUnclear: boolean

  constructor({ kind, matter, isUnclear = false, text }: Judged, cause?: unknown) {
    super(kind, text, cause === undefined ? {} : { cause })
    this.matter = matter
    this.isUnclear = isUnclear
  }
}

/** Whether another attempt may go better: the call was not refused for what it asks, or for who asks. */
export function isPassing(error: unknown): boolean {
  return (
    error instanceof EtcdFault && error.kind === 'Unavailable' && error.matter !== 'full' && error.matter !== 'denied'
  )
}

/** The connection to a member failed. `wasSent`: the request may have reached it. */
export function lost(member: string, wasSent: boolean, cause: unknown): EtcdFault {
  const text = wasSent ? `etcd at ${member} broke the connection off` : `etcd at ${member} cannot be reached`
  return new EtcdFault({ kind: 'Unavailable', isUnclear: wasSent, text }, cause)
}

/** A member did not answer in time. */
export function silent(member: string, ms: number): EtcdFault {
  const text = `etcd at ${member} did not answer within ${ms} ms`
  return new EtcdFault({ kind: 'Unavailable', isUnclear: true, text })
}

/** What is there speaks HTTP, but not etcd's API. */
export function notEtcd(member: string, what: string): EtcdFault {
  return new EtcdFault({ kind: 'Unavailable', text: `What answers at ${member} is no etcd of version 3 (${what})` })
}

/** A call that a member answered with an error. */
export function refused(member: string, code: number, words: string): EtcdFault {
  return new EtcdFault(judge(member, code, words), new Error(words || `gRPC code ${code}`))
}

function judge(member: string, code: number, words: string): Judged {
  if (/space exceeded/.test(words)) return { kind: 'Unavailable', matter: 'full', text: fullText }
  if (/request is too large|larger than max|message size/.test(words))
    return {
      kind: 'TooLarge',
      text: 'The object is larger than etcd takes (its --max-request-bytes, 1.5 MiB by default)',
    }
  if (/compacted/.test(words)) return { kind: 'Expired', matter: 'compacted', text: 'The revision has been compacted' }
  if (code === codes.unauthenticated || /auth store is old|invalid auth token/.test(words))
    return { kind: 'Unavailable', matter: 'token', text: `etcd at ${member} wants its user to sign in again` }
  if (/user name is empty/.test(words))
    return {
      kind: 'Unavailable',
      matter: 'denied',
      text: `etcd at ${member} wants a user: give --etcd-user and --etcd-password-file`,
    }
  if (/authentication failed|password/.test(words))
    return { kind: 'Invalid', text: `etcd at ${member} does not know the user of --etcd-user with this password` }
  if (code === codes.permissionDenied)
    return {
      ...{ kind: 'Unavailable', matter: 'denied' },
      text: `etcd at ${member} refuses its user: grant it to read all keys and to write those of the prefix`,
    }
  if (code === codes.unimplemented)
    return { kind: 'Unavailable', matter: 'denied', text: `etcd at ${member} is too old: 3.4 is the oldest` }
  // Invalid arguments and the like were judged before anything was done; whatever else may have happened in the middle.
  const wasJudged = ([codes.invalidArgument, codes.resourceExhausted, codes.outOfRange] as number[]).includes(code)
  if (wasJudged) return { kind: 'Unavailable', text: `etcd at ${member} refused the request` }
  return { kind: 'Unavailable', isUnclear: true, text: `etcd at ${member} could not carry out the request` }
}

const fullText =
  'The space quota of etcd is used up: delete objects, then run etcdctl defrag and etcdctl alarm disarm, or give etcd a larger --quota-backend-bytes'
