import { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { dataVolumeOwner } from '#core/disk/data-volumes.ts'
import { isHotpluggable } from '#core/disk/hotplug.ts'
import { type PlugSource, plugSourceOf } from '#core/disk/plug-source.ts'
import { claimNameOf } from '#core/disk/sources.ts'
import type { AgentContext } from './context.ts'

/** Observes what the volumes are made of that may come to a running guest; undefined for an instance without such volumes. */
export async function observePlugs(
  { client, volumes: disks, usersOfClaim, nodeName }: AgentContext,
  vmi: VirtualMachineInstance,
): Promise<ReadonlyMap<string, PlugSource> | undefined> {
  const volumes = (vmi.spec.volumes ?? []).filter(isHotpluggable)
  if (!volumes.length) return undefined
  const namespace = vmi.metadata.namespace ?? 'default'
  const sourceOf = async (name: string) => {
    const claim = await client.get(PersistentVolumeClaim, { namespace, name })
    const isPopulated = claim !== undefined && (!dataVolumeOwner(claim) || (await disks.has(claim.metadata.uid)))
    return plugSourceOf(name, vmi, { claim, isPopulated, users: usersOfClaim(namespace, name) }, nodeName)
  }
  const pairs = volumes.map(async (one) => [one.name, await sourceOf(claimNameOf(one) ?? '')] as const)
  return new Map(await Promise.all(pairs))
}
