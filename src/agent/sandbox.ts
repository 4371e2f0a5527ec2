import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Incoming, SandboxState } from '#core/ports.ts'
import { mirrorsOf } from '#core/sandbox/mirrors.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import { userOf } from '#core/sandbox/users.ts'
import { domainUuid } from '#core/vm/domain.ts'
import { podMemory } from '#core/vm/scheduling.ts'
import type { AgentContext } from './context.ts'

/** What a sandbox must have. */
export type Wanted = Readonly<{
  attachments: readonly Attachment[]
  /** Names of attachments that may fail. */
  optional: ReadonlySet<string>
  incoming?: Incoming
}>

/**
 * Makes the sandbox of a pod or finds it complete, and emits an Event about what was repaired. @throws Fault Invalid,
 * Unavailable, Timeout
 */
export async function ensureSandbox(
  { host, nads, recorder, nodeName, cluster }: AgentContext,
  pod: Pod,
  vmi: VirtualMachineInstance,
  { attachments, optional, incoming }: Wanted,
  signal: AbortSignal,
): Promise<SandboxState> {
  const { namespace = 'default', name, uid = '', resourceVersion } = pod.metadata
  const owner = { node: nodeName, cluster, ...(resourceVersion !== undefined && { revision: resourceVersion }) }
  const user = userOf(pod)
  const memoryBytes = podMemory(pod, 'limits')
  const { mirrors, unmirrored } = mirrorsOf(vmi, nads)
  const state = await host.lifecycle.ensure(
    {
      ...{ uid, namespace, name, owner, attachments, optional, domain: domainUuid(vmi) },
      ...(user !== undefined && { user }),
      // Pods of earlier versions have no limit.
      ...(memoryBytes > 0 && { memoryBytes }),
      ...(mirrors.length && { mirrors }),
      ...(incoming && { incoming }),
    },
    signal,
  )
  const repaired = state.repaired.join('; ')
  if (repaired)
    recorder(
      vmi,
      'Warning',
      'NetworkRepaired',
      `Repaired on node ${nodeName}, where it was changed outside Patchbay: ${repaired}`,
    )
  return unmirrored.size ? { ...state, unmirrored: new Map([...state.unmirrored, ...unmirrored]) } : state
}
