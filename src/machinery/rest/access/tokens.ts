import { randomUUID } from 'node:crypto'
import { isObject, type JsonObject } from '#base/json.ts'
import type { User } from '../strategy.ts'
import { issuer, serviceAccountGroups, type TokenReader } from './authenticate.ts'
import { Signer } from './signer.ts'

/** Clocks of issuer and reader may differ by that much, seconds. */
const leewaySeconds = 10

type TokenSubject = Readonly<{ namespace: string; name: string; uid: string }>

/** The Secret that a token is bound to, in the namespace of its subject. */
type TokenSecret = Readonly<{ name: string; uid: string }>

type Options = Readonly<{
  /** Private key of the curve P-256, PEM. */
  key: string
  /** The uid of a ServiceAccount; undefined for a missing one. */
  uidOf: (namespace: string, name: string) => Promise<string | undefined>
  /** The uid of a Secret and the token in it; undefined for a missing one. */
  secretOf: (namespace: string, name: string) => Promise<Readonly<{ uid: string; token: string }> | undefined>
  nowMs?: () => number
}>

/** Issues and reads the tokens of ServiceAccounts: JSON Web Tokens signed with ES256, as Kubernetes' own are. */
export class ServiceAccountTokens implements TokenReader {
  readonly #signer: Signer
  /** The uid of a ServiceAccount; undefined for a missing one. */
  readonly uidOf: Options['uidOf']
  readonly #secretOf: Options['secretOf']
  readonly #nowMs: () => number

  constructor({ key, uidOf, secretOf, nowMs = Date.now }: Options) {
    this.#signer = new Signer(key)
    this.uidOf = uidOf
    this.#secretOf = secretOf
    this.#nowMs = nowMs
  }

  /** A token that says who its bearer is until it expires. */
  issue(
    subject: TokenSubject,
    audiences: readonly string[],
    lifeSeconds: number,
  ): { token: string; expiresMs: number } {
    const now = Math.floor(this.#nowMs() / 1000)
    const times = { exp: now + lifeSeconds, nbf: now }
    const token = this.#signer.signed({ ...claimsOf(subject, audiences, now), ...times })
    return { token, expiresMs: (now + lifeSeconds) * 1000 }
  }

  /** A token without an expiry, which is good as long as it is what the given Secret holds. */
  issueFor(subject: TokenSubject, { name, uid }: TokenSecret): string {
    return this.#signer.signed(claimsOf(subject, [issuer], Math.floor(this.#nowMs() / 1000), { secret: { name, uid } }))
  }

  async userOf(token: string, audience = issuer): Promise<User | undefined> {
    const claims = this.#signer.verified(token)
    if (!claims) return undefined
    const isOurs = claims.iss === issuer && Array.isArray(claims.aud) && claims.aud.includes(audience)
    const bearer = bearerOf(claims)
    if (!isOurs || !bearer || !this.#isCurrent(claims, bearer)) return undefined
    const { subject, secret } = bearer
    // A ServiceAccount that was deleted, or made again, is not the one the token was given to.
    if ((await this.uidOf(subject.namespace, subject.name)) !== subject.uid) return undefined
    if (secret && !(await this.#isIn(subject.namespace, secret, token))) return undefined
    return {
      name: `system:serviceaccount:${subject.namespace}:${subject.name}`,
      uid: subject.uid,
      groups: serviceAccountGroups(subject.namespace),
      extra: { 'authentication.kubernetes.io/credential-id': [`JTI=${String(claims.jti)}`] },
    }
  }

  /** What ends a token is its time, or the Secret it is bound to: one without both is not ours. */
  #isCurrent({ exp, nbf }: JsonObject, { secret }: Bearer): boolean {
    const now = this.#nowMs() / 1000
    if (exp === undefined) return secret !== undefined
    return Number(exp) > now && Number(nbf) <= now + leewaySeconds
  }

  /** Whether a Secret is the one a token is bound to and still holds it: who takes the token out of it ends it, too. */
  async #isIn(namespace: string, { name, uid }: TokenSecret, token: string): Promise<boolean> {
    const now = await this.#secretOf(namespace, name)
    return now?.uid === uid && now.token === token
  }
}

/** What every token says, as Kubernetes' bound tokens do. */
function claimsOf(
  { namespace, name, uid }: TokenSubject,
  audiences: readonly string[],
  issuedAt: number,
  bound: JsonObject = {},
): JsonObject {
  return {
    aud: audiences,
    iat: issuedAt,
    iss: issuer,
    jti: randomUUID(),
    'kubernetes.io': { namespace, ...bound, serviceaccount: { name, uid } },
    sub: `system:serviceaccount:${namespace}:${name}`,
  }
}

type Bearer = Readonly<{ subject: TokenSubject; secret?: TokenSecret }>

function bearerOf(claims: JsonObject): Bearer | undefined {
  const own = claims['kubernetes.io']
  if (!isObject(own) || typeof own.namespace !== 'string') return undefined
  const account = namedOf(own.serviceaccount)
  if (!account) return undefined
  const subject = { namespace: own.namespace, ...account }
  if (own.secret === undefined) return { subject }
  const secret = namedOf(own.secret)
  return secret && { subject, secret }
}

function namedOf(claim: unknown): { name: string; uid: string } | undefined {
  if (!isObject(claim)) return undefined
  const { name, uid } = claim
  return typeof name === 'string' && typeof uid === 'string' ? { name, uid } : undefined
}
