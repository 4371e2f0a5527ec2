import type { MigrationState } from '#apis/kubevirt/migration.ts'
import type { VirtualMachineInstance, VmiSpec, VmiStatus } from '#apis/kubevirt/vmi.ts'
import { bindingOf, isDevice } from '../nic/bindings.ts'
import { isInGuest } from '../nic/followed.ts'
import { bytesOf, memoryOf } from '../vm/memory.ts'
import { withDefaults } from './config.ts'

const mib = 2 ** 20
const gib = 2 ** 30

/** The limits of one migration, from the configuration at its start. */
export type MigrationLimits = Readonly<{
  /** Undefined for no limit. */
  bandwidthMiBs?: number
  maxDowntimeMs: number
  isAutoConverging: boolean
  /** Time limit of the whole migration, milliseconds from its start. */
  completionMs: number
  /** Time limit without progress, that is without a new minimum of the remaining bytes; milliseconds. */
  progressMs: number
}>

/** The limits of an instance's migration (facts/kubevirt.md §1.6). Less than a GiB of memory counts as one. */
export function migrationLimits(vmi: Pick<VirtualMachineInstance, 'spec' | 'status'>): MigrationLimits {
  const config = withDefaults(vmi.status?.migrationState?.migrationConfiguration)
  const bandwidth = bytesOf(config.bandwidthPerMigration) ?? 0
  const size = Math.max((memoryOf(vmi.spec).bytes ?? 0) / gib, 1)
  return {
    ...(bandwidth > 0 && { bandwidthMiBs: Math.max(Math.round(bandwidth / mib), 1) }),
    maxDowntimeMs: config.maxDowntimeMs,
    isAutoConverging: config.allowAutoConverge,
    completionMs: config.completionTimeoutPerGiB * size * 1000,
    progressMs: config.progressTimeout * 1000,
  }
}

/** A status with a changed migration state; undefined when it has another migration or that has ended. */
export function withMigrationState(
  status: VmiStatus | undefined,
  uid: string | undefined,
  change: Partial<MigrationState>,
): VmiStatus | undefined {
  const state = status?.migrationState
  if (!state || state.migrationUid !== uid || state.completed) return undefined
  return { ...status, migrationState: { ...state, ...change } }
}

/**
 * The status of an instance whose guest is being sent: it releases the devices of the host before, which it cannot take along
 * (facts/sriov.md §A). Their networks stay in its sandbox until it has arrived.
 */
export function withoutDevices({ interfaces, ...status }: VmiStatus, spec: VmiSpec): VmiStatus {
  if (!interfaces) return status
  const all = spec.domain.devices.interfaces ?? []
  const devices = new Set(all.filter((one) => isDevice(bindingOf(one))).map(({ name }) => name))
  return {
    ...status,
    interfaces: interfaces.map((one) =>
      one.name !== undefined && devices.has(one.name) && isInGuest(one)
        ? {
            name: one.name,
            ...(one.podInterfaceName && { podInterfaceName: one.podInterfaceName }),
            infoSource: 'multus-status',
          }
        : one,
    ),
  }
}

/** The final state of a failed migration. */
export function failedState(state: MigrationState, reason: string, now: string): Partial<MigrationState> {
  return {
    completed: true,
    failed: true,
    failureReason: state.abortRequested ? 'Live migration aborted' : reason,
    endTimestamp: now,
    ...(state.abortRequested && { abortStatus: 'Succeeded' as const }),
  }
}

/** The final state of a completed migration. */
export function completedState(state: MigrationState, now: string): Partial<MigrationState> {
  return {
    completed: true,
    endTimestamp: now,
    targetNodeDomainDetected: true,
    targetNodeDomainReadyTimestamp: now,
    // The abort was requested too late.
    ...(state.abortRequested && { abortStatus: 'Failed' as const }),
  }
}
