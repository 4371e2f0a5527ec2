import type { IncomingHttpHeaders } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import { Fault } from '#base/fault.ts'
import type { User } from '../strategy.ts'
import type { Authorizer } from './authorizer.ts'

/** Knows the bearer of a token; undefined for a token that is none of its own, or no longer valid. */
export interface TokenReader {
  userOf(token: string): Promise<User | undefined>
}

const authenticated = 'system:authenticated'
export const anonymous: User = { name: 'system:anonymous', groups: ['system:unauthenticated'] }

/** Who sends a request: by client certificate, else by token, else nobody. @throws Fault Unauthorized for an unknown token */
export async function authenticate(raw: Http2ServerRequest, tokens: readonly TokenReader[]): Promise<User> {
  const byCertificate = certificateUser(raw)
  if (byCertificate) return withGroup(byCertificate)
  const [, token] = /^bearer +(\S+) *$/i.exec(raw.headers.authorization ?? '') ?? []
  if (token === undefined) {
    if (raw.headers.authorization !== undefined) throw new Fault('Unauthorized', 'Unauthorized')
    return anonymous
  }
  for (const reader of tokens) {
    const user = await reader.userOf(token)
    if (user) return withGroup(user)
  }
  throw new Fault('Unauthorized', 'Unauthorized')
}

/** Whose certificate a connection was opened with: it stays the same, and decoding it takes longer than a small request. */
const usersBySocket = new WeakMap<TLSSocket, User | undefined>()

function certificateUser(raw: Http2ServerRequest): User | undefined {
  const own = raw as Http2ServerRequest & { socket: TLSSocket }
  const socket = (own.stream?.session?.socket ?? own.socket) as TLSSocket
  if (!usersBySocket.has(socket)) usersBySocket.set(socket, subjectOf(socket))
  return usersBySocket.get(socket)
}

function subjectOf(socket: TLSSocket): User | undefined {
  const subject = socket.authorized ? socket.getPeerCertificate()?.subject : undefined
  if (!subject?.CN) return undefined
  const groups = subject.O as string | string[] | undefined
  return { name: String(subject.CN), groups: groups === undefined ? [] : [groups].flat() }
}

function withGroup(user: User): User {
  return user.groups.includes(authenticated) ? user : { ...user, groups: [...user.groups, authenticated] }
}

/** Whom the sender wants to be taken for (`kubectl --as`): themselves, or whoever they may impersonate. @throws Fault */
export function impersonated(sender: User, headers: IncomingHttpHeaders, access: Authorizer): User {
  const name = headers['impersonate-user']
  const given = [headers['impersonate-group'] ?? []].flat().flatMap((text) => text.split(/, */))
  if (Object.keys(headers).some((key) => key.startsWith('impersonate-extra-') || key === 'impersonate-uid'))
    throw new Fault('BadRequest', 'impersonation of a uid or of extra values is not supported')
  if (typeof name !== 'string' || !name) {
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
