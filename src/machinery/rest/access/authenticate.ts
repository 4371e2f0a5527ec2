import type { IncomingHttpHeaders } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { Fault } from '#base/fault.ts'
import type { User } from '../strategy.ts'
import type { Authorizer } from './authorizer.ts'

/** Returns the bearer of a token; undefined for a token it did not issue, or that is no longer valid. */
export interface TokenReader {
  userOf(token: string): Promise<User | undefined>
}

const authenticated = 'system:authenticated'
export const anonymous: User = { name: 'system:anonymous', groups: ['system:unauthenticated'] }

/** What identifies a request's sender: its connection's certificate and its headers. */
export type Credentials = Readonly<{ socket: TLSSocket; headers: IncomingHttpHeaders }>

/**
 * Authenticates a request: by client certificate, else by token, else as anonymous. As with kube-apiserver, a token beside a
 * valid certificate is ignored. @throws Fault Unauthorized for an unknown token
 */
export async function authenticate({ socket, headers }: Credentials, tokens: readonly TokenReader[]): Promise<User> {
  const byCertificate = certificateUser(socket, Date.now())
  if (byCertificate) return withGroup(byCertificate)
  const [, token] = /^bearer +(\S+) *$/i.exec(headers.authorization ?? '') ?? []
  if (token === undefined) {
    if (headers.authorization !== undefined) throw new Fault('Unauthorized', 'Unauthorized')
    return anonymous
  }
  for (const reader of tokens) {
    const user = await reader.userOf(token)
    if (user) return withGroup(user)
  }
  throw new Fault('Unauthorized', 'Unauthorized')
}

/** A certificate that was verified when its connection was made. */
type Verified = Readonly<{ user: User; fromMs: number; toMs: number }>

/** The certificate of each connection: it stays the same, and taking it apart costs more than all the rest. */
const known = new WeakMap<TLSSocket, Verified | 'none'>()

/** The user of a connection's certificate, as long as that is valid: a connection may outlive its certificate. */
function certificateUser(socket: TLSSocket, nowMs: number): User | undefined {
  const verified = known.get(socket) ?? verifiedOf(socket)
  known.set(socket, verified)
  if (verified === 'none' || nowMs < verified.fromMs || nowMs > verified.toMs) return undefined
  return verified.user
}

function verifiedOf(socket: TLSSocket): Verified | 'none' {
  const certificate = socket.authorized ? socket.getPeerCertificate() : undefined
  if (!certificate?.subject?.CN) return 'none'
  const { CN, O } = certificate.subject
  return {
    user: { name: String(CN), groups: O === undefined ? [] : [O].flat() },
    fromMs: Date.parse(certificate.valid_from),
    toMs: Date.parse(certificate.valid_to),
  }
}

function withGroup(user: User): User {
  return user.groups.includes(authenticated) ? user : { ...user, groups: [...user.groups, authenticated] }
}

/** The name a request wants to be taken for, whether or not it may. */
export function wantedName(headers: IncomingHttpHeaders): string | undefined {
  const name = headers['impersonate-user']
  return typeof name === 'string' && name ? name : undefined
}

/** The user to impersonate (`kubectl --as`), if the sender may; the sender otherwise. @throws Fault */
export function impersonated(sender: User, headers: IncomingHttpHeaders, access: Authorizer): User {
  const name = wantedName(headers)
  const given = [headers['impersonate-group'] ?? []].flat().flatMap((text) => text.split(/, */))
  if (Object.keys(headers).some((key) => key.startsWith('impersonate-extra-') || key === 'impersonate-uid'))
    throw new Fault('BadRequest', 'impersonation of a uid or of extra values is not supported')
  if (name === undefined) {
    if (given.length) throw new Fault('BadRequest', 'groups cannot be impersonated without impersonating a user')
    return sender
  }
  const impersonate = { verb: 'impersonate', group: '' }
  const [, namespace, account] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(name) ?? []
  if (namespace && account)
    access.require(sender, { ...impersonate, resource: 'serviceaccounts', namespace, name: account })
  else access.require(sender, { ...impersonate, resource: 'users', name })
  for (const group of given) access.require(sender, { ...impersonate, resource: 'groups', name: group })
  if (name === anonymous.name) return anonymous
  const groups = !given.length && namespace ? serviceAccountGroups(namespace) : given
  return withGroup({ name, groups })
}

/** The groups every ServiceAccount of a namespace belongs to. */
export function serviceAccountGroups(namespace: string): string[] {
  return ['system:serviceaccounts', `system:serviceaccounts:${namespace}`]
}
