import { Lease } from '#apis/coordination/lease.ts'
import { Namespace } from '#apis/core/namespace.ts'
import { Node } from '#apis/core/node.ts'
import { Pod } from '#apis/core/pod.ts'
import { ResourceQuota } from '#apis/core/resourcequota.ts'
import { kinds } from '#apis/kinds.ts'
import { KubeVirt } from '#apis/kubevirt/kubevirt.ts'
import { VirtualMachineInstanceMigration } from '#apis/kubevirt/migration.ts'
import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { type ApiObject, apiVersionOf, type Kind } from '#apis/meta/object.ts'
import { explain, faultKind } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { startAutoMigrationController } from '#controllers/auto-migration.ts'
import { repairDefaultRoles, startClusterRoleController } from '#controllers/cluster-roles.ts'
import { startGarbageController } from '#controllers/garbage.ts'
import { GuestUsers } from '#controllers/guest-users.ts'
import { movedKeyOf, startMigrationController } from '#controllers/migration.ts'
import { startNamespaceController } from '#controllers/namespace.ts'
import { startNodeLifecycleController } from '#controllers/node-lifecycle.ts'
import { Places } from '#controllers/places.ts'
import { startResourceQuotaController } from '#controllers/resource-quota.ts'
import { startServiceAccountController } from '#controllers/service-account.ts'
import { startVmController } from '#controllers/vm.ts'
import { startVmiController } from '#controllers/vmi.ts'
import { instanceKeyOf } from '#controllers/world.ts'
import { leaseNamespace, nodeNameLabel, nodeReadVeto, nodesGroup, type Placement } from '#core/access/node.ts'
import { type Component, controllers } from '#core/access/system-roles.ts'
import { clusterConfig } from '#core/admission/config.ts'
import { systemGroup } from '#core/admission/template.ts'
import type { NamespaceLimits } from '#core/quota/limits.ts'
import type { UserRange } from '#core/sandbox/users.ts'
import type { Client } from '#machinery/client/client.ts'
import { type Informer, makeInformer } from '#machinery/client/informer.ts'
import { makeRecorder, sweepEvents } from '#machinery/client/recorder.ts'
import { Authorizer, mastersGroup } from '#machinery/rest/access/authorizer.ts'
import { LocalClient } from '#machinery/rest/local-client.ts'
import { Registry } from '#machinery/rest/registry.ts'
import type { User } from '#machinery/rest/strategy.ts'
import type { Store } from '#machinery/store/store.ts'
import { type AccessCaches, accessSource, followAccess } from './access.ts'
import { clusterNamespace } from './identity.ts'
import { MacPool } from './mac-pool.ts'
import { Quotas } from './quotas.ts'
import { servedKinds } from './served.ts'

/** How often events that nobody repeats are looked for, milliseconds. */
const sweepMs = 300_000

/** The API's inside and the controllers over it. */
export type ControlPlane = Readonly<{
  registry: Registry
  /** Which cluster this is: UID of its namespace kube-system. */
  cluster: string
  access: Authorizer
  /** The server's own client, which may do everything. */
  own: Client
  /** A client that writes as somebody whose rights were looked at already. */
  clientAs(user: User): Client
  /** A client for the agent of a node in this process: it may do no more than an agent elsewhere. */
  agentClient(node: string): Client
  vms(): readonly VirtualMachine[]
  vmis(): readonly VirtualMachineInstance[]
  settled(): Promise<void>
}>

export type PlaneOptions = Readonly<{
  guestUsers: UserRange
  namespaceLimits: NamespaceLimits
  /** Whether networks are attached by whoever names them, without the right to get them. */
  anyNamespaceNetworks: boolean
}>

/** Starts everything that runs beside the store and needs no host. Resolves when the caches are filled. */
export async function startControlPlane(
  store: Store,
  log: Log,
  signal: AbortSignal,
  { guestUsers, namespaceLimits, anyNamespaceNetworks }: PlaneOptions,
): Promise<ControlPlane> {
  let kubevirts: Informer<KubeVirt> | undefined
  let nodes: Informer<Node> | undefined
  let migrations: Informer<VirtualMachineInstanceMigration, 'byVmi'> | undefined
  const config = () => clusterConfig(kubevirts?.list()[0], nodes?.list())
  const macs = new MacPool(
    () => config().macRange,
    (namespace, name) => vms.get({ namespace, name }),
  )
  const placement: Placement = {
    nodeOfPod: (namespace, name) => pods.get({ namespace, name })?.spec.nodeName,
    nodesOfInstance: (namespace, name) => [
      vmis.get({ namespace, name })?.metadata.labels?.[nodeNameLabel],
      ...pods.indexed('byVmi', `${namespace}/${name}`).map(({ spec }) => spec.nodeName),
    ],
  }
  const access = new Authorizer(
    accessSource(() => caches),
    (user, wanted) => nodeReadVeto(user, wanted, placement),
  )
  const served = servedKinds({
    macs,
    access,
    anyNamespaceNetworks,
    config,
    placement,
    instance: (namespace, name) => vmis.get({ namespace, name }),
    migrations: (namespace, name) => migrations?.indexed('byVmi', `${namespace}/${name}`) ?? [],
  })
  const usage = new Quotas(store, served, namespaceLimits)
  const registry = new Registry(store, served, { ration: (write) => usage.refusal(write) })
  macs.use(registry.claims)
  const own = new LocalClient(registry, {
    user: { name: 'system:apiserver', groups: [mastersGroup, systemGroup] },
    manager: 'patchbay',
  })
  const clientOf = ({ name }: Component) =>
    new LocalClient(registry, { user: { name, groups: [systemGroup] }, manager: name.split(':').at(-1)!, access })
  const cluster = await bootstrap(own)
  await repairDefaultRoles(own)
  const options = { log, signal }
  const caches: AccessCaches = followAccess(own, options)
  await Promise.all(Object.values(caches).map((one) => one.synced))
  const client = clientOf(controllers.virtualMachine)
  const vms = makeInformer(client, VirtualMachine, {}, options)
  const vmis = makeInformer(client, VirtualMachineInstance, {}, options)
  const pods = makeInformer(client, Pod, {}, { ...options, indexes: { byVmi: (pod) => [instanceKeyOf(pod)] } })
  nodes = makeInformer(client, Node, {}, options)
  const namespaces = makeInformer(own, Namespace, {}, options)
  kubevirts = makeInformer(own, KubeVirt, {}, options)
  const migrator = clientOf(controllers.migration)
  migrations = makeInformer(
    migrator,
    VirtualMachineInstanceMigration,
    {},
    {
      ...options,
      indexes: { byVmi: (one) => [movedKeyOf(one)] },
    },
  )
  const quotas = makeInformer(clientOf(controllers.resourceQuota), ResourceQuota, {}, options)
  await Promise.all([vms, vmis, pods, nodes, namespaces, kubevirts, migrations, quotas].map((one) => one.synced))
  await registry.repairClaims()
  const places = new Places(nodes, pods)
  const users = new GuestUsers(guestUsers, places.users)
  const world = {
    client,
    vms,
    vmis,
    pods,
    nodes,
    kubevirts,
    takeUser: () => users.take(),
    onRoom: (listener: (namespace: string) => void) =>
      usage.onChange((namespace, hasRoom) => hasRoom && listener(namespace)),
    places,
    recorder: makeRecorder(client, { component: 'patchbay-controller' }, log),
    log,
    signal,
  }
  const moving = {
    ...world,
    client: migrator,
    recorder: makeRecorder(migrator, { component: 'patchbay-controller' }, log),
    migrations,
  }
  const watcher = clientOf(controllers.node)
  const leases = makeInformer(watcher, Lease, { namespace: leaseNamespace }, options)
  const nodeWorld = { nodes, leases, vmis, recorder: makeRecorder(watcher, { component: 'node-controller' }, log) }
  const as = (component: Component) => ({ client: clientOf(component), log, signal })
  const collected = kinds.filter((kind) => !kind.isUncollected)
  const running = [
    startVmController(world),
    startVmiController(world),
    startMigrationController(moving),
    startAutoMigrationController(moving),
    startNamespaceController({ ...as(controllers.namespace), namespaces }),
    startClusterRoleController({ ...as(controllers.clusterRole), roles: caches.clusterRoles }),
    startServiceAccountController({ ...as(controllers.serviceAccount), namespaces, accounts: caches.accounts }),
    startResourceQuotaController({ ...as(controllers.resourceQuota), quotas, usage }),
    startGarbageController({ ...as(controllers.garbage), kinds: collected }),
    startNodeLifecycleController({ ...as(controllers.node), ...nodeWorld }),
  ]
  for (const vm of vms.list()) running[0]!.enqueue(`${vm.metadata.namespace}/${vm.metadata.name}`)
  for (const vmi of vmis.list()) running[1]!.enqueue(`${vmi.metadata.namespace}/${vmi.metadata.name}`)
  for (const namespace of namespaces.list()) running[4]!.enqueue(namespace.metadata.name)
  const timer = setInterval(() => {
    sweepEvents(own, Date.now()).catch((error: unknown) => log.warn({ cause: explain(error) }, 'Cannot sweep events'))
  }, sweepMs)
  timer.unref()
  signal.addEventListener('abort', () => clearInterval(timer))
  return {
    registry,
    cluster,
    access,
    own,
    clientAs: (user) => new LocalClient(registry, { user, manager: 'patchbay' }),
    agentClient: (node) =>
      new LocalClient(registry, {
        user: { name: `system:node:${node}`, groups: [nodesGroup] },
        manager: 'patchbay-agent',
        access,
      }),
    vms: () => vms.list(),
    vmis: () => vmis.list(),
    settled: async () => {
      await Promise.all(running.map((controller) => controller.stop()))
    },
  }
}

/** Makes the objects every installation has; resolves to the identity of the cluster. */
async function bootstrap(client: Client): Promise<string> {
  for (const name of ['default', clusterNamespace, leaseNamespace, 'kubevirt'])
    await createIfMissing(client, Namespace, {
      apiVersion: apiVersionOf(Namespace),
      kind: Namespace.kind,
      metadata: { name },
    })
  await createIfMissing(client, KubeVirt, {
    apiVersion: apiVersionOf(KubeVirt),
    kind: KubeVirt.kind,
    metadata: { namespace: 'kubevirt', name: 'kubevirt' },
    spec: {},
  })
  await client.modify(
    KubeVirt,
    { namespace: 'kubevirt', name: 'kubevirt' },
    (current) => ({ ...current, status: { ...current.status, phase: 'Deployed' } }),
    { subresource: 'status' },
  )
  return (await client.get(Namespace, { name: clusterNamespace }))?.metadata.uid ?? ''
}

async function createIfMissing<T extends ApiObject>(client: Client, kind: Kind<T>, object: T): Promise<void> {
  if (await client.get(kind, object.metadata)) return
  try {
    await client.create(kind, object)
  } catch (error) {
    if (faultKind(error) !== 'AlreadyExists') throw error
  }
}
