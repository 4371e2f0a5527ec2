import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Log } from '#base/log.ts'
import { desiredNics } from '#core/nic/desired.ts'
import type { Images, Sandboxes, SandboxState } from '#core/ports.ts'
import { attachmentsOf } from '#core/sandbox/plan.ts'
import { domainName, queuesOf } from '#core/vm/domain.ts'
import type { Client } from '#machinery/client/client.ts'
import type { Recorder } from '#machinery/client/recorder.ts'
import type { Guests } from './guests.ts'
import type { LinkMemory } from './links.ts'
import type { Probes } from './probes.ts'

/** What a pass over a sandbox works with. */
export type InstanceTools = Readonly<{
  client: Client
  sandboxes: Sandboxes
  images: Images
  guests: Guests
  links: LinkMemory
  probes: Probes
  recorder: Recorder
  log: Log
  nodeName: string
  configOf: (network: string) => string | undefined
}>

/** When to look at a sandbox again although nothing changed. */
export type Again = Readonly<{ againAfterMs: number }> | undefined

export function nameOf(vmi: VirtualMachineInstance): string {
  return domainName(vmi.metadata.namespace ?? 'default', vmi.metadata.name)
}

/** The sandbox of a pod as its instance wants it. */
export async function ensure(
  tools: InstanceTools,
  pod: Pod,
  vmi: VirtualMachineInstance,
  signal: AbortSignal,
): Promise<SandboxState> {
  const { namespace = 'default', name, uid = '' } = pod.metadata
  const nics = desiredNics(vmi.spec, namespace)
  return tools.sandboxes.ensure(
    { uid, namespace, name, attachments: attachmentsOf(nics, queuesOf(vmi.spec), tools.configOf) },
    signal,
  )
}
