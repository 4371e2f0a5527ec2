import { Event } from './core/event.ts'
import { Namespace } from './core/namespace.ts'
import { Node } from './core/node.ts'
import { Pod } from './core/pod.ts'
import { KubeVirt } from './kubevirt/kubevirt.ts'
import { VirtualMachineInstanceMigration } from './kubevirt/migration.ts'
import { VirtualMachine } from './kubevirt/vm.ts'
import { VirtualMachineInstance } from './kubevirt/vmi.ts'
import type { Kind } from './meta/object.ts'
import { NetworkAttachmentDefinition } from './net/attachment.ts'

/** Every kind the API server serves. */
export const kinds: readonly Kind[] = [
  Namespace,
  Node,
  Pod,
  Event,
  VirtualMachine,
  VirtualMachineInstance,
  VirtualMachineInstanceMigration,
  KubeVirt,
  NetworkAttachmentDefinition,
] as readonly Kind[]
