import { Namespace } from '#apis/core/namespace.ts'
import { VirtualMachineClusterInstancetype } from '#apis/instancetype/instancetype.ts'
import { VirtualMachineClusterPreference } from '#apis/instancetype/preference.ts'
import { KubeVirt } from '#apis/kubevirt/kubevirt.ts'
import { type ApiObject, apiVersionOf, type Kind } from '#apis/meta/object.ts'
import { StorageClass } from '#apis/storage/storageclass.ts'
import { faultKind } from '#base/fault.ts'
import { leaseNamespace } from '#core/access/node.ts'
import { localClass, localProvisioner } from '#core/disk/claims.ts'
import { builtInInstancetypes, builtInPreferences } from '#core/instancetype/built-in.ts'
import type { Client } from '#machinery/client/client.ts'

/** The namespace whose UID is the identity of a cluster, as everywhere in Kubernetes. */
export const clusterNamespace = 'kube-system'

/** Creates the objects every installation has; resolves to the identity of the cluster. */
export async function bootstrap(client: Client): Promise<string> {
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
  await createIfMissing(client, StorageClass, {
    apiVersion: apiVersionOf(StorageClass),
    kind: StorageClass.kind,
    metadata: { name: localClass, annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } },
    provisioner: localProvisioner,
    allowVolumeExpansion: false,
  })
  for (const one of builtInInstancetypes) await createIfMissing(client, VirtualMachineClusterInstancetype, one)
  for (const one of builtInPreferences) await createIfMissing(client, VirtualMachineClusterPreference, one)
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
