import { Fault } from '#base/fault.ts'
import type { User } from '../strategy.ts'
import { type Attributes, isAllowedBy, type Rule } from './rules.ts'

/** Members may do everything, whatever the roles say: the way back in when bad roles lock all users out. */
export const mastersGroup = 'system:masters'

type Ref = Readonly<{ kind: string; name: string }>
export type RoleLike = Readonly<{ rules?: readonly Rule[] | null }>
export type BindingLike = Readonly<{
  subjects?: readonly Readonly<{ kind: string; name: string; namespace?: string }>[]
  roleRef: Ref
}>

/** Where the authorizer finds roles and bindings. `namespace` is undefined for those of the whole cluster. */
export interface AccessSource {
  role(namespace: string | undefined, name: string): RoleLike | undefined
  bindings(namespace: string | undefined): readonly BindingLike[]
}

export type Decision = Readonly<{ allowed: boolean; reason: string }>

/** Why a user may not do what their roles allow; undefined for users without limits beside roles. */
export type Veto = (user: User, wanted: Attributes) => string | undefined

/** Decides by roles and bindings, as Kubernetes' RBAC does: what no role allows is refused. */
export class Authorizer {
  readonly #source: AccessSource
  readonly #veto: Veto

  constructor(source: AccessSource, veto: Veto = () => undefined) {
    this.#source = source
    this.#veto = veto
  }

  decide(user: User, wanted: Attributes): Decision {
    if (user.groups.includes(mastersGroup)) return { allowed: true, reason: '' }
    const veto = this.#veto(user, wanted)
    if (veto !== undefined) return { allowed: false, reason: veto }
    const broken: string[] = []
    for (const { rules, via } of this.#grants(user, namespaceOf(wanted), broken))
      if (rules.some((rule) => isAllowedBy(rule, wanted))) return { allowed: true, reason: `RBAC: allowed by ${via}` }
    const reason = broken.length ? `RBAC: ${broken.join(', ')}` : ''
    return { allowed: false, reason }
  }

  /** @throws Fault Forbidden in Kubernetes' words */
  require(user: User, wanted: Attributes): void {
    const { allowed, reason } = this.decide(user, wanted)
    if (!allowed) throw refusal(user, wanted, reason)
  }

  /** Everything a user may do in a namespace, and everywhere. */
  rulesFor(user: User, namespace: string | undefined): Rule[] {
    const all: Rule[] = [
      { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
      { verbs: ['*'], nonResourceURLs: ['*'] },
    ]
    const masters = user.groups.includes(mastersGroup) ? all : []
    return [...masters, ...[...this.#grants(user, namespace, [])].flatMap(({ rules }) => rules)]
  }

  /** The rules behind a role reference. @throws Fault NotFound */
  rulesOf(namespace: string | undefined, ref: Ref): readonly Rule[] {
    const role = this.#role(namespace, ref)
    if (!role) throw new Fault('NotFound', missingRole(ref))
    return role.rules ?? []
  }

  *#grants(user: User, namespace: string | undefined, broken: string[]) {
    for (const where of namespace ? [undefined, namespace] : [undefined])
      for (const binding of this.#source.bindings(where)) {
        if (!binding.subjects?.some((subject) => isSubject(subject, user, where))) continue
        const role = this.#role(where, binding.roleRef)
        if (!role) broken.push(missingRole(binding.roleRef))
        else {
          const { kind, name } = binding.roleRef
          const scope = where === undefined ? 'ClusterRoleBinding' : `RoleBinding in "${where}"`
          yield { rules: role.rules ?? [], via: `${scope} of ${kind} "${name}" to User "${user.name}"` }
        }
      }
  }

  #role(namespace: string | undefined, { kind, name }: Ref): RoleLike | undefined {
    return this.#source.role(kind === 'ClusterRole' ? undefined : namespace, name)
  }
}

function missingRole({ kind, name }: Ref): string {
  return `${kind.toLowerCase()}.rbac.authorization.k8s.io "${name}" not found`
}

function isSubject(
  { kind, name, namespace }: Readonly<{ kind: string; name: string; namespace?: string }>,
  user: User,
  where: string | undefined,
): boolean {
  if (kind === 'User') return user.name === name
  if (kind === 'Group') return user.groups.includes(name)
  return kind === 'ServiceAccount' && user.name === `system:serviceaccount:${namespace || where || ''}:${name}`
}

function namespaceOf(wanted: Attributes): string | undefined {
  return 'path' in wanted ? undefined : wanted.namespace
}

/** `pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default"` */
function refusal(user: User, wanted: Attributes, reason = ''): Fault {
  const who = `User ${JSON.stringify(user.name)} cannot ${wanted.verb}`
  const why = reason && `: ${reason}`
  if ('path' in wanted)
    return new Fault('Forbidden', `forbidden: ${who} path ${JSON.stringify(wanted.path)}${why}`, {
      data: { details: {} },
    })
  const { group, resource, subresource, namespace, name } = wanted
  const qualified = group ? `${resource}.${group}` : resource
  const full = subresource ? `${resource}/${subresource}` : resource
  const where = namespace ? `in the namespace ${JSON.stringify(namespace)}` : 'at the cluster scope'
  const object = name ? `${qualified} ${JSON.stringify(name)}` : qualified
  const details = { ...(name && { name }), ...(group && { group }), kind: resource }
  return new Fault(
    'Forbidden',
    `${object} is forbidden: ${who} resource ${JSON.stringify(full)} in API group ${JSON.stringify(group)} ${where}${why}`,
    { data: { details } },
  )
}
