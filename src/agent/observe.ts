import type { Pod } from '#apis/core/pod.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { faultKind } from '#base/fault.ts'
import { nodeNameLabel } from '#core/access/node.ts'
import { type GuestObservation, type Observation, type Owner, type Task, taskOf } from '#core/instance/observation.ts'
import { activePodName } from '#core/migration/pod-role.ts'
import { desiredNics } from '#core/nic/desired.ts'
import type { LinkDrift } from '#core/nic/drift.ts'
import type { SandboxState } from '#core/ports.ts'
import { type AgentContext, nameOf } from './context.ts'
import { observePlugs } from './plugs.ts'
import { observeVolumes } from './volumes.ts'

/** What an earlier round of the same pass has found. */
export type Known = Readonly<{ sandbox?: SandboxState; guest?: GuestObservation; isRequestDone: boolean }>

const noDrift: LinkDrift = { fresh: [], kept: [] }

/**
 * Finds the instance that a pod was created for. Its absence from the agent's cache proves nothing; only the server's answer
 * does.
 */
export async function ownerOf(
  { client, nodeName }: AgentContext,
  { metadata }: Pod,
  known: VirtualMachineInstance | undefined,
): Promise<Owner> {
  const owner = metadata.ownerReferences?.find(({ kind }) => kind === VirtualMachineInstance.kind)
  if (!owner) return { is: 'unknown' }
  if (known?.metadata.uid === owner.uid) return { is: 'here', vmi: known }
  const vmi = await client.get(VirtualMachineInstance, { namespace: metadata.namespace ?? '', name: owner.name })
  if (vmi?.metadata.uid !== owner.uid) return { is: 'gone' }
  return vmi.metadata.labels?.[nodeNameLabel] === nodeName ? { is: 'here', vmi } : { is: 'elsewhere' }
}

/** Observes everything that the plan for a pod depends on, and changes nothing. @throws Fault Unavailable, Timeout, Aborted */
export async function observe(
  context: AgentContext,
  pod: Pod,
  vmi: VirtualMachineInstance,
  { sandbox, guest: seenGuest, isRequestDone }: Known,
  signal: AbortSignal,
): Promise<Observation> {
  const { memories, probes, nads, nodeName } = context
  const uid = pod.metadata.uid ?? ''
  const task = taskOf(pod, vmi)
  const [guest, missingImage, volumes, plugs] = await Promise.all([
    seenGuest ?? observeGuest(context, uid, task, sandbox, signal),
    task.do === 'run' && guestIsToStart(task.vmi) ? missingImageOf(context, task.vmi) : undefined,
    task.do === 'run' && guestIsToStart(task.vmi) ? observeVolumes(context, pod, task.vmi) : undefined,
    task.do === 'run' ? observePlugs(context, task.vmi) : undefined,
  ])
  const { failures, requested, deaf } = memories.of(uid)
  const { failed: unwell } = probes.health(uid)
  return {
    pod,
    vmi,
    activePodUid: activePodUid(context, vmi),
    ...(sandbox && { sandbox }),
    ...(guest && { guest }),
    ...(missingImage !== undefined && { missingImage }),
    ...(volumes && { volumes }),
    ...(plugs && { plugs }),
    ...(unwell && { unwell }),
    drift: task.do === 'run' ? driftOf(context, uid, task.vmi, guest) : noDrift,
    isRequestDone,
    mode: context.attachmentMode(),
    nads,
    nodeName,
    requested,
    deaf,
    failures,
    nowMs: Date.now(),
  }
}

/**
 * Observes the guest if the task concerns it. A guest that is to run is observed only after its sandbox has been made or found
 * complete.
 */
async function observeGuest(
  { host }: AgentContext,
  uid: string,
  task: Task,
  sandbox: SandboxState | undefined,
  signal: AbortSignal,
): Promise<GuestObservation | undefined> {
  const { vmi } = 'vmi' in task ? task : {}
  const lastEnd = async () => vmi && host.processes.lastEnd(uid, nameOf(vmi))
  if (task.do === 'run') {
    if (!sandbox) return undefined
    const domain = await sandbox.hypervisor.domain.observe(signal)
    return domain ? { is: 'there', domain } : { is: 'none', end: await lastEnd() }
  }
  if ((task.do !== 'stop' && task.do !== 'remove') || !task.vmi) return undefined
  try {
    const hypervisor = await host.lifecycle.connect(uid, signal)
    const domain = await hypervisor?.domain.observe(signal)
    if (domain) return { is: 'there', domain }
    return { is: 'none', end: await lastEnd().catch(() => undefined) }
  } catch (cause) {
    if (faultKind(cause) === 'Aborted') throw cause
    return { is: 'silent', cause, hasProcess: await host.processes.has(uid) }
  }
}

function guestIsToStart({ status }: VirtualMachineInstance): boolean {
  return status?.phase !== 'Running'
}

/** The image that an instance boots from, if this node lacks it. */
async function missingImageOf({ images }: AgentContext, { spec }: VirtualMachineInstance): Promise<string | undefined> {
  const image = spec.domain.firmware?.kernelBoot?.container?.image
  return image === undefined || (await images.has(image)) ? undefined : image
}

function driftOf(
  { memories }: AgentContext,
  uid: string,
  vmi: VirtualMachineInstance,
  guest: GuestObservation | undefined,
): LinkDrift {
  if (guest?.is !== 'there') return noDrift
  return memories.links.judge(uid, vmi, desiredNics(vmi.spec, vmi.metadata.namespace ?? 'default'), guest.domain.nics)
}

function activePodUid({ podOf }: AgentContext, vmi: VirtualMachineInstance): string | undefined {
  return podOf(vmi.metadata.namespace ?? '', activePodName(vmi))?.metadata.uid
}
