import { Fault } from '#base/fault.ts'
import type { Exchange } from '../../http/exchange.ts'
import type { AbsentKind, AbsentSubresource, Action } from '../actions.ts'
import type { Channel } from '../channels.ts'
import type { ResourcePath } from '../path.ts'
import { dryRunOf, type Query } from '../request.ts'
import { failure } from '../status.ts'
import type { User } from '../strategy.ts'
import { attributesOf } from './attributes.ts'
import { type AuditRecord, auditLine } from './audit.ts'
import type { AuditLog } from './audit-log.ts'
import { anonymous, authenticate, impersonated, type TokenReader, wantedName } from './authenticate.ts'
import type { Authorizer } from './authorizer.ts'
import type { Review } from './review.ts'

/** Everything that stands between a request and the registry. */
export type Guard = Readonly<{
  access: Authorizer
  tokens: readonly TokenReader[]
  reviews: readonly Review[]
  actions: readonly Action[]
  channels: readonly Channel[]
  /** Subresources that are not built, for an answer that says so. */
  absent: readonly (AbsentSubresource | AbsentKind)[]
  audit: Pick<AuditLog, 'write' | 'writeRefusal'>
}>

type AccessRequest = Readonly<{ exchange: Exchange; resource: ResourcePath | undefined; query: Query }>

/** Admits a request by its header alone. Resolves to the user it counts for. @throws Fault Unauthorized, Forbidden */
export async function admit({ access, tokens }: Guard, request: AccessRequest, record: AuditRecord): Promise<User> {
  const { exchange, resource, query } = request
  const wanted = attributesOf(exchange.method, exchange.path, resource, query)
  record.wanted = wanted
  const sender = await authenticate(exchange, tokens)
  record.sender = sender
  if (sender === anonymous && !access.decide(sender, wanted).allowed)
    throw new Fault(
      'Unauthorized',
      'Unauthorized: present a client certificate, such as the one in the kubeconfig of the data directory, or a token',
    )
  record.asked = wantedName(exchange.headers)
  const user = impersonated(sender, exchange.headers, access)
  if (user !== sender) record.as = user
  access.require(user, wanted)
  return user
}

/** Answers a request by `work`, and has its outcome written down if it was a write; of a channel, when it is opened (`note`). */
export async function audited<T extends Readonly<{ code: number }>>(
  { audit }: Pick<Guard, 'audit'>,
  { exchange, query }: Readonly<{ exchange: Exchange; query: Query }>,
  record: AuditRecord,
  work: (note: (code: number) => void) => Promise<T>,
): Promise<T> {
  const { method, path, address, headers } = exchange
  let isNoted = false
  const note = (code: number) => {
    if (isNoted) return
    isNoted = true
    const seen = { method, path, sourceIp: address, userAgent: headers['user-agent'], code }
    const line = auditLine({ ...record, dryRun: isDryRun(query) }, seen, Date.now())
    if (!line) return
    if (code < 400) audit.write(line)
    else audit.writeRefusal(record.sender?.name ?? address, line)
  }
  try {
    const outcome = await work(note)
    note(outcome.code)
    return outcome
  } catch (error) {
    note(failure(error).code)
    throw error
  }
}

function isDryRun(query: Query): boolean {
  try {
    return dryRunOf('', query)
  } catch {
    // A word that is no dry run was answered with an error.
    return false
  }
}
