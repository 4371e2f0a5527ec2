import type { ApiObject, Kind } from '#apis/meta/object.ts'
import { ClusterRoleBinding } from '#apis/rbac/binding.ts'
import { ClusterRole } from '#apis/rbac/role.ts'
import { faultKind } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { aggregatedRules } from '#core/access/aggregate.ts'
import { autoupdateAnnotation, defaultClusterRoleBindings, defaultClusterRoles } from '#core/access/default-roles.ts'
import type { Client } from '#machinery/client/client.ts'
import type { Informer } from '#machinery/client/informer.ts'
import { type Controller, runController } from '#machinery/loop/reconcile.ts'
import { missingRules } from '#machinery/rest/access/rules.ts'

type Options = Readonly<{ client: Client; roles: Informer<ClusterRole>; log: Log; signal: AbortSignal }>

/** Sets the rules of aggregated roles to the union of what they select. */
export function startClusterRoleController({ client, roles, log, signal }: Options): Controller {
  const controller = runController({ name: 'cluster-role', workers: 1, log, signal, reconcile })
  roles.onChange(() => {
    for (const role of roles.list()) if (role.aggregationRule) controller.enqueue(role.metadata.name)
  })
  return controller

  async function reconcile(name: string): Promise<undefined> {
    await client.modify(ClusterRole, { name }, (current) =>
      current.aggregationRule ? { ...current, rules: aggregatedRules(current, roles.list()) } : undefined,
    )
  }
}

/** Creates the default roles and bindings, and restores rules that were removed. Added rules stay. */
export async function repairDefaultRoles(client: Client): Promise<void> {
  await Promise.all([
    ...defaultClusterRoles.map((role) => repair(client, ClusterRole, role, repairedRole)),
    ...defaultClusterRoleBindings.map((binding) => repair(client, ClusterRoleBinding, binding, repairedBinding)),
  ])
  // As many times as aggregation nests: view is part of edit, edit of admin.
  for (let round = 0; round < 3; round++) {
    const { items } = await client.list(ClusterRole)
    for (const { metadata } of items.filter((role) => role.aggregationRule))
      await client.modify(ClusterRole, metadata, (now) => ({ ...now, rules: aggregatedRules(now, items) }))
  }
}

async function repair<T extends ApiObject>(
  client: Client,
  kind: Kind<T>,
  wanted: T,
  repaired: (current: T, wanted: T) => T,
): Promise<void> {
  const change = (current: T) => {
    if (current.metadata.annotations?.[autoupdateAnnotation] === 'false') return undefined
    const labels = { ...current.metadata.labels, ...wanted.metadata.labels }
    return { ...repaired(current, wanted), metadata: { ...current.metadata, labels } }
  }
  if (await client.modify(kind, wanted.metadata, change)) return
  try {
    await client.create(kind, wanted)
  } catch (error) {
    if (faultKind(error) !== 'AlreadyExists') throw error
  }
}

function repairedRole(current: ClusterRole, { rules, aggregationRule }: ClusterRole): ClusterRole {
  if (aggregationRule) return { ...current, aggregationRule }
  const own = current.rules ?? []
  return { ...current, rules: [...own, ...(rules ?? []).filter((rule) => missingRules(own, [rule]).length)] }
}

function repairedBinding(current: ClusterRoleBinding, wanted: ClusterRoleBinding): ClusterRoleBinding {
  const own = current.subjects ?? []
  const missing = (wanted.subjects ?? []).filter(
    (subject) => !own.some((one) => one.kind === subject.kind && one.name === subject.name),
  )
  return { ...current, subjects: [...own, ...missing] }
}
