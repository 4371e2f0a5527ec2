import { Type } from 'typebox'
import type { Kind, ObjectMeta } from '../meta/object.ts'
import { conditions, looseObject, type Of, objectSchema, oneOf, quantity, stringMap, time } from '../meta/schema.ts'
import { objectOf, withFields } from '../meta/shape.ts'
import { migrationStateFields } from './uncarried-status.ts'

/**
 * The migration configuration of the cluster. Each migration has a copy from its start, so that later changes do not affect it.
 */
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

/** The steps of a migration, which the agents execute one at a time. Not in KubeVirt. */
const migrationSteps = ['send', 'recall', 'endSource', 'endTarget', 'resumeSource', 'resumeTarget'] as const
export type MigrationStepName = (typeof migrationSteps)[number]

const stepSchema = Type.Object({
  generation: Type.Integer({
    description: 'Counts the steps: an agent carries out no step but the last one, and that once.',
  }),
  do: oneOf(migrationSteps),
})

const sourceSchema = Type.Object({
  generation: Type.Integer({ description: 'The last step the agent of the source knew when it looked.' }),
  sequence: Type.Integer({ description: 'Counts what the agent of the source has published.' }),
  guest: oneOf(['running', 'stopped', 'gone']),
  isPaused: Type.Optional(Type.Boolean({ description: 'Its owner paused the guest before it was sent.' })),
  isUnderway: Type.Boolean({ description: 'Its hypervisor is sending the guest.' }),
  isLate: Type.Optional(Type.Boolean({ description: 'That takes longer than it may.' })),
  failure: Type.Optional(Type.String({ description: 'Why the hypervisor gave it up.' })),
})

const targetSchema = Type.Object({
  generation: Type.Integer({ description: 'The last step the agent of the target knew when it looked.' }),
  sourceSequence: Type.Integer({ description: 'What of the source it knew when it looked.' }),
  guest: oneOf(['none', 'incoming', 'arrived', 'running', 'ending', 'silent']),
})
export type SourceObservation = Of<typeof sourceSchema>
export type TargetObservation = Of<typeof targetSchema>

const ownStateSchema = Type.Object({
  migrationUid: Type.Optional(Type.String()),
  sourceNode: Type.Optional(Type.String()),
  sourcePod: Type.Optional(Type.String()),
  targetNode: Type.Optional(Type.String()),
  targetPod: Type.Optional(Type.String()),
  targetAttachmentPodUID: Type.Optional(Type.String()),
  targetNodeAddress: Type.Optional(Type.String()),
  targetNodeDomainDetected: Type.Optional(Type.Boolean()),
  targetNodeDomainReadyTimestamp: Type.Optional(time),
  startTimestamp: Type.Optional(time),
  endTimestamp: Type.Optional(time),
  completed: Type.Optional(Type.Boolean()),
  failed: Type.Optional(Type.Boolean()),
  failureReason: Type.Optional(Type.String()),
  abortRequested: Type.Optional(Type.Boolean()),
  abortStatus: Type.Optional(oneOf(['Succeeded', 'Failed', 'Aborting'])),
  mode: Type.Optional(oneOf(['PreCopy', 'PostCopy', 'Paused'])),
  migrationConfiguration: Type.Optional(migrationConfigurationSchema),
  migrationNetworkType: Type.Optional(oneOf(['Pod', 'Migration'])),
  migrationPolicyName: Type.Optional(Type.String()),
  step: Type.Optional(stepSchema),
  source: Type.Optional(sourceSchema),
  target: Type.Optional(targetSchema),
})

/** What is known of a migration, in its own status and in that of its instance. */
export const migrationStateSchema = withFields(ownStateSchema, migrationStateFields)
export type MigrationState = Of<typeof migrationStateSchema>
export type MigrationConfiguration = Of<typeof migrationConfigurationSchema>

/** Phases of a migration in their order; it ends in one of the last two. */
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
    Type.Array(Type.Object({ phase: Type.String(), phaseTransitionTimestamp: time })),
  ),
  conditions: Type.Optional(conditions),
  migrationState: Type.Optional(migrationStateSchema),
  synchronizationAddresses: Type.Optional(Type.Array(Type.String())),
})

const migrationSpecSchema = Type.Object({
  vmiName: Type.Optional(Type.String({ description: 'Name of the instance to migrate.' })),
  addedNodeSelector: Type.Optional(stringMap),
  priority: Type.Optional(Type.String()),
  sendTo: Type.Optional(objectOf({ 'connectURL!': 'string', 'migrationID!': 'string' })),
  receive: Type.Optional(objectOf({ 'migrationID!': 'string' })),
})

/** A request to migrate a running instance. */
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
