import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { driftText } from '#core/nic/drift.ts'
import { failuresOf, isInGuest } from '#core/nic/followed.ts'
import { effectiveLink, isNetwork } from '#core/nic/nic.ts'
import type { Plan } from '#core/nic/plan.ts'
import { findCondition, isTrue } from '#core/vm/conditions.ts'
import type { NicRow } from '#core/vm/nic-rows.ts'

/**
 * How a cable looks:
 *
 *     up         connected                      idle      its machine does not run
 *     pulled     the link is down               moving    about to be as declared
 *     waiting    comes with a restart or a move drifted   found otherwise than declared, and left so
 *     failed     cannot be as declared          migrating its machine moves to another host
 *     unplugged  the card is declared absent
 */
export type CableState =
  | 'up'
  | 'pulled'
  | 'idle'
  | 'moving'
  | 'waiting'
  | 'drifted'
  | 'failed'
  | 'migrating'
  | 'unplugged'

/** A cable, and why it is so, where that is not plain. */
export type Cable = Readonly<{ state: CableState; why?: string; from?: string }>

/** What a cable is judged by. `rail` is the network of the planner. */
export type CableInput = Readonly<{
  row: NicRow
  rail: string
  running: VirtualMachineInstance | undefined
  plan: Plan | undefined
}>

/** Judges one cable. */
export function cableOf({ row, rail, running, plan }: CableInput): Cable {
  if (!running || !plan) return { state: offState(row, rail) }
  if (row.declared === undefined && row.instance === undefined && row.hypervisor === undefined)
    return { state: 'unplugged' }
  const why = row.differences[0]
  const step = plan.steps.find(({ nic }) => nic.name === row.name)
  const need = plan.needs.find(({ nic }) => nic === row.name)
  const from = step?.from === undefined ? {} : { from: step.from }
  const failure = failureAt(running, row, step !== undefined)
  if (failure !== undefined) return { state: 'failed', why: failure, ...from }
  const drift = driftAt(running, row, rail)
  if (drift !== undefined) return { state: 'drifted', why: drift }
  if (isMigrating(running)) return { state: 'migrating', ...from }
  if (!isThere(row) && isTrue(running.status?.conditions, 'MigrationRequired'))
    return { state: 'waiting', ...(why !== undefined && { why }), ...from }
  if (step || isUnsettled(row, rail, running)) return { state: 'moving', ...(why !== undefined && { why }), ...from }
  if (need) return { state: 'waiting', ...(why !== undefined && { why }) }
  if (row.declared === 'absent') return { state: 'unplugged' }
  // Of a device of the host no link is known: it is connected when it is there.
  return { state: row.hypervisor === 'down' ? 'pulled' : 'up' }
}

/** Whether the guest has the card. */
function isThere({ source = '' }: NicRow): boolean {
  return isInGuest({ infoSource: source })
}

/** The cable of a machine that does not run: as it is declared. */
function offState({ declared }: NicRow, rail: string): CableState {
  if (declared === 'absent') return 'unplugged'
  return declared === 'down' || !isNetwork(rail) ? 'pulled' : 'idle'
}

/** Whether an instance is being moved to another host. */
export function isMigrating({ status }: Pick<VirtualMachineInstance, 'status'>): boolean {
  const state = status?.migrationState
  return state?.startTimestamp !== undefined && !state.completed && !state.failed
}

/** A sentence that is about the instance as a whole counts for cards that are not as declared. */
function failureAt(running: VirtualMachineInstance, row: NicRow, isPlanned: boolean): string | undefined {
  const isOwn = (one: string) => one.startsWith(`interface "${row.name}"`)
  const isOff = isPlanned || row.differences.length > 0
  const found = failuresOf(running, row.name).filter((one) => isOwn(one) || isOff)
  return found.find(isOwn) ?? found[0]
}

function driftAt({ status }: VirtualMachineInstance, { name, declared, hypervisor }: NicRow, rail: string) {
  if (!isTrue(status?.conditions, 'LinkDrift') || declared === undefined || declared === 'absent') return undefined
  const wanted = effectiveLink(declared, rail)
  if (!hypervisor || hypervisor === wanted) return undefined
  const message = findCondition(status?.conditions, 'LinkDrift')?.message ?? ''
  return message.includes(`"${name}"`) ? driftText([{ nic: name, declared: wanted, found: hypervisor }]) : undefined
}

/** Whether the hypervisor does not have what the instance says. */
function isUnsettled(row: NicRow, rail: string, { status }: VirtualMachineInstance): boolean {
  const { instance, hypervisor } = row
  if (status?.phase !== 'Running') return true
  if (instance === 'absent') return true
  if (instance === undefined) return false
  return !isThere(row) || (hypervisor !== undefined && hypervisor !== effectiveLink(instance, rail))
}
