import { Type } from 'typebox'
import type { Kind, ObjectMeta } from '../meta/object.ts'
import { conditions, looseObject, type Of, objectSchema, oneOf } from '../meta/schema.ts'

const macPool = Type.Object(
  { rangeStart: Type.Optional(Type.String()), rangeEnd: Type.Optional(Type.String()) },
  {
    description:
      'The MAC addresses interfaces are given; 02:70:62:00:00:00 to 02:70:62:ff:ff:ff unless said otherwise.',
  },
)

const configuration = looseObject({
  network: Type.Optional(
    looseObject({
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

const kubeVirtSpec = looseObject({ configuration: Type.Optional(configuration) })
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
