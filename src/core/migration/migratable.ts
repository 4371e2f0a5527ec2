import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Condition } from '#apis/meta/object.ts'
import { hasTrait } from '../nic/bindings.ts'

/** On an instance: it can be migrated despite a bridge on the pod network, although its address changes (KubeVirt). */
const allowPodBridgeAnnotation = 'kubevirt.io/allow-pod-bridge-network-live-migration'

/** The condition LiveMigratable of an instance (facts/kubevirt.md §1.7). Secondary networks never prevent a migration. */
export function liveMigratable({
  spec,
  metadata,
}: Pick<VirtualMachineInstance, 'spec' | 'metadata'>): Omit<Condition, 'lastTransitionTime'> {
  const pod = spec.networks?.find((network) => network.pod)
  const primary = spec.domain.devices.interfaces?.find(({ name }) => name === pod?.name)
  const isAllowed = metadata.annotations?.[allowPodBridgeAnnotation] !== undefined
  const ways = isAllowed ? ['always', 'ifAllowed'] : ['always']
  if (!primary || hasTrait(primary, ({ migratesOnPod }) => ways.includes(migratesOnPod)))
    return { type: 'LiveMigratable', status: 'True' }
  return {
    type: 'LiveMigratable',
    status: 'False',
    reason: 'InterfaceNotLiveMigratable',
    message: 'cannot migrate VMI which does not use masquerade or a migratable plugin to connect to the pod network',
  }
}
