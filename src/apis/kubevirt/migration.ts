import { Type } from 'typebox'
import type { Kind, ObjectMeta } from '../meta/object.ts'
import { conditions, loose, looseObject, type Of, objectSchema, oneOf, quantity, stringMap } from '../meta/schema.ts'

/** How migrations are carried out: the cluster's configuration, copied to where one is begun, so that it is that of its beginning. */
export const migrationConfigurationSchema = looseObject({
  parallelMigrationsPerCluster: Type.Optional(Type.Integer({ minimum: 0 })),
  parallelOutboundMigrationsPerNode: Type.Optional(Type.Integer({ minimum: 0 })),
  bandwidthPerMigration: Type.Optional(quantity('Bytes per second of one migration; 0 is without limit.')),
  progressTimeout: Type.Optional(
    Type.Integer({ minimum: 0, description: 'Seconds without progress after which it is given up.' }),
  ),
  completionTimeoutPerGiB: Type.Optional(
    Type.Integer({ minimum: 0, description: 'Seconds it may take for each GiB of memory.' }),
  ),
  allowAutoConverge: Type.Optional(Type.Boolean()),
  maxDowntimeMs: Type.Optional(
    Type.Integer({ minimum: 1, description: 'Longest stop of the guest that is aimed at, milliseconds.' }),
  ),
})

/** The state of an instance's last migration (facts/kubevirt.md §1.6). */
export const migrationStateSchema = Type.Object({
  migrationUid: Type.Optional(Type.String()),
  sourceNode: Type.Optional(Type.String()),
  sourcePod: Type.Optional(Type.String()),
  targetNode: Type.Optional(Type.String()),
  targetPod: Type.Optional(Type.String()),
  targetAttachmentPodUID: Type.Optional(Type.String()),
  targetNodeAddress: Type.Optional(Type.String()),
  targetNodeDomainDetected: Type.Optional(Type.Boolean()),
  targetNodeDomainReadyTimestamp: Type.Optional(Type.String()),
  startTimestamp: Type.Optional(Type.String()),
  endTimestamp: Type.Optional(Type.String()),
  completed: Type.Optional(Type.Boolean()),
  failed: Type.Optional(Type.Boolean()),
  failureReason: Type.Optional(Type.String()),
  abortRequested: Type.Optional(Type.Boolean()),
  abortStatus: Type.Optional(oneOf(['Succeeded', 'Failed', 'Aborting'])),
  mode: Type.Optional(oneOf(['PreCopy', 'PostCopy', 'Paused'])),
  migrationConfiguration: Type.Optional(migrationConfigurationSchema),
  migrationNetworkType: Type.Optional(oneOf(['Pod', 'Migration'])),
  migrationPolicyName: Type.Optional(Type.String()),
})
export type MigrationState = Of<typeof migrationStateSchema>
export type MigrationConfiguration = Of<typeof migrationConfigurationSchema>

/** Phases of a migration in the order it goes through them; one of the last two ends it. */
const migrationPhases = [
  'Pending',
  'Scheduling',
  'Scheduled',
  'PreparingTarget',
  'TargetReady',
  'Running',
  'Succeeded',
  'Failed',
] as const
export type MigrationPhase = (typeof migrationPhases)[number]

const migrationStatusSchema = Type.Object({
  phase: Type.Optional(oneOf(migrationPhases)),
  phaseTransitionTimestamps: Type.Optional(
    Type.Array(Type.Object({ phase: Type.String(), phaseTransitionTimestamp: Type.String() })),
  ),
  conditions: Type.Optional(conditions),
  migrationState: Type.Optional(migrationStateSchema),
  synchronizationAddresses: Type.Optional(Type.Array(loose())),
})

const migrationSpecSchema = Type.Object({
  vmiName: Type.Optional(Type.String({ description: 'Name of the instance to migrate.' })),
  addedNodeSelector: Type.Optional(stringMap),
  priority: Type.Optional(Type.String()),
})

/** A request to move a running instance. */
export type VirtualMachineInstanceMigration = Readonly<{
  apiVersion: string
  kind: string
  metadata: ObjectMeta
  spec: Of<typeof migrationSpecSchema>
  status?: Of<typeof migrationStatusSchema>
}>

export const VirtualMachineInstanceMigration: Kind<VirtualMachineInstanceMigration> = {
  group: 'kubevirt.io',
  version: 'v1',
  kind: 'VirtualMachineInstanceMigration',
  plural: 'virtualmachineinstancemigrations',
  singular: 'virtualmachineinstancemigration',
  shortNames: ['vmim', 'vmims'],
  categories: ['all'],
  namespaced: true,
  status: true,
  columns: [
    { name: 'Phase', type: 'string', path: 'status.phase' },
    { name: 'VMI', type: 'string', path: 'spec.vmiName' },
  ],
  schema: objectSchema(
    { spec: migrationSpecSchema, status: Type.Optional(migrationStatusSchema) },
    'A request to move a running instance.',
  ),
}
