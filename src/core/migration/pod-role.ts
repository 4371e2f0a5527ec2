import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { firstLauncherName } from '../vm/launcher.ts'
import { migrationJobLabel } from './labels.ts'

/** The role of a pod: it has the guest, it is a migration's target, or the instance no longer needs it. */
export type PodRole = 'active' | 'target' | 'released'

type Placed = Pick<VirtualMachineInstance, 'metadata' | 'status'>

/** The pod that has the guest, or in which it is to be started. It changes when a migration is stored as completed. */
export function activePodName(vmi: Placed): string {
  const state = vmi.status?.migrationState
  const pod = state?.completed && !state.failed ? state.targetPod : state?.sourcePod
  return pod ?? firstLauncherName(vmi)
}

/** Whether a migration has been bound to the instance and not ended yet. */
export function isMigrating({ status }: Placed): boolean {
  const state = status?.migrationState
  return state !== undefined && !state.completed && !state.failed
}

/** The role of a pod. One that was created for a migration is a target even before it is bound to the instance. */
export function podRole({ metadata }: Pick<Pod, 'metadata'>, vmi: Placed): PodRole {
  const { name, labels } = metadata
  const state = vmi.status?.migrationState
  if (name === activePodName(vmi)) return 'active'
  if (isMigrating(vmi)) return name === state?.targetPod ? 'target' : 'released'
  if (name === state?.sourcePod || name === state?.targetPod) return 'released'
  return labels?.[migrationJobLabel] === undefined ? 'released' : 'target'
}
