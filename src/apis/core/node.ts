import { Type } from 'typebox'
import type { JsonObject } from '#base/json.ts'
import type { ClusterMeta, Kind } from '../meta/object.ts'
import {
  amounts,
  condition,
  listMap,
  listSet,
  loose,
  looseObject,
  nullableTime,
  type Of,
  objectSchema,
} from '../meta/schema.ts'

const nodeConditionSchema = Type.Object({
  ...condition.properties,
  lastHeartbeatTime: Type.Optional(nullableTime),
})

/** A condition of a node, which also says when the node last spoke of it. */
export type NodeCondition = Of<typeof nodeConditionSchema>

const taintSchema = looseObject({
  key: Type.String(),
  value: Type.Optional(Type.String()),
  effect: Type.String({ description: 'NoSchedule, PreferNoSchedule or NoExecute.' }),
})

/** What keeps instances off a node that do not tolerate it. */
export type Taint = Of<typeof taintSchema>

const nodeStatusSchema = Type.Object({
  conditions: Type.Optional(listMap(nodeConditionSchema, 'type')),
  addresses: Type.Optional(listMap(Type.Object({ type: Type.String(), address: Type.String() }), 'type')),
  capacity: Type.Optional(amounts),
  allocatable: Type.Optional(amounts),
  nodeInfo: Type.Optional(loose()),
  images: Type.Optional(
    Type.Array(
      Type.Object({ names: Type.Optional(Type.Array(Type.String())), sizeBytes: Type.Optional(Type.Integer()) }),
    ),
  ),
})

/** A host that runs an agent. */
export type Node = Readonly<{
  apiVersion: string
  kind: string
  metadata: ClusterMeta
  spec?: Readonly<{
    unschedulable?: boolean
    taints?: readonly Taint[]
    /** The addresses of its pods. */
    podCIDR?: string
    podCIDRs?: readonly string[]
  }>
  status?: Of<typeof nodeStatusSchema>
}>

/** The column STATUS of `kubectl get nodes`. */
function nodeStatus(node: JsonObject): string {
  const { spec, status } = node as unknown as Node
  const ready = status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True')
  return `${ready ? 'Ready' : 'NotReady'}${spec?.unschedulable ? ',SchedulingDisabled' : ''}`
}

function addressOf(node: JsonObject, type: string): string {
  const { status } = node as unknown as Node
  return status?.addresses?.find((one) => one.type === type)?.address ?? '<none>'
}

export const Node: Kind<Node> = {
  group: '',
  version: 'v1',
  kind: 'Node',
  plural: 'nodes',
  singular: 'node',
  shortNames: ['no'],
  categories: [],
  namespaced: false,
  status: true,
  columns: [
    { name: 'Status', type: 'string', path: 'status', cell: nodeStatus },
    { name: 'Roles', type: 'string', path: 'metadata.labels', cell: () => '<none>' },
    { name: 'Age', type: 'date', path: 'metadata.creationTimestamp' },
    { name: 'Version', type: 'string', path: 'status.nodeInfo.kubeletVersion' },
    {
      name: 'Internal-IP',
      type: 'string',
      path: 'status.addresses',
      cell: (node) => addressOf(node, 'InternalIP'),
      wide: true,
    },
    {
      name: 'External-IP',
      type: 'string',
      path: 'status.addresses',
      cell: (node) => addressOf(node, 'ExternalIP'),
      wide: true,
    },
    { name: 'OS-Image', type: 'string', path: 'status.nodeInfo.osImage', wide: true },
    { name: 'Kernel-Version', type: 'string', path: 'status.nodeInfo.kernelVersion', wide: true },
    { name: 'Container-Runtime', type: 'string', path: 'status.nodeInfo.containerRuntimeVersion', wide: true },
  ],
  schema: objectSchema(
    {
      spec: Type.Optional(
        Type.Object({
          unschedulable: Type.Optional(Type.Boolean()),
          taints: Type.Optional(Type.Array(taintSchema)),
          podCIDR: Type.Optional(Type.String()),
          podCIDRs: Type.Optional(listSet(Type.String())),
        }),
      ),
      status: Type.Optional(nodeStatusSchema),
    },
    'A host that runs virtual machines.',
  ),
}
