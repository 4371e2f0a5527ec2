import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Log } from '#base/log.ts'
import type { Volumes } from '#core/disk/ports.ts'
import type { AttachmentMode } from '#core/migration/required.ts'
import type { DiskImages, GuestView, Host, Images } from '#core/ports.ts'
import type { FindNads } from '#core/sandbox/plan.ts'
import { domainName } from '#core/vm/domain.ts'
import type { Client } from '#machinery/client/client.ts'
import type { Recorder } from '#machinery/client/recorder.ts'
import type { GuestAgentPoller } from './guest-agent-poller.ts'
import type { GuestCredentials } from './guest-credentials.ts'
import type { ImagePulls } from './image-pulls.ts'
import type { Memories } from './memory.ts'
import type { MigrationJobs } from './migration-jobs.ts'
import type { Probes } from './probes.ts'

/** A guest that runs on this host. */
export type RunningGuest = Readonly<{ namespace: string; name: string; hypervisor: Pick<GuestView, 'cards'> }>

/** What the passes over the pods of a node share. */
export type AgentContext = Readonly<{
  client: Client
  host: Host
  images: Images
  diskImages: DiskImages
  volumes: Volumes
  pulls: ImagePulls
  guests: GuestAgentPoller
  credentials: GuestCredentials
  probes: Probes
  migrationJobs: MigrationJobs
  memories: Memories
  recorder: Recorder
  log: Log
  nodeName: string
  /** The cluster that its sandboxes belong to: UID of the namespace kube-system. */
  cluster: string
  /** Aborts when the agent stops. */
  signal: AbortSignal
  /** Called with the time a hypervisor took to change links, seconds. */
  onApplied: (seconds: number) => void
  /** Running guests, by UID of the sandbox. */
  running: Map<string, RunningGuest>
  nads: FindNads
  /** A pod of this node, by namespace and name. */
  podOf: (namespace: string, name: string) => Pod | undefined
  /** The instances of this node whose volumes name a claim. */
  usersOfClaim: (namespace: string, name: string) => readonly VirtualMachineInstance[]
  /** Enqueues a pod for another pass. */
  again: (pod: Pod) => void
  /** How networks are attached to running guests. */
  attachmentMode: () => AttachmentMode
}>

/** When to run the next pass over a pod although nothing changed. */
export type Again = Readonly<{ againAfterMs: number }> | undefined

/** The name of an instance's domain, which identifies it in logs. */
export function nameOf(vmi: VirtualMachineInstance): string {
  return domainName(vmi.metadata.namespace ?? 'default', vmi.metadata.name)
}
