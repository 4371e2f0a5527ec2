import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { firstLauncherName } from '../vm/launcher.ts'
import { migrationJobLabel } from './labels.ts'

/** What a pod is to its instance: where its guest is, where it is to go, or one it has no use for any more. */
export type PodRole = 'active' | 'target' | 'released'

type Placed = Pick<VirtualMachineInstance, 'metadata' | 'status'>

/** The pod a guest is in, or is to be started in. It changes in the moment a migration is written down as completed. */
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

/** What a pod is to its instance. One that was made for a migration is its target already before the instance knows of it. */
export function podRole({ metadata }: Pick<Pod, 'metadata'>, vmi: Placed): PodRole {
  const { name, labels } = metadata
  const state = vmi.status?.migrationState
  if (name === activePodName(vmi)) return 'active'
  if (isMigrating(vmi)) return name === state?.targetPod ? 'target' : 'released'
  if (name === state?.sourcePod || name === state?.targetPod) return 'released'
  return labels?.[migrationJobLabel] === undefined ? 'released' : 'target'
}
