import type { FieldError, Kind } from '#apis/meta/object.ts'
import { Fault } from '#base/fault.ts'
import { isObject, isStrings, type Json, type JsonObject } from '#base/json.ts'
import { invalid } from '../status.ts'
import type { User } from '../strategy.ts'
import { issuer, type TokenReader, withGroup } from './authenticate.ts'
import type { Authorizer } from './authorizer.ts'
import type { Review } from './review.ts'
import type { Attributes, Rule } from './rules.ts'

/** The kinds of the reviews, as the server's discovery names them. */
export type ReviewKinds = Readonly<
  Record<'selfAccess' | 'access' | 'localAccess' | 'selfRules' | 'self' | 'token', Kind>
>

/** What `kubectl auth can-i`, `can-i --list` and `whoami` ask, and what proxies ask about the tokens they get. */
export function reviews(access: Authorizer, kinds: ReviewKinds, tokens: readonly TokenReader[]): readonly Review[] {
  const review = (kind: Kind, answer: Review['answer']): Review => ({ at: kind, kind, isWrite: false, answer })
  return [
    review(kinds.selfAccess, ({ spec }, { user }) => ({
      spec: spec ?? {},
      status: decided(access, user, requireAttributes(kinds.selfAccess, spec)),
    })),
    review(kinds.access, ({ spec }) => ({
      spec: spec ?? {},
      status: decided(access, requireUser(kinds.access, spec), requireAttributes(kinds.access, spec)),
    })),
    review(kinds.localAccess, ({ spec }, { path }) => {
      const wanted = requireAttributes(kinds.localAccess, spec)
      if ('path' in wanted || wanted.namespace !== path.namespace)
        throw refused(kinds.localAccess, 'spec.resourceAttributes.namespace', `must be ${path.namespace}`)
      return { spec: spec ?? {}, status: decided(access, requireUser(kinds.localAccess, spec), wanted) }
    }),
    review(kinds.selfRules, ({ spec }, { user }) => {
      const namespace = isObject(spec) && typeof spec.namespace === 'string' ? spec.namespace : ''
      if (!namespace) throw new Fault('BadRequest', 'no namespace on request')
      return { spec: spec ?? {}, status: rulesStatus(access.rulesFor(user, namespace)) }
    }),
    review(kinds.token, async ({ spec }) => ({
      spec: spec ?? {},
      status: await bearerStatus(kinds.token, spec, tokens),
    })),
    review(kinds.self, (_input, { user }) => ({ status: { userInfo: userInfo(user) } })),
  ]
}

function decided(access: Authorizer, user: User, wanted: Attributes): JsonObject {
  const { allowed, reason } = access.decide(user, wanted)
  return { allowed, ...(reason && { reason }) }
}

/** Most audiences of one review: for each of them the token is read. */
const maxAudiences = 16

/** Whose a token is, and for which of the audiences asked for. @throws Fault BadRequest, Invalid */
async function bearerStatus(kind: Kind, spec: Json | undefined, tokens: readonly TokenReader[]): Promise<JsonObject> {
  const { token, audiences: asked } = isObject(spec) ? spec : {}
  if (typeof token !== 'string' || !token)
    throw new Fault('BadRequest', 'token is required for TokenReview in authentication')
  const list = asked ?? []
  if (!isStrings(list) || list.length > maxAudiences)
    throw refused(kind, 'spec.audiences', `must be a list of at most ${maxAudiences} strings`)
  const audiences: string[] = []
  let bearer: User | undefined
  for (const audience of list.length ? list : [issuer])
    for (const reader of tokens) {
      const user = await reader.userOf(token, audience)
      if (!user) continue
      bearer = user
      audiences.push(audience)
      break
    }
  if (!bearer) return { authenticated: false, user: {}, error: 'invalid bearer token' }
  return { authenticated: true, user: userInfo(withGroup(bearer)), audiences }
}

function rulesStatus(rules: readonly Rule[]): JsonObject {
  const resourceRules = rules.filter((rule) => rule.resources?.length)
  const nonResourceRules = rules.filter((rule) => rule.nonResourceURLs?.length)
  return { resourceRules, nonResourceRules, incomplete: false }
}

function userInfo({ name, uid, groups, extra }: User): JsonObject {
  return { username: name, ...(uid && { uid }), groups, ...(extra && { extra }) }
}

function requireUser(kind: Kind, spec: Json | undefined): User {
  const { user: name, groups: list, uid } = isObject(spec) ? spec : {}
  const user = name ?? ''
  const groups = list ?? []
  if (typeof user !== 'string' || !isStrings(groups))
    throw refused(kind, 'spec', 'user must be a string, and groups a list of strings')
  if (!user && !groups.length) throw refused(kind, 'spec.user', 'at least one of user or group must be specified')
  return { name: user, groups, ...(typeof uid === 'string' && { uid }) }
}

function requireAttributes(kind: Kind, spec: Json | undefined): Attributes {
  const { resourceAttributes: resource, nonResourceAttributes: other } = isObject(spec) ? spec : {}
  if (isObject(resource) === isObject(other))
    throw refused(
      kind,
      'spec.resourceAttributes',
      'exactly one of nonResourceAttributes or resourceAttributes must be specified',
    )
  if (isObject(other)) return { verb: text(other.verb), path: text(other.path) }
  const { namespace, verb, group, resource: plural, subresource, name } = isObject(resource) ? resource : {}
  return {
    verb: text(verb),
    group: text(group),
    resource: text(plural),
    ...(text(subresource) && { subresource: text(subresource) }),
    ...(text(namespace) && { namespace: text(namespace) }),
    ...(text(name) && { name: text(name) }),
  }
}

const text = (value: Json | undefined) => (typeof value === 'string' ? value : '')

function refused(kind: Kind, field: string, message: string): Fault {
  const error: FieldError = { field, message: `Invalid value: ${message}`, reason: 'FieldValueInvalid' }
  return invalid(kind, '', [error])
}
