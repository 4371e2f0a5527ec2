import { Type } from 'typebox'
import { dataVolumeTemplateSchema } from '../cdi/datavolume.ts'
import { notCarriedOut } from '../meta/fate.ts'
import type { Kind, ObjectMeta } from '../meta/object.ts'
import { conditions, loose, type Of, objectSchema, oneOf, stringMap, time } from '../meta/schema.ts'
import { withFields } from '../meta/shape.ts'
import { vmStatusFields } from './uncarried-status.ts'
import { vmiSpecSchema } from './vmi.ts'

/** When a VM should run. `Always` restarts it whenever it ends, `Manual` only starts and stops on request. */
const runStrategies = ['Always', 'Halted', 'Manual', 'RerunOnFailure', 'Once'] as const
export type RunStrategy = (typeof runStrategies)[number]

/** All its fields are kept; the schema of the labels has kubectl compare them as a map. */
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

/** An instance type or a preference, by reference. */
const matcherSchema = Type.Object({
  name: Type.Optional(Type.String()),
  kind: Type.Optional(Type.String({ description: 'The kind for all namespaces when absent.' })),
  revisionName: Type.Optional(notCarriedOut(Type.String(), 'what counts is the object as it is when the VM starts')),
  inferFromVolume: Type.Optional(
    Type.String({
      description: 'The volume whose disk has a label with the name; replaced by that when the VM is written.',
    }),
  ),
  inferFromVolumeFailurePolicy: Type.Optional(
    Type.String({ description: 'Reject, or Ignore: the reference is dropped when it cannot be inferred.' }),
  ),
})
export type Matcher = Of<typeof matcherSchema>

const vmSpecSchema = Type.Object({
  running: Type.Optional(Type.Boolean({ description: 'Deprecated: true is runStrategy Always, false is Halted.' })),
  runStrategy: Type.Optional(
    oneOf(
      runStrategies,
      'When the VM runs. Always restarts it whenever it ends, Manual only starts and stops on request.',
    ),
  ),
  template: templateSchema,
  instancetype: Type.Optional(matcherSchema),
  preference: Type.Optional(matcherSchema),
  dataVolumeTemplates: Type.Optional(
    Type.Array(dataVolumeTemplateSchema, { description: 'DataVolumes that are made for the VM and go with it.' }),
  ),
  updateVolumesStrategy: Type.Optional(notCarriedOut(Type.String())),
})
type VmSpec = Of<typeof vmSpecSchema>

/** A requested start or stop that the controller has not carried out yet. */
const stateChangeRequest = Type.Object({
  action: oneOf(['Start', 'Stop']),
  uid: Type.Optional(Type.String({ description: 'UID of the instance to stop.' })),
  data: Type.Optional(loose()),
})

/** The column STATUS of `kubectl get vm`. */
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
  'ImagePullBackOff',
  'ErrorPvcNotFound',
  'WaitingForVolumeBinding',
  'DataVolumeError',
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

/** A virtual machine, running or not, as its owner declares it. */
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
    { spec: vmSpecSchema, status: Type.Optional(withFields(vmStatusSchema, vmStatusFields)) },
    'A virtual machine: its template, and whether it should run.',
  ),
}
