import type { Kind } from '#apis/meta/object.ts'
import { forbidden } from '../status.ts'
import type { User } from '../strategy.ts'
import { type Authorizer, type BindingLike, mastersGroup, type RoleLike } from './authorizer.ts'
import { compactRules, listText, missingRules, type Rule, ruleText } from './rules.ts'

type Named = Readonly<{ metadata: Readonly<{ name: string; namespace?: string }> }>
type Aggregating = Readonly<{ aggregationRule?: object }>

const everything: readonly Rule[] = [
  { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
  { verbs: ['*'], nonResourceURLs: ['*'] },
]

/**
 * No user grants rights they do not have: neither by writing a role (unless they may `escalate`) …
 * @throws Fault Forbidden
 */
export function requireRoleNotAbove(
  access: Authorizer,
  kind: Kind,
  user: User,
  role: Named & RoleLike & Aggregating,
  old: Aggregating | undefined,
): void {
  const { name, namespace } = role.metadata
  if (mayEverything(user) || isAllowed(access, user, 'escalate', kind, name, namespace)) return
  requireHeld(access, kind, user, role, role.rules ?? [])
  if (!role.aggregationRule && !old?.aggregationRule) return
  if (missingRules(access.rulesFor(user, undefined), everything).length)
    throw forbidden(kind, name, 'must have cluster-admin privileges to use the aggregationRule')
}

/** … nor by binding one (unless they may `bind` it). @throws Fault Forbidden, NotFound for a role that is not there */
export function requireBindingNotAbove(access: Authorizer, kind: Kind, user: User, binding: Named & BindingLike): void {
  const { roleRef, metadata } = binding
  const plural = roleRef.kind === 'ClusterRole' ? 'clusterroles' : 'roles'
  if (mayEverything(user) || isAllowed(access, user, 'bind', { ...kind, plural }, roleRef.name, metadata.namespace))
    return
  requireHeld(access, kind, user, binding, access.rulesOf(metadata.namespace, roleRef))
}

function mayEverything(user: User): boolean {
  return user.groups.includes(mastersGroup)
}

function isAllowed(
  access: Authorizer,
  user: User,
  verb: string,
  { group, plural }: Pick<Kind, 'group' | 'plural'>,
  name: string,
  namespace: string | undefined,
): boolean {
  return access.decide(user, { verb, group, resource: plural, name, ...(namespace && { namespace }) }).allowed
}

function requireHeld(access: Authorizer, kind: Kind, user: User, object: Named, wanted: readonly Rule[]): void {
  const { name, namespace } = object.metadata
  const missing = compactRules(missingRules(access.rulesFor(user, namespace), wanted))
  if (!missing.length) return
  const lines = missing.map(ruleText).sort().join('\n')
  throw forbidden(
    kind,
    name,
    `user ${JSON.stringify(user.name)} (groups=${listText(user.groups)}) is attempting to grant RBAC permissions not currently held:\n${lines}`,
  )
}
