import type { KubeVirt } from '#apis/kubevirt/kubevirt.ts'
import type { VirtualMachineInstanceMigration as Migration } from '#apis/kubevirt/migration.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Condition } from '#apis/meta/object.ts'
import type { NetworkStatus } from '#apis/net/attachment.ts'
import { bindingOf, isDevice } from '../nic/bindings.ts'
import { isDefaultNetwork, wantedNics } from '../nic/desired.ts'
import { isNetwork, noNetwork } from '../nic/nic.ts'
import { findCondition, isTrue } from '../vm/conditions.ts'
import { isOver } from './phases.ts'

/** How networks are attached to a running guest: to its sandbox at once, or by a migration to another sandbox. */
export type AttachmentMode = 'InPlace' | 'Migration'

/** Delays before an instance is migrated for a change of its interfaces, milliseconds. */
export type AutoMigrationConfig = Readonly<{ graceMs: number; recheckMs: number; updateDelayMs: number }>

/** KubeVirt's own delays, seconds (facts/kubevirt.md §3.6). */
const defaultGrace = 15
const defaultRecheck = 10
const defaultUpdateDelay = 5

/** How the cluster attaches networks to running guests. */
export function attachmentMode(kubevirt: KubeVirt | undefined): AttachmentMode {
  return kubevirt?.spec?.configuration?.network?.attachment ?? 'InPlace'
}

/** The cluster's delays. */
export function autoMigrationConfig(kubevirt: KubeVirt | undefined): AutoMigrationConfig {
  const { gracePeriodSeconds, recheckSeconds, updateDelaySeconds } =
    kubevirt?.spec?.configuration?.network?.autoMigration ?? {}
  return {
    graceMs: (gracePeriodSeconds ?? defaultGrace) * 1000,
    recheckMs: (recheckSeconds ?? defaultRecheck) * 1000,
    updateDelayMs: (updateDelaySeconds ?? defaultUpdateDelay) * 1000,
  }
}

/** Whether the interfaces of an instance need a migration: at once, unless the change is made in place soon, or not at all. */
export type Requirement = 'immediate' | 'pending' | 'none'

/**
 * Whether the secondary interfaces of an instance need a migration; the first that does decides (facts/kubevirt.md §3.6).
 * `statuses` are the networks its pod has. Devices of the host need one in either mode.
 */
export function migrationRequirement(
  { spec, status, metadata }: VirtualMachineInstance,
  statuses: readonly NetworkStatus[],
  mode: AttachmentMode = 'Migration',
): Requirement {
  const networks = new Map((spec.networks ?? []).map((network) => [network.name, network]))
  const keys = new Map(wantedNics(spec, metadata.namespace ?? 'default').map((nic) => [nic.name, nic.network]))
  const known = new Map((status?.interfaces ?? []).map((one) => [one.name, one]))
  for (const one of spec.domain.devices.interfaces ?? []) {
    const { name, state } = one
    const network = networks.get(name)
    if (!network?.multus || isDefaultNetwork(network)) continue
    const isOfHost = isDevice(bindingOf(one))
    if (mode === 'InPlace' && !isOfHost) continue
    const now = known.get(name)
    if (!now && state !== 'absent') return isOfHost ? 'immediate' : 'pending'
    const sources = now?.infoSource?.split(', ') ?? []
    if (state === 'absent' && sources.includes('multus-status') && !sources.includes('domain')) return 'pending'
    // A card of the guest that is on no network is to be on one.
    const isOffNetwork = now !== undefined && !now.podInterfaceName && sources.includes('domain')
    if (isOffNetwork && state !== 'absent' && isNetwork(keys.get(name) ?? noNetwork)) return 'immediate'
    const attached = statuses.find((other) => other.interface === now?.podInterfaceName)
    if (now?.podInterfaceName && attached && attached.name !== keys.get(name)) return 'immediate'
  }
  return 'none'
}

/** The new condition MigrationRequired; undefined removes it. It stays True until nothing is required. */
export function migrationRequired(
  old: Condition | undefined,
  requirement: Requirement,
  { graceMs, nowMs }: Readonly<{ graceMs: number; nowMs: number }>,
): Omit<Condition, 'lastTransitionTime'> | undefined {
  if (requirement === 'none') return undefined
  const sinceMs = Date.parse(old?.lastTransitionTime ?? '')
  const isOverdue = old?.status === 'False' && nowMs - sinceMs > graceMs
  const isDue = requirement === 'immediate' || old?.status === 'True' || isOverdue
  return isDue
    ? { type: 'MigrationRequired', status: 'True', reason: 'AutoMigrationDueToLiveUpdate' }
    : { type: 'MigrationRequired', status: 'False', reason: 'AutoMigrationPending' }
}

/** On a migration that was created because a change of its instance needs one (KubeVirt). */
export const workloadUpdateAnnotation = 'kubevirt.io/workloadUpdateMigration'

/** Backoff after a failed migration, seconds; doubled for each further failure, up to the second value (KubeVirt). */
const firstBackoffSeconds = 20
const lastBackoffSeconds = 300

/** The next step for an instance that needs a migration, or no longer needs it. */
export type UpdateStep =
  | Readonly<{ do: 'nothing'; againAfterMs?: number }>
  | Readonly<{ do: 'migrate' }>
  | Readonly<{ do: 'evict' }>
  | Readonly<{ do: 'withdraw'; migration: Migration }>

/**
 * Decides whether an instance is migrated automatically (facts/kubevirt.md §3.6). `methods` are those that the cluster allows:
 * without any, its owner has to migrate it.
 */
export function workloadUpdate(
  vmi: VirtualMachineInstance,
  own: readonly Migration[],
  methods: readonly string[],
  { updateDelayMs, nowMs }: Readonly<{ updateDelayMs: number; nowMs: number }>,
): UpdateStep {
  const active = own.find((one) => !isOver(one))
  const required = findCondition(vmi.status?.conditions, 'MigrationRequired')
  if (required?.status !== 'True') {
    const isOurs = active?.metadata.annotations?.[workloadUpdateAnnotation] !== undefined
    // A migration that was bound is not withdrawn: it may be the reason why nothing is required any more.
    const isBound = vmi.status?.migrationState?.migrationUid === active?.metadata.uid
    const isWithdrawable = isOurs && !active.metadata.deletionTimestamp && !isBound
    return isWithdrawable ? { do: 'withdraw', migration: active } : { do: 'nothing' }
  }
  if (active || vmi.metadata.deletionTimestamp) return { do: 'nothing' }
  const canMove = isTrue(vmi.status?.conditions, 'LiveMigratable') && methods.includes('LiveMigrate')
  if (!canMove && !methods.includes('Evict')) return { do: 'nothing' }
  const restMs = Date.parse(required.lastTransitionTime ?? '') + updateDelayMs - nowMs
  const waitMs = Math.max(restMs, backoffEndMs(own) - nowMs)
  if (waitMs > 0) return { do: 'nothing', againAfterMs: waitMs }
  return canMove ? { do: 'migrate' } : { do: 'evict' }
}

/** The end of the backoff after consecutive failures of automatic migrations. */
function backoffEndMs(own: readonly Migration[]): number {
  const tried = own
    .filter(({ metadata }) => metadata.annotations?.[workloadUpdateAnnotation] !== undefined)
    .toSorted((a, b) => endMs(b) - endMs(a))
  const succeeded = tried.findIndex(({ status }) => status?.phase === 'Succeeded')
  const failures = succeeded < 0 ? tried.length : succeeded
  if (!failures) return 0
  return endMs(tried[0]!) + Math.min(firstBackoffSeconds * 2 ** (failures - 1), lastBackoffSeconds) * 1000
}

function endMs({ status }: Migration): number {
  return Date.parse(status?.phaseTransitionTimestamps?.at(-1)?.phaseTransitionTimestamp ?? '') || 0
}
