import type { Pod } from '#apis/core/pod.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { nodeNameLabel } from '#core/access/node.ts'
import type { InstanceTools } from './tools.ts'

/**
 * What is known of the instance a pod was made for: it is `here`, on this node; it is there but not here, or not yet; it is
 * proven gone; or the pod does not say which it is.
 */
type Owner = Readonly<{ is: 'here'; vmi: VirtualMachineInstance } | { is: 'elsewhere' | 'gone' | 'unknown' }>

/** Finds the instance a pod was made for. That the agent does not see it proves nothing; only the server's word does. */
export async function ownerOf(
  { client, nodeName }: InstanceTools,
  { metadata }: Pod,
  known: VirtualMachineInstance | undefined,
): Promise<Owner> {
  const owner = metadata.ownerReferences?.find(({ kind }) => kind === VirtualMachineInstance.kind)
  if (!owner) return { is: 'unknown' }
  if (known?.metadata.uid === owner.uid) return { is: 'here', vmi: known }
  const vmi = await client.get(VirtualMachineInstance, { namespace: metadata.namespace ?? '', name: owner.name })
  if (vmi?.metadata.uid !== owner.uid) return { is: 'gone' }
  return vmi.metadata.labels?.[nodeNameLabel] === nodeName ? { is: 'here', vmi } : { is: 'elsewhere' }
}
