import type { VirtualMachineInstanceMigration as Migration } from '#apis/kubevirt/migration.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { FieldError } from '#apis/meta/object.ts'
import { sameJson } from '#base/json.ts'
import { findCondition } from '../vm/conditions.ts'
import { isFinal } from '../vm/power.ts'
import { vmiNameLabel } from './labels.ts'
import { isOver } from './phases.ts'

/** Keeps a migration until it has ended (KubeVirt). */
export const migrationFinalizer = 'kubevirt.io/migrationJobFinalize'

/** What admission of migrations needs from the cluster. */
export type MigrationWorld = Readonly<{
  instance: (namespace: string, name: string) => VirtualMachineInstance | undefined
  /** Migrations of an instance. */
  migrations: (namespace: string, name: string) => readonly Migration[]
  /** Whether the user is a component of this system. */
  isSystem: boolean
}>

/** A new migration with its instance's label and the finalizer. */
export function migrationWithDefaults(migration: Migration, old: Migration | undefined): Migration {
  const { vmiName } = migration.spec ?? {}
  if (old || typeof vmiName !== 'string') return migration
  const { labels, finalizers = [], ...metadata } = migration.metadata
  const all = finalizers.includes(migrationFinalizer) ? finalizers : [...finalizers, migrationFinalizer]
  return { ...migration, metadata: { ...metadata, labels: { ...labels, [vmiNameLabel]: vmiName }, finalizers: all } }
}

/** Everything that forbids a migration, in KubeVirt's words (facts/kubevirt.md §1.6). */
export function migrationErrors(
  migration: Migration,
  old: Migration | undefined,
  world: MigrationWorld,
): readonly FieldError[] {
  if (old) return updateErrors(migration, old)
  const forbidden = (field: string, message: string): FieldError[] => [
    { field, message, reason: 'FieldValueForbidden' },
  ]
  const { vmiName, priority } = migration.spec
  const { namespace = 'default' } = migration.metadata
  if (!vmiName) return [{ field: 'spec.vmiName', message: 'vmiName is missing', reason: 'FieldValueRequired' }]
  if (priority !== undefined && !world.isSystem)
    return forbidden(
      'spec.priority',
      'Migration priority queue, only virt-controller is allowed to set priority field; leave it out',
    )
  for (const field of ['sendTo', 'receive'] as const)
    if (migration.spec[field])
      return forbidden(
        `spec.${field}`,
        'Patchbay has no migration between clusters; leave it out to move the VMI within this one',
      )
  const vmi = world.instance(namespace, vmiName)
  if (!vmi) return forbidden('spec.vmiName', `the VMI "${namespace}/${vmiName}" does not exist`)
  if (isFinal(vmi)) return forbidden('spec.vmiName', 'Cannot migrate VMI in finalized state.')
  const able = findCondition(vmi.status?.conditions, 'LiveMigratable')
  if (able?.status === 'False')
    return forbidden('spec.vmiName', `Cannot migrate VMI, Reason: ${able.reason}, Message: ${able.message}`)
  const active = world.migrations(namespace, vmiName).find((one) => !isOver(one))
  if (active)
    return forbidden(
      'spec.vmiName',
      `in-flight migration detected. Active migration job (${active.metadata.uid}) is currently already in progress for VMI ${vmiName}.`,
    )
  return []
}

function updateErrors(migration: Migration, old: Migration): FieldError[] {
  const errors: FieldError[] = []
  if (!sameJson(migration.spec, old.spec))
    errors.push({
      field: 'spec',
      message: "update of Migration object's spec is restricted; delete it and create another one",
      reason: 'FieldValueForbidden',
    })
  if (migration.metadata.labels?.[vmiNameLabel] !== old.metadata.labels?.[vmiNameLabel])
    errors.push({
      field: 'metadata.labels',
      message: `the label ${vmiNameLabel} is what the migration is found by and cannot be changed`,
      reason: 'FieldValueForbidden',
    })
  return errors
}
