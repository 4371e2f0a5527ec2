import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstanceMigration } from '#apis/kubevirt/migration.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { isOver } from '../migration/phases.ts'
import { activePodName } from '../migration/pod-role.ts'
import { isTrue } from './conditions.ts'
import { isFinal } from './power.ts'
import type { Placement } from './scheduling.ts'

/** Strategies in KubeVirt's words (facts/kubevirt.md); without one an instance is shut down. */
type Strategy = NonNullable<VirtualMachineInstance['spec']['evictionStrategy']>

/**
 * The outcome of an eviction of a launcher pod:
 * - `deletePod`: no guest runs in it.
 * - `shutDown`: its guest is shut down in order, with the grace period of the instance.
 * - `evacuate`: the instance is to leave its node, and the caller tries again until it has.
 * - `refuse`: the pod stays.
 * The last two are answered 429, with `text`.
 */
export type Eviction =
  | Readonly<{ do: 'deletePod' }>
  | Readonly<{ do: 'shutDown' }>
  | Readonly<{ do: 'evacuate' | 'refuse'; text: string }>

/**
 * Decides about an eviction as KubeVirt's pod-eviction-admitter does. A migration whose guest can go nowhere would never end, so
 * that is refused with the reason. `elsewhere` finds another node for the instance.
 */
export function decideEviction(
  pod: Pod,
  vmi: VirtualMachineInstance,
  { byDefault, elsewhere }: Readonly<{ byDefault: string | undefined; elsewhere: () => Placement }>,
): Eviction {
  if (isFinal(vmi) || activePodName(vmi) !== pod.metadata.name) return { do: 'deletePod' }
  const { namespace, name } = vmi.metadata
  const strategy = (vmi.spec.evictionStrategy ?? byDefault ?? 'None') as Strategy
  const canMove = isTrue(vmi.status?.conditions, 'LiveMigratable')
  if (strategy === 'None' || (strategy === 'LiveMigrateIfPossible' && !canMove)) return { do: 'shutDown' }
  if (strategy === 'LiveMigrate' && !canMove)
    return {
      do: 'refuse',
      text: `VMI ${name} is configured with an eviction strategy but is not live-migratable`,
    }
  if (strategy !== 'External') {
    const place = elsewhere()
    if ('why' in place)
      return {
        do: 'refuse',
        text: `VMI "${namespace}/${name}" is to be live-migrated and no other node can take it: ${place.why}; stop the VM, or make room on another node`,
      }
  }
  return { do: 'evacuate', text: `Eviction triggered evacuation of VMI "${namespace}/${name}"` }
}

/** Whether an instance is still on the node that it is to leave. */
export function isToLeave({ status }: VirtualMachineInstance): boolean {
  return status?.evacuationNodeName !== undefined && status.evacuationNodeName === status.nodeName
}

/** How long a failed evacuation rests before it is tried again, milliseconds. */
const evacuationRestMs = 30_000

/** What to do about an instance that was evicted: forget that once it has left, move it, or wait. */
export type EvacuationStep =
  | Readonly<{ do: 'nothing' | 'forget' | 'migrate' }>
  | Readonly<{ do: 'wait'; againAfterMs: number }>

/** Decides what to do about an instance that was evicted; `own` are its migrations. */
export function evacuationStep(
  vmi: VirtualMachineInstance,
  own: readonly VirtualMachineInstanceMigration[],
  nowMs: number,
): EvacuationStep {
  if (vmi.status?.evacuationNodeName === undefined) return { do: 'nothing' }
  if (!isToLeave(vmi)) return { do: 'forget' }
  if (!own.every(isOver)) return { do: 'wait', againAfterMs: evacuationRestMs }
  const ends = own.map(({ status }) => Date.parse(status?.migrationState?.endTimestamp ?? ''))
  const restedMs = nowMs - Math.max(...ends.filter(Number.isFinite), Number.NEGATIVE_INFINITY)
  return restedMs >= evacuationRestMs ? { do: 'migrate' } : { do: 'wait', againAfterMs: evacuationRestMs - restedMs }
}
