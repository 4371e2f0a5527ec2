import { createHash, createPrivateKey, createPublicKey, type KeyObject, randomUUID, sign, verify } from 'node:crypto'
import { isObject, type JsonObject } from '#base/json.ts'
import type { User } from '../strategy.ts'
import { issuer, serviceAccountGroups, type TokenReader } from './authenticate.ts'

/** Clocks of issuer and reader may differ by that much, seconds. */
const leewaySeconds = 10

export type TokenSubject = Readonly<{ namespace: string; name: string; uid: string }>

type Options = Readonly<{
  /** Private key of the curve P-256, PEM. */
  key: string
  /** The uid of a ServiceAccount; undefined for a missing one. */
  uidOf: (namespace: string, name: string) => Promise<string | undefined>
  nowMs?: () => number
}>

/** Issues and reads the tokens of ServiceAccounts: JSON Web Tokens signed with ES256, as Kubernetes' own are. */
export class ServiceAccountTokens implements TokenReader {
  readonly #private: KeyObject
  readonly #public: KeyObject
  readonly #header: string
  readonly #uidOf: Options['uidOf']
  readonly #nowMs: () => number

  constructor({ key, uidOf, nowMs = Date.now }: Options) {
    this.#private = createPrivateKey(key)
    this.#public = createPublicKey(this.#private)
    this.#uidOf = uidOf
    this.#nowMs = nowMs
    const kid = createHash('sha256')
      .update(this.#public.export({ type: 'spki', format: 'der' }))
      .digest('base64url')
    this.#header = encode({ alg: 'ES256', kid })
  }

  /** A token that says who its bearer is until it expires. */
  issue(
    subject: TokenSubject,
    audiences: readonly string[],
    lifeSeconds: number,
  ): { token: string; expiresMs: number } {
    const now = Math.floor(this.#nowMs() / 1000)
    const { namespace, name, uid } = subject
    const claims = {
      aud: audiences,
      exp: now + lifeSeconds,
      iat: now,
      iss: issuer,
      jti: randomUUID(),
      'kubernetes.io': { namespace, serviceaccount: { name, uid } },
      nbf: now,
      sub: `system:serviceaccount:${namespace}:${name}`,
    }
    const signed = `${this.#header}.${encode(claims)}`
    const signature = sign('sha256', Buffer.from(signed), { key: this.#private, dsaEncoding: 'ieee-p1363' })
    return { token: `${signed}.${signature.toString('base64url')}`, expiresMs: (now + lifeSeconds) * 1000 }
  }

  async userOf(token: string, audience = issuer): Promise<User | undefined> {
    const claims = this.#verified(token)
    if (!claims) return undefined
    const now = this.#nowMs() / 1000
    const isCurrent = Number(claims.exp) > now && Number(claims.nbf) <= now + leewaySeconds
    const isOurs = claims.iss === issuer && Array.isArray(claims.aud) && claims.aud.includes(audience)
    if (!isCurrent || !isOurs) return undefined
    const subject = subjectOf(claims)
    // A ServiceAccount that was deleted, or made again, is not the one the token was given to.
    if (!subject || (await this.#uidOf(subject.namespace, subject.name)) !== subject.uid) return undefined
    return {
      name: `system:serviceaccount:${subject.namespace}:${subject.name}`,
      uid: subject.uid,
      groups: serviceAccountGroups(subject.namespace),
      extra: { 'authentication.kubernetes.io/credential-id': [`JTI=${String(claims.jti)}`] },
    }
  }

  #verified(token: string): JsonObject | undefined {
    const [header, payload, signature, ...more] = token.split('.')
    // The header must equal ours byte by byte: no client chooses the algorithm.
    if (header !== this.#header || !payload || !signature || more.length) return undefined
    const key = { key: this.#public, dsaEncoding: 'ieee-p1363' } as const
    if (!verify('sha256', Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, 'base64url')))
      return undefined
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
    return isObject(claims) ? claims : undefined
  }
}

function subjectOf(claims: JsonObject): TokenSubject | undefined {
  const own = claims['kubernetes.io']
  if (!isObject(own) || !isObject(own.serviceaccount)) return undefined
  const { name, uid } = own.serviceaccount
  const { namespace } = own
  if (typeof namespace !== 'string' || typeof name !== 'string' || typeof uid !== 'string') return undefined
  return { namespace, name, uid }
}

function encode(value: JsonObject): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
