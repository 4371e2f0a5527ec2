import { ServiceAccount } from '#apis/core/serviceaccount.ts'
import type { ApiObject, FieldError, Kind, Stored } from '#apis/meta/object.ts'
import { ClusterRoleBinding, RoleBinding } from '#apis/rbac/binding.ts'
import { ClusterRole, Role } from '#apis/rbac/role.ts'
import { sameJson } from '#base/json.ts'
import type { Log } from '#base/log.ts'
import { bindingErrors, bindingWithDefaults, roleErrors } from '#core/access/rbac.ts'
import type { Client } from '#machinery/client/client.ts'
import { type Informer, makeInformer } from '#machinery/client/informer.ts'
import type { AccessSource, Authorizer } from '#machinery/rest/access/authorizer.ts'
import { requireBindingNotAbove, requireRoleNotAbove } from '#machinery/rest/access/escalation.ts'
import { type Served, serve, type User } from '#machinery/rest/strategy.ts'

/** Caches of every object that authorization reads. */
export type AccessCaches = Readonly<{
  roles: Informer<Role>
  clusterRoles: Informer<ClusterRole>
  bindings: Informer<RoleBinding, 'namespace'>
  clusterBindings: Informer<ClusterRoleBinding>
  accounts: Informer<ServiceAccount>
}>

export function followAccess(client: Client, options: Readonly<{ log: Log; signal: AbortSignal }>): AccessCaches {
  const namespace = ({ metadata }: Stored<RoleBinding>) => [metadata.namespace]
  return {
    roles: makeInformer(client, Role, {}, options),
    clusterRoles: makeInformer(client, ClusterRole, {}, options),
    bindings: makeInformer(client, RoleBinding, {}, { ...options, indexes: { namespace } }),
    clusterBindings: makeInformer(client, ClusterRoleBinding, {}, options),
    accounts: makeInformer(client, ServiceAccount, {}, options),
  }
}

/** What the authorizer decides by; before the caches exist, no user has any role. */
export function accessSource(caches: () => AccessCaches | undefined): AccessSource {
  return {
    role: (namespace, name) =>
      namespace === undefined ? caches()?.clusterRoles.get({ name }) : caches()?.roles.get({ namespace, name }),
    bindings: (namespace) =>
      (namespace === undefined
        ? caches()?.clusterBindings.list()
        : caches()?.bindings.indexed('namespace', namespace)) ?? [],
  }
}

/** A role of either kind. */
type AnyRole = Role & Pick<ClusterRole, 'aggregationRule'>

/** Roles and bindings, by which no user may get more rights than they have. */
export function accessKinds(access: Authorizer): readonly Served[] {
  const role =
    (kind: Kind) =>
    (one: AnyRole, old: AnyRole | undefined, user: User): FieldError[] => {
      const errors = roleErrors(one)
      if (!errors.length && isGrant(one, old)) requireRoleNotAbove(access, kind, user, one, old)
      return errors
    }
  const binding =
    (kind: Kind) =>
    (one: RoleBinding, old: RoleBinding | undefined, user: User): FieldError[] => {
      const errors = bindingErrors(one, old)
      if (!errors.length && isGrant(one, old)) requireBindingNotAbove(access, kind, user, one)
      return errors
    }
  return [
    serve(Role, { validate: role(Role) }),
    serve(ClusterRole, { validate: role(ClusterRole) }),
    serve(RoleBinding, { prepare: bindingWithDefaults, validate: binding(RoleBinding) }),
    serve(ClusterRoleBinding, { prepare: bindingWithDefaults, validate: binding(ClusterRoleBinding) }),
  ]
}

/**
 * Whether a write may grant rights. A label can: aggregated roles select by it. The garbage collector drops finalizers and
 * owners of roles it does not hold, and grants nothing by that (as in Kubernetes).
 */
function isGrant(next: ApiObject, old: ApiObject | undefined): boolean {
  return !old || !sameJson(granting(next), granting(old))
}

function granting({ metadata, ...rest }: ApiObject): unknown {
  const { finalizers: _f, ownerReferences: _o, managedFields: _m, resourceVersion: _r, ...meta } = metadata
  return { ...rest, metadata: meta }
}
