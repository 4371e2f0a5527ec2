import type { Event } from '#apis/core/event.ts'
import type { VirtualMachineInstanceMigration } from '#apis/kubevirt/migration.ts'
import type { Condition, Stored } from '#apis/meta/object.ts'

/** An event on the time line; repeated ones are one line with a count. */
export type Moment = Readonly<{
  key: string
  at: string
  reason: string
  text: string
  isWarning: boolean
  count: number
}>

/** The events of a machine, the newest first. */
export function timeline(events: readonly Stored<Event>[]): readonly Moment[] {
  return events
    .map((event): Moment => {
      const { metadata, lastTimestamp, eventTime, reason = '', message = '', type, count, series } = event
      const at = series?.lastObservedTime ?? lastTimestamp ?? eventTime ?? metadata.creationTimestamp
      return {
        key: metadata.uid,
        at,
        reason,
        text: message,
        isWarning: type === 'Warning',
        count: series?.count ?? count ?? 1,
      }
    })
    .toSorted((a, b) => Date.parse(b.at) - Date.parse(a.at))
}

/** A condition as a line: whether it is good or bad is said by its type. */
export type ConditionLine = Readonly<{ type: string; status: string; text: string; isBad: boolean }>

/** Conditions that are bad when they are true. */
const badWhenTrue = /^(Failure|LinkDrift|RestartRequired|MigrationRequired|Paused|NotCarriedOut|.*Pressure)$/
/** Conditions that may be false without anything being wrong. */
const neutral = /^(LiveMigratable|AgentConnected|StorageLiveMigratable|DataVolumesReady)$/

export function conditionLines(lists: readonly (readonly Condition[] | undefined)[]): readonly ConditionLine[] {
  const lines = lists
    .flatMap((list) => list ?? [])
    .map(({ type, status, reason, message }): ConditionLine => {
      const isTrue = status === 'True'
      const isBad = badWhenTrue.test(type) ? isTrue : !isTrue && !neutral.test(type)
      return { type, status, text: message || reason || '', isBad }
    })
  // VM and instance share some.
  return [...new Map(lines.map((line) => [`${line.type} ${line.text}`, line])).values()]
}

const phases = ['Pending', 'Scheduling', 'Scheduled', 'PreparingTarget', 'TargetReady', 'Running', 'Succeeded']

/** A migration and how far it is, from 0 to 1. */
export type MigrationLine = Readonly<{
  name: string
  phase: string
  progress: number
  isFailed: boolean
  isOver: boolean
  from: string
  to: string
  text: string
}>

/** The migrations of an instance, the newest first. */
export function migrationLines(
  migrations: readonly Stored<VirtualMachineInstanceMigration>[],
  namespace: string,
  vmiName: string,
): readonly MigrationLine[] {
  return migrations
    .filter(({ metadata, spec }) => metadata.namespace === namespace && spec.vmiName === vmiName)
    .toSorted((a, b) => Date.parse(b.metadata.creationTimestamp) - Date.parse(a.metadata.creationTimestamp))
    .map(({ metadata, status }): MigrationLine => {
      const phase = status?.phase ?? 'Pending'
      const state = status?.migrationState
      return {
        name: metadata.name,
        phase,
        progress: phase === 'Failed' ? 1 : Math.max(0, phases.indexOf(phase)) / (phases.length - 1),
        isFailed: phase === 'Failed',
        isOver: phase === 'Failed' || phase === 'Succeeded',
        from: state?.sourceNode ?? '',
        to: state?.targetNode ?? '',
        text: state?.failureReason ?? '',
      }
    })
}
