import { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { explain, faultKind } from '#base/fault.ts'
import type { DomainEnd, Hypervisor } from '#core/ports.ts'
import { isScheduled, sandboxFinalizer } from '#core/vm/launcher.ts'
import { isFinal } from '#core/vm/power.ts'
import type { Pass } from '#core/vm/running.ts'
import { dropFinalizer } from '#machinery/client/finalizers.ts'
import { report } from './report.ts'
import { type Again, type InstanceTools, nameOf } from './tools.ts'

/** Default time a guest is given to shut down, seconds (Kubernetes' default). */
const defaultGraceSeconds = 30
/** How often a guest that does not shut down is asked again, milliseconds. */
const askAgainMs = 5000

/** When each sandbox's guest was last asked to shut down; a restart of the agent merely asks again. */
const asked = new Map<string, number>()

/** A guest that is to go. */
type Leaving = Readonly<{
  pod: Pod
  vmi: VirtualMachineInstance
  /** Since when; its grace period counts from then. Milliseconds. */
  sinceMs: number
  /** How its end is judged; by how it ended unless given. */
  end?: DomainEnd
}>

/** Asks the guest to go, ends it when its time is up. Returns nothing only when the guest is gone. */
export async function stop(tools: InstanceTools, leaving: Leaving, signal: AbortSignal): Promise<Again> {
  const { pod, vmi } = leaving
  const uid = pod.metadata.uid ?? ''
  const graceMs = (vmi.spec.terminationGracePeriodSeconds ?? defaultGraceSeconds) * 1000
  const leftMs = leaving.sinceMs + graceMs - Date.now()
  let hypervisor: Hypervisor | undefined
  try {
    hypervisor = await tools.sandboxes.reach(uid, signal)
    if (await hypervisor?.observe(signal)) return await press(tools, vmi, uid, hypervisor!, leftMs, signal)
  } catch (error) {
    if (faultKind(error) === 'Aborted') throw error
    const gone = await endUnanswered(tools, leaving, leftMs, error)
    if (gone) return gone
  }
  asked.delete(uid)
  const ended = leaving.end ?? (await hypervisor?.lastEnd(nameOf(vmi)).catch(() => undefined)) ?? 'destroyed'
  return finish(tools, pod, vmi, ended)
}

/** Asks a guest that is there to shut down, or ends it when its time is up. */
async function press(
  tools: InstanceTools,
  vmi: VirtualMachineInstance,
  uid: string,
  hypervisor: Hypervisor,
  leftMs: number,
  signal: AbortSignal,
): Promise<Again> {
  if (leftMs <= 0) {
    tools.log.info({ domain: nameOf(vmi) }, 'Ending guest that did not shut down in time')
    await hypervisor.destroy(signal)
    return { againAfterMs: 0 }
  }
  if (Date.now() - (asked.get(uid) ?? 0) >= askAgainMs) {
    asked.set(uid, Date.now())
    await hypervisor
      .shutdown(signal)
      .catch((error: unknown) =>
        tools.log.warn({ domain: nameOf(vmi), cause: explain(error) }, 'Guest cannot be asked to shut down'),
      )
  }
  return { againAfterMs: Math.min(leftMs, askAgainMs) }
}

/**
 * What to do about a guest whose hypervisor does not answer: until its time is up it is let run and asked again, then it is
 * ended by its process. Nothing is returned when no process of it is left.
 */
async function endUnanswered(
  tools: InstanceTools,
  { pod, vmi }: Leaving,
  leftMs: number,
  why: unknown,
): Promise<Again> {
  const uid = pod.metadata.uid ?? ''
  if (!(await tools.sandboxes.hasGuest(uid))) return undefined
  if (leftMs > 0) {
    const message = `the guest cannot be asked to shut down, and is ended when its grace period is over: ${explain(why)}`
    await report(tools, pod, vmi, { reason: 'FailedKillPod', message, event: 'FailedKillPod' }, undefined)
    return { againAfterMs: Math.min(leftMs, askAgainMs) }
  }
  tools.log.warn(
    { domain: nameOf(vmi), cause: explain(why) },
    'Ending guest by its process; its hypervisor does not answer',
  )
  await tools.sandboxes.killGuest(uid)
  return undefined
}

/** Takes a sandbox whose pod is deleted (or whose instance is not there any more) off the host. */
export async function end(
  tools: InstanceTools,
  pod: Pod,
  vmi: VirtualMachineInstance | undefined,
  signal: AbortSignal,
): Promise<Again> {
  const { uid = '' } = pod.metadata
  if (vmi && isScheduled(vmi) && !isFinal(vmi)) {
    const sinceMs = Date.parse(vmi.metadata.deletionTimestamp ?? pod.metadata.deletionTimestamp ?? '')
    const again = await stop(tools, { pod, vmi, sinceMs }, signal)
    if (again) return again
  }
  tools.guests.forget(uid)
  tools.links.forget(uid)
  tools.patience.forget(uid)
  tools.probes.forget(uid)
  tools.running.delete(uid)
  await remove(tools, pod, vmi, signal)
  await dropFinalizer(tools.client, Pod, pod, sandboxFinalizer)
  if (!pod.metadata.deletionTimestamp) await tools.client.delete(Pod, pod.metadata, { uid })
  return undefined
}

/** Removes a sandbox. What cannot be given back yet keeps its pod, and its owner is told why; so it is of what never can. */
async function remove(
  tools: InstanceTools,
  pod: Pod,
  vmi: VirtualMachineInstance | undefined,
  signal: AbortSignal,
): Promise<void> {
  const tell = (what: string) => {
    for (const about of vmi ? [pod, vmi] : [pod]) tools.recorder(about, 'Warning', 'FailedKillPod', what)
  }
  const sandbox = `the sandbox of pod ${pod.metadata.name}`
  try {
    const notUndone = await tools.sandboxes.remove(pod.metadata.uid ?? '', signal)
    if (notUndone.length)
      tell(`${sandbox} was removed, but not all was undone that CNI plugins did: ${notUndone.join('; ')}`)
  } catch (fault) {
    if (faultKind(fault) !== 'Aborted') tell(`${sandbox} cannot be removed, and is tried again: ${explain(fault)}`)
    throw fault
  }
}

export async function finish(
  tools: InstanceTools,
  pod: Pod,
  vmi: VirtualMachineInstance,
  ended: Pass['end'],
): Promise<undefined> {
  tools.guests.forget(pod.metadata.uid ?? '')
  tools.probes.forget(pod.metadata.uid ?? '')
  tools.running.delete(pod.metadata.uid ?? '')
  tools.log.info({ domain: nameOf(vmi), ended }, 'Guest ended')
  await report(tools, pod, vmi, undefined, { end: ended })
}
