import type { FieldError, Kind } from '#apis/meta/object.ts'
import { isObject, isStrings } from '#base/json.ts'
import { timestamp } from '#base/time.ts'
import { invalid, notFound } from '../status.ts'
import { issuer } from './authenticate.ts'
import type { Review } from './review.ts'
import type { ServiceAccountTokens } from './tokens.ts'

/** Shortest, longest and usual life of a token, seconds (Kubernetes' limits). */
const minSeconds = 600
const maxSeconds = 2 ** 32
const usualSeconds = 3600

type Options = Readonly<{
  accounts: Kind
  kind: Kind
  tokens: ServiceAccountTokens
  /** Longest life of a token, seconds; a longer requested one is shortened. */
  maxExpirationSeconds: number
}>

/** What `kubectl create token` posts to `serviceaccounts/NAME/token`. */
export function tokenRequests(options: Options): Review {
  const { accounts, kind, tokens, maxExpirationSeconds } = options
  return {
    at: accounts,
    subresource: 'token',
    kind,
    isWrite: true,
    answer: async (input, { path, warn }) => {
      const { namespace = '', name = '' } = path
      const spec = isObject(input.spec) ? input.spec : {}
      // Clients written in Go send null for an empty list.
      const audiences = spec.audiences ?? []
      const { boundObjectRef } = spec
      const errors: FieldError[] = []
      const bad = (field: string, message: string) =>
        errors.push({ field: `spec.${field}`, message: `Invalid value: ${message}`, reason: 'FieldValueInvalid' })
      const asked = Number(spec.expirationSeconds ?? usualSeconds)
      const life = Math.min(asked, maxExpirationSeconds)
      if (!Number.isInteger(asked)) bad('expirationSeconds', 'must be a whole number')
      else if (asked < minSeconds) bad('expirationSeconds', `${asked}: may not specify a duration less than 10 minutes`)
      else if (asked > maxSeconds)
        bad('expirationSeconds', `${asked}: may not specify a duration larger than 2^32 seconds`)
      if (!isStrings(audiences)) bad('audiences', 'must be a list of strings')
      if (boundObjectRef !== undefined && boundObjectRef !== null)
        bad('boundObjectRef', 'tokens cannot be bound to other objects than their ServiceAccount')
      if (errors.length) throw invalid(kind, name, errors)
      const uid = await tokens.uidOf(namespace, name)
      if (uid === undefined) throw notFound(accounts, name)
      if (life < asked) warn(`requested expiration of ${asked} seconds shortened to ${life} seconds`)
      const list = isStrings(audiences) && audiences.length ? audiences : [issuer]
      const { token, expiresMs } = tokens.issue({ namespace, name, uid }, list, life)
      return {
        metadata: { name, namespace, creationTimestamp: timestamp() },
        spec: { audiences: list, expirationSeconds: life, boundObjectRef: null },
        status: { token, expirationTimestamp: timestamp(expiresMs) },
      }
    },
  }
}
