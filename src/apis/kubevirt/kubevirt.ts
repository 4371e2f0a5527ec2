import { Type } from 'typebox'
import type { Kind, ObjectMeta } from '../meta/object.ts'
import { conditions, looseObject, type Of, objectSchema, oneOf } from '../meta/schema.ts'
import { migrationConfigurationSchema } from './migration.ts'

const macPool = Type.Object(
  { rangeStart: Type.Optional(Type.String()), rangeEnd: Type.Optional(Type.String()) },
  {
    description:
      'The MAC addresses interfaces are given; 02:70:62:00:00:00 to 02:70:62:ff:ff:ff unless said otherwise.',
  },
)

const autoMigration = Type.Object(
  {
    gracePeriodSeconds: Type.Optional(Type.Number({ minimum: 0 })),
    recheckSeconds: Type.Optional(Type.Number({ minimum: 0 })),
    updateDelaySeconds: Type.Optional(Type.Number({ minimum: 0 })),
  },
  {
    description:
      'How long a change that may yet be made in place is waited for before the instance is migrated (15), how often that is looked at (10), and how long an instance rests after a change before it is migrated by itself (5).',
  },
)

const workloadUpdateStrategy = looseObject({
  workloadUpdateMethods: Type.Optional(Type.Array(oneOf(['LiveMigrate', 'Evict']))),
})

const configuration = looseObject({
  migrations: Type.Optional(migrationConfigurationSchema),
  network: Type.Optional(
    looseObject({
      attachment: Type.Optional(oneOf(['InPlace', 'Migration'])),
      autoMigration: Type.Optional(autoMigration),
      defaultNetworkInterface: Type.Optional(oneOf(['bridge', 'masquerade'])),
      permitBridgeInterfaceOnPodNetwork: Type.Optional(Type.Boolean()),
      macPool: Type.Optional(macPool),
    }),
  ),
  developerConfiguration: Type.Optional(
    looseObject({
      featureGates: Type.Optional(Type.Array(Type.String())),
      disabledFeatureGates: Type.Optional(Type.Array(Type.String())),
    }),
  ),
})

const kubeVirtSpec = looseObject({
  configuration: Type.Optional(configuration),
  workloadUpdateStrategy: Type.Optional(workloadUpdateStrategy),
})
const kubeVirtStatus = looseObject({
  phase: Type.Optional(Type.String()),
  conditions: Type.Optional(conditions),
})

/** The cluster configuration: one object, `kubevirt/kubevirt`. */
export type KubeVirt = Readonly<{
  apiVersion: string
  kind: string
  metadata: ObjectMeta
  spec: Of<typeof kubeVirtSpec>
  status?: Of<typeof kubeVirtStatus>
}>

export const KubeVirt: Kind<KubeVirt> = {
  group: 'kubevirt.io',
  version: 'v1',
  kind: 'KubeVirt',
  plural: 'kubevirts',
  singular: 'kubevirt',
  shortNames: ['kv', 'kvs'],
  categories: ['all'],
  namespaced: true,
  status: true,
  columns: [
    { name: 'Age', type: 'date', path: 'metadata.creationTimestamp' },
    { name: 'Phase', type: 'string', path: 'status.phase' },
  ],
  schema: objectSchema(
    { spec: Type.Optional(kubeVirtSpec), status: Type.Optional(kubeVirtStatus) },
    'The configuration of the cluster.',
  ),
}
