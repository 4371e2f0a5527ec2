import type { IncomingHttpHeaders } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { Fault } from '#base/fault.ts'
import type { User } from '../strategy.ts'
import type { Authorizer } from './authorizer.ts'
import { claimsIn } from './signer.ts'

/** The issuer of our tokens, and their default audience: the names Kubernetes uses. */
export const issuer = 'https://kubernetes.default.svc.cluster.local'

/**
 * Returns the bearer of a token; undefined for a token it did not issue, that is no longer valid, or that is for another
 * audience than the given one (this server unless given).
 */
export interface TokenReader {
  userOf(token: string, audience?: string): Promise<User | undefined>
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
  const byCertificate = isOfForeignPage(headers) ? undefined : certificateUser(socket, Date.now())
  if (byCertificate) return withGroup(byCertificate)
  const token = tokenIn(headers)
  if (token === undefined) return anonymous
  for (const reader of tokens) {
    const user = await reader.userOf(token)
    if (user) return withGroup(user)
  }
  throw new Fault('Unauthorized', 'Unauthorized')
}

/**
 * When the credentials end by which a request was authenticated, milliseconds; undefined for those that tell no end. As
 * `authenticate` does, it takes the certificate first.
 */
export function credentialEndMs({ socket, headers }: Credentials, nowMs: number): number | undefined {
  const verified = known.get(socket)
  const token = usedToken({ socket, headers }, nowMs)
  if (token === undefined) return verified && verified !== 'none' ? verified.toMs : undefined
  const { exp } = claimsIn(token) ?? {}
  return typeof exp === 'number' ? exp * 1000 : undefined
}

/** The token that a request was authenticated by; undefined for one that has a certificate. */
export function usedToken({ socket, headers }: Credentials, nowMs: number): string | undefined {
  return certificateUser(socket, nowMs) ? undefined : bearerIn(headers)
}

/**
 * Whether a page of another site opens a WebSocket: browsers let it, and show the certificate of their user as if that had wanted
 * it. Such a page must know a token.
 */
function isOfForeignPage({ upgrade, origin, host }: IncomingHttpHeaders): boolean {
  if (upgrade?.toLowerCase() !== 'websocket' || origin === undefined) return false
  return !URL.canParse(origin) || new URL(origin).host !== host
}

/** The token of a request: in its header, or else among the subprotocols of a WebSocket. @throws Fault Unauthorized */
function tokenIn(headers: IncomingHttpHeaders): string | undefined {
  const { authorization, upgrade } = headers
  const token = bearerIn(headers)
  if (token !== undefined) return token
  if (authorization !== undefined) throw new Fault('Unauthorized', 'Unauthorized')
  return upgrade?.toLowerCase() === 'websocket' ? protocolToken(headers['sec-websocket-protocol']) : undefined
}

/** The token in the header of a request. */
function bearerIn({ authorization }: IncomingHttpHeaders): string | undefined {
  return /^bearer +(\S+) *$/i.exec(authorization ?? '')?.[1]
}

/** What comes before the token in the name of a subprotocol (Kubernetes). */
const tokenProtocol = 'base64url.bearer.authorization.k8s.io.'

/**
 * The token that a browser, which can set no header, offers as a subprotocol of a WebSocket. Another one has to be offered beside
 * it, for the server to choose: the token is never sent back. @throws Fault Unauthorized
 */
export function protocolToken(offered: string | undefined): string | undefined {
  const names = (offered ?? '').split(',').map((name) => name.trim())
  const [encoded, ...more] = names.filter((name) => name.startsWith(tokenProtocol))
  if (encoded === undefined) return undefined
  const text = encoded.slice(tokenProtocol.length)
  const token = Buffer.from(text, 'base64url').toString()
  if (more.length || names.length < 2 || !/^[\w-]+$/.test(text) || !/^[\x21-\x7e]+$/.test(token))
    throw new Fault('Unauthorized', 'Unauthorized')
  return token
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

/** A user as every one who was authenticated: with the group of all of them. */
export function withGroup(user: User): User {
  return user.groups.includes(authenticated) ? user : { ...user, groups: [...user.groups, authenticated] }
}

/** The name a request wants to be taken for, whether or not it may. */
export function wantedName(headers: IncomingHttpHeaders): string | undefined {
  const name = headers['impersonate-user']
  return typeof name === 'string' && name ? name : undefined
}

/** What a request asks to be taken for. A header that comes more than once has its values behind commas. */
type Wanted = Readonly<{
  name: string | undefined
  groups: readonly string[]
  uid: string | undefined
  extra: readonly (readonly [key: string, values: readonly string[]])[]
}>

/** Most groups and extra values that one request may ask for. */
const maxWanted = 256

const extraPrefix = 'impersonate-extra-'

function wantedIdentity(headers: IncomingHttpHeaders): Wanted {
  const values = (header: string | string[] | undefined) =>
    [header ?? []].flat().flatMap((text) => text.split(/, */).filter(Boolean))
  const extra = Object.entries(headers).flatMap(([header, value]): [string, string[]][] =>
    header.startsWith(extraPrefix) ? [[decoded(header.slice(extraPrefix.length)), values(value)]] : [],
  )
  const [uid] = values(headers['impersonate-uid'])
  const groups = values(headers['impersonate-group'])
  // Each of them is looked up in the roles of the sender.
  if (groups.length + extra.reduce((sum, [, list]) => sum + list.length, 0) > maxWanted)
    throw new Fault('BadRequest', `no more than ${maxWanted} groups and values can be impersonated`)
  return { name: wantedName(headers), groups, uid, extra }
}

/** Keys of extra values come percent-encoded, because headers have few letters. @throws Fault BadRequest */
function decoded(key: string): string {
  try {
    return decodeURIComponent(key)
  } catch {
    throw new Fault('BadRequest', `the header ${extraPrefix}${key} has a key that is not percent-encoded UTF-8`)
  }
}

/** The user to impersonate (`kubectl --as`), if the sender may; the sender otherwise. @throws Fault */
export function impersonated(sender: User, headers: IncomingHttpHeaders, access: Authorizer): User {
  const { name, groups: given, uid, extra } = wantedIdentity(headers)
  if (name === undefined) {
    if (given.length || uid !== undefined || extra.length)
      throw new Fault('BadRequest', 'groups, a uid or extra values cannot be impersonated without impersonating a user')
    return sender
  }
  const impersonate = { verb: 'impersonate', group: '' }
  const [, namespace, account] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(name) ?? []
  if (namespace && account)
    access.require(sender, { ...impersonate, resource: 'serviceaccounts', namespace, name: account })
  else access.require(sender, { ...impersonate, resource: 'users', name })
  for (const group of given) access.require(sender, { ...impersonate, resource: 'groups', name: group })
  const more = { ...impersonate, group: 'authentication.k8s.io' }
  if (uid !== undefined) access.require(sender, { ...more, resource: 'uids', name: uid })
  for (const [key, values] of extra)
    for (const value of values)
      access.require(sender, { ...more, resource: 'userextras', subresource: key, name: value })
  if (name === anonymous.name) return anonymous
  const groups = !given.length && namespace ? serviceAccountGroups(namespace) : given
  return withGroup({
    name,
    groups,
    ...(uid !== undefined && { uid }),
    ...(extra.length && { extra: Object.fromEntries(extra) }),
  })
}

/** The groups every ServiceAccount of a namespace belongs to. */
export function serviceAccountGroups(namespace: string): string[] {
  return ['system:serviceaccounts', `system:serviceaccounts:${namespace}`]
}
