import { Type } from 'typebox'
import type { Kind, ObjectMeta } from '../meta/object.ts'
import { conditions, loose, type Of, objectSchema, oneOf, stringMap, time } from '../meta/schema.ts'
import { vmiSpecSchema } from './vmi.ts'

/** When a VM should run. `Always` restarts it whenever it ends, `Manual` only starts and stops on request. */
const runStrategies = ['Always', 'Halted', 'Manual', 'RerunOnFailure', 'Once'] as const
export type RunStrategy = (typeof runStrategies)[number]

/** Everything of it is kept; what it says of labels tells kubectl how to compare them. */
const templateMetadata = Type.Unsafe<Record<string, unknown>>({
  type: 'object',
  'x-kubernetes-preserve-unknown-fields': true,
  description: 'Labels and annotations of the instance.',
  properties: { labels: stringMap, annotations: stringMap },
})

const templateSchema = Type.Object(
  {
    metadata: Type.Optional(templateMetadata),
    spec: vmiSpecSchema,
  },
  { description: 'What its instances are made from.' },
)

const vmSpecSchema = Type.Object({
  running: Type.Optional(Type.Boolean({ description: 'Deprecated: true is runStrategy Always, false is Halted.' })),
  runStrategy: Type.Optional(
    oneOf(
      runStrategies,
      'When the VM runs. Always restarts it whenever it ends, Manual only starts and stops on request.',
    ),
  ),
  template: templateSchema,
  instancetype: Type.Optional(loose()),
  preference: Type.Optional(loose()),
  dataVolumeTemplates: Type.Optional(Type.Array(loose())),
  updateVolumesStrategy: Type.Optional(Type.String()),
})
type VmSpec = Of<typeof vmSpecSchema>

/** A start or stop that somebody asked for and nobody carried out yet. */
const stateChangeRequest = Type.Object({
  action: oneOf(['Start', 'Stop']),
  uid: Type.Optional(Type.String({ description: 'UID of the instance to stop.' })),
  data: Type.Optional(loose()),
})

/** What `kubectl get vm` shows under STATUS. */
const printableStatuses = [
  'Stopped',
  'Provisioning',
  'Starting',
  'Running',
  'Paused',
  'Stopping',
  'Terminating',
  'CrashLoopBackOff',
  'Migrating',
  'Unknown',
  'ErrorUnschedulable',
  'ErrImagePull',
] as const
export type PrintableStatus = (typeof printableStatuses)[number]

const vmStatusSchema = Type.Object({
  created: Type.Optional(Type.Boolean()),
  ready: Type.Optional(Type.Boolean()),
  printableStatus: Type.Optional(oneOf(printableStatuses)),
  runStrategy: Type.Optional(Type.String()),
  conditions: Type.Optional(conditions),
  stateChangeRequests: Type.Optional(Type.Array(stateChangeRequest)),
  startFailure: Type.Optional(
    Type.Object({
      consecutiveFailCount: Type.Integer(),
      lastFailedVMIUID: Type.String(),
      retryAfterTimestamp: Type.Optional(time),
    }),
  ),
  observedGeneration: Type.Optional(Type.Integer()),
  desiredGeneration: Type.Optional(Type.Integer()),
})
export type VmStatus = Of<typeof vmStatusSchema>

/** What its owner edits: a virtual machine, running or not. */
export type VirtualMachine = Readonly<{
  apiVersion: string
  kind: string
  metadata: ObjectMeta
  spec: VmSpec
  status?: VmStatus
}>

export const VirtualMachine: Kind<VirtualMachine> = {
  group: 'kubevirt.io',
  version: 'v1',
  kind: 'VirtualMachine',
  plural: 'virtualmachines',
  singular: 'virtualmachine',
  shortNames: ['vm', 'vms'],
  categories: ['all'],
  namespaced: true,
  status: true,
  columns: [
    { name: 'Age', type: 'date', path: 'metadata.creationTimestamp' },
    { name: 'Status', type: 'string', path: 'status.printableStatus' },
    { name: 'Ready', type: 'string', path: 'status.conditions', condition: 'Ready' },
  ],
  schema: objectSchema(
    { spec: vmSpecSchema, status: Type.Optional(vmStatusSchema) },
    'A virtual machine: its template, and whether it should run.',
  ),
}
