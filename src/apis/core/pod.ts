import { Type } from 'typebox'
import type { JsonObject } from '#base/json.ts'
import { affinitySchema } from '../kubevirt/affinity.ts'
import type { Kind, ObjectMeta } from '../meta/object.ts'
import {
  amounts,
  conditions,
  listMap,
  loose,
  looseObject,
  type Of,
  objectSchema,
  oneOf,
  stringMap,
  time,
} from '../meta/schema.ts'

const resources = looseObject({ requests: Type.Optional(amounts), limits: Type.Optional(amounts) })
const container = Type.Unsafe<Record<string, unknown>>(
  looseObject({ name: Type.String(), resources: Type.Optional(resources) }),
)

const podSpecSchema = Type.Object({
  nodeName: Type.Optional(Type.String()),
  nodeSelector: Type.Optional(stringMap),
  affinity: Type.Optional(affinitySchema),
  hostname: Type.Optional(Type.String()),
  restartPolicy: Type.Optional(Type.String()),
  terminationGracePeriodSeconds: Type.Optional(Type.Integer()),
  securityContext: Type.Optional(Type.Object({ runAsUser: Type.Optional(Type.Integer({ minimum: 0 })) })),
  containers: listMap(container, 'name'),
  volumes: Type.Optional(listMap(loose(), 'name')),
})

const podStatusSchema = Type.Object({
  phase: Type.Optional(oneOf(['Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'])),
  reason: Type.Optional(Type.String()),
  message: Type.Optional(Type.String()),
  podIP: Type.Optional(Type.String()),
  podIPs: Type.Optional(listMap(Type.Object({ ip: Type.String() }), 'ip')),
  hostIP: Type.Optional(Type.String()),
  startTime: Type.Optional(time),
  conditions: Type.Optional(conditions),
  containerStatuses: Type.Optional(Type.Array(loose())),
})

/** The launcher pod of an instance: here a sandbox (namespaces and a private libvirtd) that the node's agent makes. */
export type Pod = Readonly<{
  apiVersion: string
  kind: string
  metadata: ObjectMeta
  spec: Of<typeof podSpecSchema>
  status?: Of<typeof podStatusSchema>
}>

function isReady(pod: JsonObject): boolean {
  const { conditions = [] } = (pod.status ?? {}) as NonNullable<Pod['status']>
  return conditions.some((condition) => condition.type === 'Ready' && condition.status === 'True')
}

/** The column STATUS of `kubectl get pods`. */
function podStatus(pod: JsonObject): string {
  const { metadata, status } = pod as unknown as Pod
  return metadata.deletionTimestamp ? 'Terminating' : (status?.phase ?? 'Pending')
}

export const Pod: Kind<Pod> = {
  group: '',
  version: 'v1',
  kind: 'Pod',
  plural: 'pods',
  singular: 'pod',
  shortNames: ['po'],
  categories: ['all'],
  namespaced: true,
  status: true,
  subresources: [
    { name: 'eviction', group: 'policy', version: 'v1', kind: 'Eviction', verbs: ['create'] },
    { name: 'log', group: '', version: 'v1', kind: 'Pod', verbs: ['get'] },
  ],
  columns: [
    { name: 'Ready', type: 'string', path: 'status', cell: (pod) => `${isReady(pod) ? 1 : 0}/1` },
    { name: 'Status', type: 'string', path: 'status.phase', cell: podStatus },
    // A sandbox is never restarted: its instance ends, and the next instance gets another pod.
    { name: 'Restarts', type: 'integer', path: 'status', cell: () => '0' },
    { name: 'Age', type: 'date', path: 'metadata.creationTimestamp' },
    { name: 'IP', type: 'string', path: 'status.podIP', wide: true },
    { name: 'Node', type: 'string', path: 'spec.nodeName', wide: true },
  ],
  schema: objectSchema(
    { spec: podSpecSchema, status: Type.Optional(podStatusSchema) },
    'The sandbox that a virtual machine instance runs in.',
  ),
}
