import { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { explain, faultKind } from '#base/fault.ts'
import { sandboxFinalizer } from '#core/vm/launcher.ts'
import { dropFinalizer } from '#machinery/client/finalizers.ts'
import type { AgentContext } from './context.ts'

/** Removes the sandbox of a pod from the host, then the pod from the API. A sandbox that cannot be removed yet keeps its pod. */
export async function removeSandbox(
  context: AgentContext,
  pod: Pod,
  vmi: VirtualMachineInstance | undefined,
  signal: AbortSignal,
): Promise<void> {
  const { client, guests, memories, probes, running } = context
  const { uid = '' } = pod.metadata
  guests.forget(uid)
  context.credentials.forget(uid)
  memories.forget(uid)
  context.pulls.forget(uid)
  probes.forget(uid)
  running.delete(uid)
  await remove(context, pod, vmi, signal)
  await dropFinalizer(client, Pod, pod, sandboxFinalizer)
  if (!pod.metadata.deletionTimestamp) await client.delete(Pod, pod.metadata, { uid })
}

/** Removes a sandbox. Events report what cannot be undone yet, and what never can. */
async function remove(
  { host, recorder }: AgentContext,
  pod: Pod,
  vmi: VirtualMachineInstance | undefined,
  signal: AbortSignal,
): Promise<void> {
  const warn = (what: string) => {
    for (const about of vmi ? [pod, vmi] : [pod]) recorder(about, 'Warning', 'FailedKillPod', what)
  }
  const sandbox = `the sandbox of pod ${pod.metadata.name}`
  try {
    const notUndone = await host.lifecycle.remove(pod.metadata.uid ?? '', signal)
    if (notUndone.length)
      warn(`${sandbox} was removed, but not all was undone that CNI plugins did: ${notUndone.join('; ')}`)
  } catch (fault) {
    if (faultKind(fault) !== 'Aborted') warn(`${sandbox} cannot be removed, and is tried again: ${explain(fault)}`)
    throw fault
  }
}
