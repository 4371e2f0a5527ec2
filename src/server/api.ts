import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { explain } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { repairDefaultRoles } from '#controllers/cluster-roles.ts'
import { Scheduler } from '#controllers/scheduler.ts'
import { nodeNameLabel, nodeReadVeto, nodesGroup, type Placement } from '#core/access/node.ts'
import type { Component } from '#core/access/system-roles.ts'
import { clusterConfig } from '#core/admission/config.ts'
import { systemGroup } from '#core/admission/template.ts'
import { nodeOfClaim } from '#core/disk/claims.ts'
import { isHotpluggable } from '#core/disk/hotplug.ts'
import { claimNames } from '#core/disk/readiness.ts'
import { noTypes } from '#core/instancetype/matcher.ts'
import { deviceRequests } from '#core/pci/request.ts'
import type { NamespaceLimits } from '#core/quota/limits.ts'
import type { Client } from '#machinery/client/client.ts'
import { sweepEvents } from '#machinery/client/recorder.ts'
import { Authorizer, mastersGroup } from '#machinery/rest/access/authorizer.ts'
import { LocalClient } from '#machinery/rest/local-client.ts'
import { Registry } from '#machinery/rest/registry.ts'
import type { User } from '#machinery/rest/strategy.ts'
import type { Store } from '#machinery/store/store.ts'
import { type AccessCaches, accessSource, followAccess } from './access.ts'
import { bootstrap } from './bootstrap.ts'
import { MacPool } from './mac-pool.ts'
import { type Clients, followObjects, type Objects, sourceKey } from './objects.ts'
import { Quotas } from './quotas.ts'
import { servedKinds } from './served.ts'
import type { ServedContext } from './served-vms.ts'

/** Interval of deleting expired Events, milliseconds. */
const sweepMs = 300_000

/** The API's inside: served kinds, authorization, and clients that go through both. */
export type Api = Readonly<{
  registry: Registry
  /** Identity of this cluster: UID of its namespace kube-system. */
  cluster: string
  access: Authorizer
  clients: Clients
  /** A client in the name of a user whose rights have been checked already. */
  clientAs(user: User): Client
  /** A client for the agent of a node in this process, with the rights of a remote agent. */
  agentClient(node: string): Client
  objects: Objects
  /** Which node an instance goes to; evictions and controllers ask the same one. */
  scheduler: Scheduler
  /** Caches of what the authorizer decides by. */
  roles: AccessCaches
  usage: Quotas
}>

export type ApiOptions = Readonly<{
  namespaceLimits: NamespaceLimits
  /** Whether users may attach any network they name, without the right to get it. */
  anyNamespaceNetworks: boolean
  /** How long entries of oVirt's audit log are kept, milliseconds; a month unless given. */
  auditEntriesMs?: number
  log: Log
}>

/**
 * Makes an API of a store: everything between the two, and nothing that acts on objects. Lives until the signal aborts.
 * Resolves when the caches it decides by are synced.
 */
export async function startApi(store: Store, options: ApiOptions, signal: AbortSignal): Promise<Api> {
  const { log, namespaceLimits, anyNamespaceNetworks } = options
  // Both caches are filled by clients of the API they serve; writes before that do not read them.
  let objects: Objects | undefined
  let roles: AccessCaches | undefined
  const rules = rulesOver(() => objects)
  const access = new Authorizer(
    accessSource(() => roles),
    (user, wanted) => nodeReadVeto(user, wanted, rules.placement),
  )
  const served = servedKinds({ ...rules, access, anyNamespaceNetworks })
  const usage = new Quotas(store, served, namespaceLimits)
  const registry = new Registry(store, served, { ration: (write) => usage.refusal(write) })
  rules.macs.use(registry.claims)
  const clients = clientsOf(registry, access)
  const cluster = await bootstrap(clients.own)
  await repairDefaultRoles(clients.own)
  roles = followAccess(clients.own, { log, signal })
  await Promise.all(Object.values(roles).map((one) => one.synced))
  objects = await followObjects(clients, { log, signal })
  await registry.repairClaims()
  sweepAgainAndAgain(clients.own, options, signal)
  return {
    registry,
    cluster,
    access,
    clients,
    clientAs: (user) => new LocalClient(registry, { user, manager: 'patchbay' }),
    agentClient: (node) =>
      new LocalClient(registry, {
        user: { name: `system:node:${node}`, groups: [nodesGroup] },
        manager: 'patchbay-agent',
        access,
      }),
    objects,
    scheduler: new Scheduler(objects.nodes, objects.pods, {
      volumeNodeOf: volumeNodeIn(objects),
      devicesOf: devicesIn(objects),
    }),
    roles,
    usage,
  }
}

function volumeNodeIn({ claims }: Pick<Objects, 'claims'>) {
  return ({ metadata, spec }: VirtualMachineInstance): string | undefined => {
    const { volumes = [] } = spec
    // A volume that can be plugged later decides only when no other one does.
    const inOrder = volumes.toSorted((a, b) => Number(isHotpluggable(a)) - Number(isHotpluggable(b)))
    for (const name of claimNames({ volumes: inOrder })) {
      const claim = claims.get({ namespace: metadata.namespace ?? 'default', name })
      const node = claim && nodeOfClaim(claim)
      if (node !== undefined) return node
    }
    return undefined
  }
}

/** What the rules of kinds read from the caches; before the caches exist, they read nothing. */
function rulesOver(objects: () => Objects | undefined): Omit<ServedContext, 'access' | 'anyNamespaceNetworks'> {
  const config = () => clusterConfig(objects()?.kubevirts.list()[0], objects()?.nodes.list())
  const nodeWithClaim = (namespace: string, name: string) => {
    const claim = objects()?.claims.get({ namespace, name })
    return claim && nodeOfClaim(claim)
  }
  const placement: Placement = {
    nodeOfPod: (namespace, name) => objects()?.pods.get({ namespace, name })?.spec.nodeName,
    nodesOfInstance: (namespace, name) => [
      objects()?.vmis.get({ namespace, name })?.metadata.labels?.[nodeNameLabel],
      ...(objects()?.pods.indexed('byVmi', `${namespace}/${name}`) ?? []).map(({ spec }) => spec.nodeName),
    ],
    nodeOfClaim: nodeWithClaim,
    nodesNaming: (source) => [
      ...(objects()?.vmis.indexed('bySource', sourceKey(source)) ?? []).map(
        ({ metadata }) => metadata.labels?.[nodeNameLabel],
      ),
      ...(objects()?.dataVolumes.indexed('bySource', sourceKey(source)) ?? []).map(({ metadata }) =>
        nodeWithClaim(metadata.namespace, metadata.name),
      ),
    ],
  }
  return {
    config,
    disks: {
      claim: (key) => objects()?.claims.get(key),
      dataVolume: (key) => objects()?.dataVolumes.get(key),
      dataSource: (key) => objects()?.dataSources.get(key),
    },
    types: (vm) => objects()?.types.find(vm) ?? noTypes,
    placement,
    macs: new MacPool(
      () => config().macRange,
      (namespace, name) => objects()?.vms.get({ namespace, name }),
    ),
    instance: (namespace, name) => objects()?.vmis.get({ namespace, name }),
    migrations: (namespace, name) => objects()?.migrations.indexed('byVmi', `${namespace}/${name}`) ?? [],
  }
}

function clientsOf(registry: Registry, access: Authorizer): Clients {
  return {
    own: new LocalClient(registry, {
      user: { name: 'system:apiserver', groups: [mastersGroup, systemGroup] },
      manager: 'patchbay',
    }),
    as: ({ name }: Component) =>
      new LocalClient(registry, { user: { name, groups: [systemGroup] }, manager: name.split(':').at(-1)!, access }),
  }
}

function sweepAgainAndAgain(client: Client, { auditEntriesMs, log }: ApiOptions, signal: AbortSignal): void {
  const sweep = () =>
    sweepEvents(client, Date.now(), auditEntriesMs).catch((error: unknown) =>
      log.warn({ cause: explain(error) }, 'Cannot sweep events'),
    )
  const timer = setInterval(sweep, sweepMs)
  timer.unref()
  signal.addEventListener('abort', () => clearInterval(timer))
}

/** How many of the host's devices an instance needs, by what its networks say. */
function devicesIn({ networks }: Pick<Objects, 'networks'>) {
  return ({ spec, metadata }: VirtualMachineInstance) =>
    deviceRequests(spec, metadata.namespace ?? 'default', (network) => {
      const [namespace = '', name = ''] = network.split('/')
      return networks.get({ namespace, name })?.metadata.annotations
    })
}
