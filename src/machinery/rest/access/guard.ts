import type { Http2ServerRequest } from 'node:http2'
import { Fault } from '#base/fault.ts'
import type { Action } from '../actions.ts'
import type { ResourcePath } from '../path.ts'
import { dryRunOf, type Query } from '../request.ts'
import { failure } from '../status.ts'
import type { User } from '../strategy.ts'
import { attributesOf } from './attributes.ts'
import { auditLine, type Trail } from './audit.ts'
import { anonymous, authenticate, impersonated, type TokenReader } from './authenticate.ts'
import type { Authorizer } from './authorizer.ts'
import type { Question } from './question.ts'

/** Everything that stands between a request and the registry. */
export type Guard = Readonly<{
  access: Authorizer
  tokens: readonly TokenReader[]
  questions: readonly Question[]
  actions: readonly Action[]
  /** Keeps the line about a write; must not wait. */
  audit: (line: string) => void
}>

type Wish = Readonly<{ raw: Http2ServerRequest; path: string; resource: ResourcePath | undefined; query: Query }>

/** Lets a request in, or not. Resolves to whom it counts as. @throws Fault Unauthorized, Forbidden */
export async function admit({ access, tokens }: Guard, wish: Wish, trail: Trail): Promise<User> {
  const { raw, path, resource, query } = wish
  const wanted = attributesOf(raw.method ?? 'GET', path, resource, query)
  trail.wanted = wanted
  const sender = await authenticate(raw, tokens)
  trail.sender = sender
  if (sender === anonymous && !access.decide(sender, wanted).allowed)
    throw new Fault(
      'Unauthorized',
      'Unauthorized: present a client certificate, such as the one in the kubeconfig of the data directory, or a token',
    )
  const user = impersonated(sender, raw.headers, access)
  if (user !== sender) trail.as = user
  access.require(user, wanted)
  return user
}

/** Answers a request by `work`, and has its outcome written down if it was a write. */
export async function audited(
  { audit }: Guard,
  { raw, query }: Readonly<{ raw: Http2ServerRequest; query: Query }>,
  trail: Trail,
  work: () => Promise<number>,
): Promise<void> {
  // Once the answer is sent, a connection may be gone and its address with it.
  const seen = {
    method: raw.method ?? 'GET',
    sourceIp: addressOf(raw),
    userAgent: raw.headers['user-agent'],
  }
  const tell = (code: number) => {
    const line = auditLine({ ...trail, dryRun: isDryRun(query) }, { ...seen, code }, Date.now())
    if (line) audit(line)
  }
  try {
    tell(await work())
  } catch (error) {
    tell(failure(error).code)
    throw error
  }
}

function addressOf(raw: Http2ServerRequest): string {
  try {
    return raw.socket.remoteAddress ?? ''
  } catch {
    // The connection went while its request was still on the way: HTTP/2's stand-in for the socket throws then.
    return ''
  }
}

function isDryRun(query: Query): boolean {
  try {
    return dryRunOf(query)
  } catch {
    // A word that is no dry run was answered with an error.
    return false
  }
}
