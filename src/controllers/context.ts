import type { DataVolume } from '#apis/cdi/datavolume.ts'
import type { Node } from '#apis/core/node.ts'
import type { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import type { Pod } from '#apis/core/pod.ts'
import type { KubeVirt } from '#apis/kubevirt/kubevirt.ts'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import type { Log } from '#base/log.ts'
import type { FindTypes } from '#core/instancetype/matcher.ts'
import type { Client } from '#machinery/client/client.ts'
import type { Informer } from '#machinery/client/informer.ts'
import type { Recorder } from '#machinery/client/recorder.ts'
import type { Scheduler } from './scheduler.ts'

/** What every controller is given: a client, caches of what it reads, and an Event recorder. */
export type ControllerContext = Readonly<{
  client: Client
  vms: Informer<VirtualMachine>
  /** Indexed `byClaim`, by `namespace/name` of the claims that their volumes name. */
  vmis: Informer<VirtualMachineInstance, 'byClaim'>
  /** Indexed `byVmi`, by the queue key of the instance a pod is for. */
  pods: Informer<Pod, 'byVmi'>
  nodes: Informer<Node>
  claims: Informer<PersistentVolumeClaim>
  dataVolumes: Informer<DataVolume>
  /** The cluster's configuration: one object, or none. */
  kubevirts: Informer<KubeVirt>
  /** Instance types and preferences: what a VM names of them, and a call when one has changed. */
  types: Readonly<{ find: FindTypes; onChange(listener: () => void): void }>
  /** Users for the processes of a new guest. @throws Fault Unavailable when all are in use */
  takeUser: () => number
  /** Called when a namespace may have more of a resource than before. */
  onRoom: (listener: (namespace: string) => void) => void
  /** Places new pods. */
  scheduler: Scheduler
  recorder: Recorder
  log: Log
  signal: AbortSignal
}>

/** `namespace/name`, the key under which controllers queue an object. */
export function queueKey(object: Readonly<{ metadata: Readonly<{ namespace: string; name: string }> }>): string {
  return `${object.metadata.namespace}/${object.metadata.name}`
}

/** The namespace and name of a queue key. */
export function fromQueueKey(key: string): { namespace: string; name: string } {
  const [namespace = '', name = ''] = key.split('/')
  return { namespace, name }
}

/** The queue key of the instance a pod was made for. */
export function instanceKeyOf({ metadata }: Stored<Pod>): string {
  return `${metadata.namespace}/${metadata.labels?.['vm.kubevirt.io/name'] ?? ''}`
}
