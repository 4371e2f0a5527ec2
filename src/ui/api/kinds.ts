import type { Event } from '#apis/core/event.ts'
import type { Node } from '#apis/core/node.ts'
import type { VirtualMachineInstanceMigration } from '#apis/kubevirt/migration.ts'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { ApiObject, Kind } from '#apis/meta/object.ts'
import type { NetworkAttachmentDefinition } from '#apis/net/attachment.ts'

/** A kind as a client needs it: the schema stays on the server, with the library that it is written in. */
function kind<T extends ApiObject>(group: string, version: string, name: string, plural: string): Kind<T> {
  return {
    group,
    version,
    kind: name,
    plural,
    singular: name.toLowerCase(),
    shortNames: [],
    categories: [],
    namespaced: true,
    status: true,
    columns: [],
    schema: {},
  }
}

export const vms = kind<VirtualMachine>('kubevirt.io', 'v1', 'VirtualMachine', 'virtualmachines')
export const vmis = kind<VirtualMachineInstance>(
  'kubevirt.io',
  'v1',
  'VirtualMachineInstance',
  'virtualmachineinstances',
)
export const migrations = kind<VirtualMachineInstanceMigration>(
  'kubevirt.io',
  'v1',
  'VirtualMachineInstanceMigration',
  'virtualmachineinstancemigrations',
)
export const nads = kind<NetworkAttachmentDefinition>(
  'k8s.cni.cncf.io',
  'v1',
  'NetworkAttachmentDefinition',
  'network-attachment-definitions',
)
export const events = kind<Event>('', 'v1', 'Event', 'events')
export const nodes: Kind<Node> = { ...kind<Node>('', 'v1', 'Node', 'nodes'), namespaced: false }
