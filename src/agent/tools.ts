import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Log } from '#base/log.ts'
import type { AttachmentMode } from '#core/migration/required.ts'
import { type DesiredNic, desiredNics } from '#core/nic/desired.ts'
import type { Hypervisor, Images, Incoming, Sandboxes, SandboxState } from '#core/ports.ts'
import { attachmentsOf } from '#core/sandbox/plan.ts'
import { userOf } from '#core/sandbox/users.ts'
import { domainName } from '#core/vm/domain.ts'
import { podMemory } from '#core/vm/place.ts'
import type { Client } from '#machinery/client/client.ts'
import type { Recorder } from '#machinery/client/recorder.ts'
import type { Guests } from './guests.ts'
import type { LinkMemory } from './links.ts'
import type { Moves } from './moves.ts'
import type { Patience } from './patience.ts'
import type { Probes } from './probes.ts'

/** A guest that runs on this host. */
export type RunningGuest = Readonly<{ namespace: string; name: string; hypervisor: Hypervisor }>

/** What a pass over a sandbox works with. */
export type InstanceTools = Readonly<{
  client: Client
  sandboxes: Sandboxes
  images: Images
  guests: Guests
  links: LinkMemory
  patience: Patience
  probes: Probes
  moves: Moves
  recorder: Recorder
  log: Log
  nodeName: string
  /** The cluster its sandboxes are made for. */
  cluster: string
  /** Told how long a hypervisor took to change links, seconds. */
  onApplied: (seconds: number) => void
  /** Guests that run, by sandbox. */
  running: Map<string, RunningGuest>
  configOf: (network: string) => string | undefined
  /** The pod an instance's guest is in, as far as it is on this node. */
  podOf: (namespace: string, name: string) => Pod | undefined
  /** Has a pod looked at soon. */
  again: (pod: Pod) => void
  /** How networks come to guests that run. */
  attachmentMode: () => AttachmentMode
  /** Annotations of the NAD of a network. */
  annotationsOf: (network: string) => Readonly<Record<string, string>> | undefined
}>

/** When to look at a sandbox again although nothing changed. */
export type Again = Readonly<{ againAfterMs: number }> | undefined

export function nameOf(vmi: VirtualMachineInstance): string {
  return domainName(vmi.metadata.namespace ?? 'default', vmi.metadata.name)
}

/**
 * The sandbox of a pod with what its guest has already: networks that are to come may take their time, and what is there
 * must not wait for them. Before its guest runs, with all of it.
 */
export function ensureKnown(
  tools: InstanceTools,
  pod: Pod,
  vmi: VirtualMachineInstance,
  signal: AbortSignal,
): Promise<SandboxState> {
  if (vmi.status?.phase !== 'Running') return ensure(tools, pod, vmi, signal)
  const known = new Set((vmi.status.interfaces ?? []).map(({ name }) => name))
  return ensure(tools, pod, vmi, signal, ({ name, primary }) => primary || known.has(name))
}

/** The sandbox of a pod as its instance wants it. */
export async function ensure(
  tools: InstanceTools,
  pod: Pod,
  vmi: VirtualMachineInstance,
  signal: AbortSignal,
  isMeant: (nic: DesiredNic) => boolean = () => true,
): Promise<SandboxState> {
  const nics = desiredNics(vmi.spec, pod.metadata.namespace ?? 'default').filter(isMeant)
  // A guest that runs can do without a network that does not come; one that is to start cannot.
  const isRunning = vmi.status?.phase === 'Running'
  return ensureWith(tools, pod, vmi, { nics, isOptional: (nic) => isRunning && !nic.primary }, signal)
}

/** What a sandbox is to have. */
export type Wanted = Readonly<{
  nics: readonly DesiredNic[]
  isOptional: (nic: DesiredNic) => boolean
  incoming?: Incoming
}>

/** The sandbox of a pod with networks for interfaces. */
export async function ensureWith(
  tools: InstanceTools,
  pod: Pod,
  vmi: VirtualMachineInstance,
  { nics, isOptional, incoming }: Wanted,
  signal: AbortSignal,
): Promise<SandboxState> {
  const { namespace = 'default', name, uid = '' } = pod.metadata
  const attachments = attachmentsOf(nics, vmi, tools)
  const optional = new Set(nics.filter(isOptional).map((nic) => nic.name))
  const { resourceVersion } = pod.metadata
  const owner = {
    node: tools.nodeName,
    cluster: tools.cluster,
    ...(resourceVersion !== undefined && { revision: resourceVersion }),
  }
  const user = userOf(pod)
  const memoryBytes = podMemory(pod, 'limits')
  const state = await tools.sandboxes.ensure(
    {
      ...{ uid, namespace, name, owner, attachments, optional },
      ...(user !== undefined && { user }),
      // Pods of earlier versions do not say.
      ...(memoryBytes > 0 && { memoryBytes }),
      ...(incoming && { incoming }),
    },
    signal,
  )
  if (state.repaired.length) {
    const what = state.repaired.join('; ')
    tools.recorder(
      vmi,
      'Warning',
      'NetworkRepaired',
      `Mended on node ${tools.nodeName}, where somebody changed it: ${what}`,
    )
  }
  return state
}
