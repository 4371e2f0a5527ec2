import { Pod } from '#apis/core/pod.ts'
import { KubeVirt } from '#apis/kubevirt/kubevirt.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { NetworkAttachmentDefinition } from '#apis/net/attachment.ts'
import type { Log } from '#base/log.ts'
import { nodeNameLabel } from '#core/access/node.ts'
import { claimsInUse } from '#core/disk/hotplug.ts'
import type { FindNads } from '#core/sandbox/plan.ts'
import type { Client } from '#machinery/client/client.ts'
import { type Informer, makeInformer } from '#machinery/client/informer.ts'

/** Caches of what an agent reads: pods and instances of its node, networks and the configuration of the cluster. */
export type Caches = Readonly<{
  pods: Informer<Pod, 'byUid' | 'byVmi'>
  vmis: Informer<VirtualMachineInstance>
  nads: Informer<NetworkAttachmentDefinition>
  kubevirts: Informer<KubeVirt>
}>

/** Starts the caches of a node's agent. */
export function openCaches(
  client: Client,
  nodeName: string,
  options: Readonly<{ log: Log; signal: AbortSignal }>,
): Caches {
  return {
    pods: makeInformer(
      client,
      Pod,
      { fieldSelector: `spec.nodeName=${nodeName}` },
      {
        ...options,
        indexes: { byUid: (pod) => [pod.metadata.uid ?? ''], byVmi: (pod) => [instanceKeyOf(pod)] },
      },
    ),
    vmis: makeInformer(client, VirtualMachineInstance, { labelSelector: `${nodeNameLabel}=${nodeName}` }, options),
    nads: makeInformer(client, NetworkAttachmentDefinition, {}, options),
    kubevirts: makeInformer(client, KubeVirt, {}, options),
  }
}

/** `namespace/name`, the queue key of a pod. */
export function podKey({ metadata }: Pod): string {
  return `${metadata.namespace}/${metadata.name}`
}

/** A pod by its queue key. */
export function podAt({ pods }: Pick<Caches, 'pods'>, key: string): Pod | undefined {
  const [namespace = '', name = ''] = key.split('/')
  return pods.get({ namespace, name })
}

/** The cached instance that a pod was created for. */
export function instanceOf({ vmis }: Pick<Caches, 'vmis'>, pod: Pod): VirtualMachineInstance | undefined {
  return vmis.get({ namespace: pod.metadata.namespace ?? '', name: instanceNameOf(pod) })
}

/** The pods of an instance on this node. */
export function podsOf({ pods }: Pick<Caches, 'pods'>, { metadata }: VirtualMachineInstance): readonly Pod[] {
  return pods.indexed('byVmi', `${metadata.namespace}/${metadata.name}`)
}

/**
 * The pod of a sandbox, with all other pods of its instance: during a migration one pod's pass waits for the other's sandbox.
 */
export function podsBeside({ pods }: Pick<Caches, 'pods'>, uid: string): readonly Pod[] {
  return pods.indexed('byUid', uid).flatMap((pod) => pods.indexed('byVmi', instanceKeyOf(pod)))
}

/** Looks up NADs in the cache, and pools of this node by `poolOf`. */
export function nadsIn({ nads }: Pick<Caches, 'nads'>, poolOf: FindNads['poolOf']): FindNads {
  const nadOf = (network: string) => {
    const [namespace = '', name = ''] = network.split('/')
    return nads.get({ namespace, name })
  }
  return {
    configOf: (network) => nadOf(network)?.spec?.config,
    annotationsOf: (network) => nadOf(network)?.metadata.annotations,
    poolOf,
  }
}

/** Finds the instances of this node that use a claim. */
export function usersOfClaimIn({ vmis }: Pick<Caches, 'vmis'>) {
  return (namespace: string, name: string): readonly VirtualMachineInstance[] =>
    vmis.list().filter((vmi) => vmi.metadata.namespace === namespace && claimsInUse(vmi).includes(name))
}

function instanceKeyOf(pod: Pod): string {
  return `${pod.metadata.namespace}/${instanceNameOf(pod)}`
}

function instanceNameOf(pod: Pod): string {
  return pod.metadata.labels?.['vm.kubevirt.io/name'] ?? ''
}
