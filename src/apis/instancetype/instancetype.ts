import { Type } from 'typebox'
import * as parts from '../kubevirt/uncarried.ts'
import { notCarriedOut } from '../meta/fate.ts'
import type { Kind, ObjectMeta } from '../meta/object.ts'
import { type Of, objectSchema, quantity, stringMap } from '../meta/schema.ts'

export const instancetypeGroup = 'instancetype.kubevirt.io'
export const instancetypeVersion = 'v1beta1'

/** Size of a VM. Its fields go into the specs of instances, where those that are not carried out are named. */
const instancetypeSpec = Type.Object({
  cpu: Type.Object({
    guest: Type.Integer({ minimum: 1, description: 'Number of CPUs the guest sees.' }),
    model: Type.Optional(Type.String()),
    dedicatedCPUPlacement: Type.Optional(Type.Boolean()),
    isolateEmulatorThread: Type.Optional(Type.Boolean()),
    maxSockets: Type.Optional(Type.Integer({ minimum: 1 })),
    numa: Type.Optional(parts.numa),
    realtime: Type.Optional(parts.realtime),
  }),
  memory: Type.Object({
    guest: quantity('Memory the guest sees, such as 2Gi.', { minimum: 0 }),
    maxGuest: Type.Optional(quantity('Most memory the guest may be given.', { minimum: 0 })),
    hugepages: Type.Optional(parts.hugepages),
    overcommitPercent: Type.Optional(
      notCarriedOut(Type.Integer({ minimum: 0 }), 'a node keeps room for all memory of a guest', [0]),
    ),
  }),
  gpus: Type.Optional(parts.gpus),
  hostDevices: Type.Optional(parts.hostDevices),
  ioThreadsPolicy: Type.Optional(Type.String()),
  ioThreads: Type.Optional(parts.ioThreads),
  launchSecurity: Type.Optional(parts.launchSecurity),
  nodeSelector: Type.Optional(stringMap),
  schedulerName: Type.Optional(Type.String()),
  annotations: Type.Optional(stringMap),
})
export type InstancetypeSpec = Of<typeof instancetypeSpec>

type Instancetype = Readonly<{ apiVersion: string; kind: string; metadata: ObjectMeta; spec: InstancetypeSpec }>

const common = {
  group: instancetypeGroup,
  version: instancetypeVersion,
  categories: [],
  status: false,
  columns: [
    { name: 'CPU', type: 'integer', path: 'spec.cpu.guest' },
    { name: 'Memory', type: 'string', path: 'spec.memory.guest' },
    { name: 'Age', type: 'date', path: 'metadata.creationTimestamp' },
  ],
  schema: objectSchema({ spec: instancetypeSpec }, 'CPUs and memory of virtual machines that name it.'),
} as const

/** An instance type for the VMs of its namespace. */
export type VirtualMachineInstancetype = Instancetype
export const VirtualMachineInstancetype: Kind<VirtualMachineInstancetype> = {
  ...common,
  kind: 'VirtualMachineInstancetype',
  plural: 'virtualmachineinstancetypes',
  singular: 'virtualmachineinstancetype',
  shortNames: ['vminstancetype', 'vminstancetypes', 'vmf', 'vmfs'],
  namespaced: true,
}

/** An instance type for all VMs. */
export type VirtualMachineClusterInstancetype = Instancetype
export const VirtualMachineClusterInstancetype: Kind<VirtualMachineClusterInstancetype> = {
  ...common,
  kind: 'VirtualMachineClusterInstancetype',
  plural: 'virtualmachineclusterinstancetypes',
  singular: 'virtualmachineclusterinstancetype',
  shortNames: ['vmclusterinstancetype', 'vmclusterinstancetypes', 'vmcf', 'vmcfs'],
  namespaced: false,
}
