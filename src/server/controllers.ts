import { Lease } from '#apis/coordination/lease.ts'
import { ResourceQuota } from '#apis/core/resourcequota.ts'
import { kinds } from '#apis/kinds.ts'
import type { Log } from '#base/log.ts'
import { startAutoMigrationController } from '#controllers/auto-migration.ts'
import { startClaimController } from '#controllers/claims.ts'
import { startClusterRoleController } from '#controllers/cluster-roles.ts'
import type { ControllerContext } from '#controllers/context.ts'
import { startDataSourceController } from '#controllers/data-sources.ts'
import { startDataVolumeController } from '#controllers/data-volumes.ts'
import { startGarbageController } from '#controllers/garbage.ts'
import { GuestUsers } from '#controllers/guest-users.ts'
import { startMigrationController } from '#controllers/migration.ts'
import { startNamespaceController } from '#controllers/namespace.ts'
import { startNodeLifecycleController } from '#controllers/node-lifecycle.ts'
import { startResourceQuotaController } from '#controllers/resource-quota.ts'
import type { Scheduler } from '#controllers/scheduler.ts'
import { startServiceAccountController } from '#controllers/service-account.ts'
import { startTokenSecretController } from '#controllers/token-secret.ts'
import { startVmController } from '#controllers/vm.ts'
import { startVmiController } from '#controllers/vmi.ts'
import { leaseNamespace } from '#core/access/node.ts'
import { type Component, controllers } from '#core/access/system-roles.ts'
import type { TokenSource } from '#core/access/token-secret.ts'
import type { UserRange } from '#core/sandbox/users.ts'
import { makeInformer } from '#machinery/client/informer.ts'
import { makeRecorder } from '#machinery/client/recorder.ts'
import type { AccessCaches } from './access.ts'
import type { Clients, Objects } from './objects.ts'
import type { Quotas } from './quotas.ts'

/** What controllers share with the API of their process: caches, the scheduler, and the key that tokens are signed with. */
export type Shared = Readonly<{
  objects: Objects
  scheduler: Scheduler
  roles: AccessCaches
  usage: Quotas
  tokens: TokenSource
}>

export type ControllersOptions = Readonly<{ guestUsers: UserRange; log: Log }>

/** Running controllers. `stop` starts no more passes, aborts those that run, and waits for them. */
export type Controllers = Readonly<{ stop(): Promise<void> }>

/** Starts every controller with the rights of its own component. Resolves when the caches of controllers are synced. */
export async function startControllers(
  clients: Clients,
  shared: Shared,
  { guestUsers, log }: ControllersOptions,
  signal: AbortSignal,
): Promise<Controllers> {
  const { objects, roles, usage, tokens } = shared
  const options = { log, signal }
  const quotas = makeInformer(clients.as(controllers.resourceQuota), ResourceQuota, {}, options)
  const leases = makeInformer(clients.as(controllers.node), Lease, { namespace: leaseNamespace }, options)
  await Promise.all([quotas.synced, leases.synced])
  const as = (component: Component) => ({ client: clients.as(component), log, signal })
  const recorder = (component: Component, name: string) => makeRecorder(clients.as(component), { component: name }, log)
  const context = contextOf(shared, guestUsers, {
    ...as(controllers.virtualMachine),
    recorder: recorder(controllers.virtualMachine, 'patchbay-controller'),
  })
  const moving = {
    ...context,
    ...as(controllers.migration),
    recorder: recorder(controllers.migration, 'patchbay-controller'),
    migrations: objects.migrations,
  }
  const { namespaces, nodes, vmis } = objects
  const running = [
    startVmController(context),
    startVmiController(context),
    startMigrationController(moving),
    startAutoMigrationController(moving),
    startClaimController({
      ...objects,
      ...as(controllers.volume),
      recorder: recorder(controllers.volume, 'persistentvolume-controller'),
    }),
    startDataVolumeController({
      ...objects,
      ...as(controllers.dataVolume),
      recorder: recorder(controllers.dataVolume, 'datavolume-controller'),
    }),
    startDataSourceController({ ...objects, ...as(controllers.dataSource) }),
    startNamespaceController({ ...as(controllers.namespace), namespaces }),
    startClusterRoleController({ ...as(controllers.clusterRole), roles: roles.clusterRoles }),
    startServiceAccountController({ ...as(controllers.serviceAccount), namespaces, accounts: roles.accounts }),
    startTokenSecretController({ ...as(controllers.tokenSecret), accounts: roles.accounts, source: tokens }),
    startResourceQuotaController({ ...as(controllers.resourceQuota), quotas, usage }),
    startGarbageController({ ...as(controllers.garbage), kinds: kinds.filter((kind) => !kind.isUncollected) }),
    startNodeLifecycleController({
      ...as(controllers.node),
      ...{ nodes, leases, vmis, recorder: recorder(controllers.node, 'node-controller') },
    }),
  ]
  return {
    stop: async () => {
      await Promise.all(running.map((controller) => controller.stop()))
    },
  }
}

/** What the controllers of VMs, instances and migrations have in common. */
function contextOf(
  { objects, scheduler, usage }: Shared,
  guestUsers: UserRange,
  own: Pick<ControllerContext, 'client' | 'recorder' | 'log' | 'signal'>,
): ControllerContext {
  const users = new GuestUsers(guestUsers, scheduler.users)
  return {
    ...objects,
    ...own,
    scheduler,
    takeUser: () => users.take(),
    onRoom: (listener) => usage.onChange((namespace, hasRoom) => hasRoom && listener(namespace)),
  }
}
