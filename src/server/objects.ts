import { DataSource } from '#apis/cdi/datasource.ts'
import { DataVolume } from '#apis/cdi/datavolume.ts'
import { Namespace } from '#apis/core/namespace.ts'
import { Node } from '#apis/core/node.ts'
import { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import { Pod } from '#apis/core/pod.ts'
import { KubeVirt } from '#apis/kubevirt/kubevirt.ts'
import { VirtualMachineInstanceMigration } from '#apis/kubevirt/migration.ts'
import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { NetworkAttachmentDefinition } from '#apis/net/attachment.ts'
import type { Log } from '#base/log.ts'
import { instanceKeyOf } from '#controllers/context.ts'
import { movedKeyOf } from '#controllers/migration.ts'
import { type Component, controllers } from '#core/access/system-roles.ts'
import { accessSources } from '#core/disk/access.ts'
import { claimsInUse } from '#core/disk/hotplug.ts'
import { type Source, sourcesOf } from '#core/disk/sources.ts'
import type { Client } from '#machinery/client/client.ts'
import { type Informer, makeInformer } from '#machinery/client/informer.ts'
import { followTypes, type TypeCaches } from './types.ts'

/** Caches that admission and controllers share: one copy of each object per process. */
export type Objects = Readonly<{
  vms: Informer<VirtualMachine>
  /** Indexed `bySource`, by the objects that their volumes name (sourceKey), and `byClaim`, by the claims among them. */
  vmis: Informer<VirtualMachineInstance, 'bySource' | 'byClaim'>
  /** Indexed `byVmi`, by the queue key of the instance a pod is for. */
  pods: Informer<Pod, 'byVmi'>
  nodes: Informer<Node>
  claims: Informer<PersistentVolumeClaim>
  /** Indexed `bySource`, by the objects that those without a disk yet need for access to their servers. */
  dataVolumes: Informer<DataVolume, 'bySource'>
  dataSources: Informer<DataSource>
  namespaces: Informer<Namespace>
  networks: Informer<NetworkAttachmentDefinition>
  /** The cluster's configuration: one object, or none. */
  kubevirts: Informer<KubeVirt>
  /** Instance types and preferences. */
  types: TypeCaches
  /** Indexed `byVmi`, by the queue key of the instance. */
  migrations: Informer<VirtualMachineInstanceMigration, 'byVmi'>
}>

/** Clients of the server's own process: one with all rights, and one per component with the rights of its role. */
export type Clients = Readonly<{ own: Client; as(component: Component): Client }>

/** Starts all informers until the signal aborts. Resolves when they are synced. */
export async function followObjects(
  clients: Clients,
  options: Readonly<{ log: Log; signal: AbortSignal }>,
): Promise<Objects> {
  const { own } = clients
  const client = clients.as(controllers.virtualMachine)
  const byInstance = { indexes: { byVmi: (pod: Stored<Pod>) => [instanceKeyOf(pod)] } }
  const byMoved = { indexes: { byVmi: (one: Stored<VirtualMachineInstanceMigration>) => [movedKeyOf(one)] } }
  const bySource = { indexes: { bySource: sourceKeysOf, byClaim: claimKeysOf } }
  const objects: Objects = {
    vms: makeInformer(client, VirtualMachine, {}, options),
    vmis: makeInformer(client, VirtualMachineInstance, {}, { ...options, ...bySource }),
    pods: makeInformer(client, Pod, {}, { ...options, ...byInstance }),
    nodes: makeInformer(client, Node, {}, options),
    claims: makeInformer(client, PersistentVolumeClaim, {}, options),
    dataVolumes: makeInformer(client, DataVolume, {}, { ...options, indexes: { bySource: accessKeysOf } }),
    dataSources: makeInformer(own, DataSource, {}, options),
    namespaces: makeInformer(own, Namespace, {}, options),
    networks: makeInformer(own, NetworkAttachmentDefinition, {}, options),
    kubevirts: makeInformer(own, KubeVirt, {}, options),
    types: followTypes(own, options),
    migrations: makeInformer(
      clients.as(controllers.migration),
      VirtualMachineInstanceMigration,
      {},
      { ...options, ...byMoved },
    ),
  }
  await Promise.all(Object.values(objects).map((one) => one.synced))
  return objects
}

/** The key of an object that volumes name, by its resource. */
export function sourceKey({
  resource,
  namespace,
  name,
}: Readonly<{ resource: string; namespace: string; name: string }>): string {
  return `${resource}/${namespace}/${name}`
}

/** The resources of the kinds of sources. */
const resources: Readonly<Record<Source['kind'], string>> = {
  Secret: 'secrets',
  ConfigMap: 'configmaps',
  PersistentVolumeClaim: 'persistentvolumeclaims',
}

function sourceKeysOf(vmi: Stored<VirtualMachineInstance>): string[] {
  const { namespace = '' } = vmi.metadata
  return sourcesOf(vmi).map(({ kind, name }) => sourceKey({ resource: resources[kind], namespace, name }))
}

function accessKeysOf(dv: Stored<DataVolume>): string[] {
  const { namespace } = dv.metadata
  if (dv.status?.phase === 'Succeeded') return []
  return accessSources(dv).map(({ kind, name }) => sourceKey({ resource: resources[kind], namespace, name }))
}

function claimKeysOf(vmi: Stored<VirtualMachineInstance>): string[] {
  return claimsInUse(vmi).map((name) => `${vmi.metadata.namespace}/${name}`)
}
