import { Pod } from '#apis/core/pod.ts'
import { VirtualMachineInstance, type VmiSpec, type VmiStatus } from '#apis/kubevirt/vmi.ts'
import { apiVersionOf, type Stored } from '#apis/meta/object.ts'
import { parseQuantity, quantityText } from '#apis/meta/quantity.ts'
import { sha256Hex } from '#base/sha256.ts'
import { nodeNameLabel } from '../access/node.ts'
import { claimReasons } from '../disk/readiness.ts'
import { migrationJobAnnotation, migrationJobLabel, targetNodeLabel } from '../migration/labels.ts'
import { desiredNics } from '../nic/desired.ts'
import { networksRequest } from '../sandbox/plan.ts'
import { findCondition, isTrue, withCondition, withoutCondition } from './conditions.ts'
import { vcpusOf } from './cpu.ts'
import { podBytesOf } from './memory.ts'
import { withPhase } from './phase.ts'
import { isFinal } from './power.ts'
import { withUncarriedOfInstance } from './uncarried.ts'

/** Keeps a pod until the agent of its node has removed the sandbox. */
export const sandboxFinalizer = 'patchbay.dev/sandbox'

type Identified = Pick<VirtualMachineInstance, 'metadata'>

/** Name of the pod in which an instance starts: deterministic, so that the pod is never created twice. */
export function firstLauncherName(vmi: Identified): string {
  return launcherName(vmi, vmi.metadata.uid ?? '')
}

/** Name of a launcher pod, by the UID of the instance, or of the migration that it is created for. */
export function launcherName(vmi: Identified, uid: string): string {
  return `virt-launcher-${vmi.metadata.name}-${sha256Hex(uid).slice(0, 5)}`
}

/** The migration that a pod is created for. */
type Job = Readonly<{ uid: string; name: string }>

/**
 * The node of a pod, the user of its guest's processes, which is the same on all nodes, and how many of the host's devices of which
 * resource it needs.
 */
type Place = Readonly<{ nodeName: string; user: number | undefined; devices?: ReadonlyMap<string, number> }>

/** A pod to be created. */
export type NewPod = Pod & Readonly<{ metadata: Readonly<{ namespace: string }> }>

/** The pod in which an instance starts on a node, or to which it migrates. */
export function launcherPod(
  vmi: VirtualMachineInstance,
  { nodeName, user, devices = new Map() }: Place,
  job?: Job,
): NewPod {
  const { name, namespace = 'default', uid = '' } = vmi.metadata
  const annotations = {
    'kubevirt.io/domain': name,
    ...networksRequest(desiredNics(vmi.spec, namespace)),
    ...(job && { [migrationJobAnnotation]: job.name }),
  }
  return {
    apiVersion: apiVersionOf(Pod),
    kind: Pod.kind,
    metadata: {
      name: launcherName(vmi, job?.uid ?? uid),
      namespace,
      labels: { ...launcherLabels(vmi), ...(job && { [migrationJobLabel]: job.uid }) },
      annotations,
      finalizers: [sandboxFinalizer],
      ownerReferences: [
        {
          apiVersion: apiVersionOf(VirtualMachineInstance),
          kind: VirtualMachineInstance.kind,
          name,
          uid,
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    },
    spec: {
      nodeName,
      restartPolicy: 'Never',
      ...(vmi.spec.affinity && { affinity: vmi.spec.affinity }),
      ...(user !== undefined && { securityContext: { runAsUser: user } }),
      containers: [{ name: 'compute', image: 'patchbay/sandbox', resources: resourcesOf(vmi.spec, devices) }],
    },
  }
}

/** The label of a pod with the UID of its instance. */
export const createdByLabel = 'kubevirt.io/created-by'

/** The labels of every pod of an instance. Those about its nodes do not apply to a pod. */
export function launcherLabels({ metadata }: Identified): Readonly<Record<string, string>> {
  const { [nodeNameLabel]: _, [targetNodeLabel]: _target, ...others } = metadata.labels ?? {}
  return {
    ...others,
    'kubevirt.io': 'virt-launcher',
    [createdByLabel]: metadata.uid ?? '',
    'vm.kubevirt.io/name': metadata.name,
  }
}

/** CPU request for each of a guest's CPUs, thousandths: KubeVirt's default `cpuAllocationRatio` is 10. */
const milliPerCpu = 100

/**
 * The resources of a pod, on its node and in the quotas of its namespace: the memory of the guest and its processes, and CPU as
 * computed by KubeVirt, which is limited only if the spec has a limit; and devices of the host.
 */
function resourcesOf(spec: VmiSpec, devices: ReadonlyMap<string, number>) {
  const memory = `${Math.ceil(podBytesOf(spec) / 1024)}Ki`
  const others = Object.fromEntries([...devices].map(([resource, count]) => [resource, String(count)]))
  const { requests = {}, limits = {} } = spec.domain.resources ?? {}
  const named = requests.cpu ?? limits.cpu
  const cpu = parseQuantity(named)
    ? named
    : quantityText({ milli: BigInt(vcpusOf(spec) * milliPerCpu), form: 'decimal' })
  return {
    requests: { cpu: String(cpu), memory, ...others },
    limits: { memory, ...(limits.cpu !== undefined && { cpu: String(limits.cpu) }), ...others },
  }
}

/** Whether an instance has been handed over to its node's agent, which writes its phase from then on. */
export function isScheduled(vmi: VirtualMachineInstance): boolean {
  const phase = vmi.status?.phase
  return phase !== undefined && phase !== 'Pending' && phase !== 'Scheduling'
}

/** Reasons of the condition Synchronized of an instance that has no pod yet. */
const earlyReasons: ReadonlySet<string | undefined> = new Set(['FailedCreate', ...Object.values(claimReasons)])

/** The controller's part of an instance's status, until the hand-over. `why` is the reason why it has no pod. */
export function scheduledStatus(
  vmi: VirtualMachineInstance,
  pod: Stored<Pod> | { why: string },
  now: string,
): VmiStatus {
  const status = vmi.status ?? {}
  if (isScheduled(vmi)) return status
  const ready = withCondition(
    withUncarriedOfInstance(status.conditions, vmi, now),
    { type: 'Ready', status: 'False', reason: 'GuestNotRunning', message: 'Guest VM is not reported as running' },
    now,
  )
  if ('why' in pod) {
    const conditions = withCondition(
      ready,
      { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: pod.why },
      now,
    )
    return { ...withPhase(status, 'Pending', now), conditions }
  }
  const refused = earlyReasons.has(findCondition(ready, 'Synchronized')?.reason)
  const conditions = withoutCondition(refused ? withoutCondition(ready, 'Synchronized') : ready, 'PodScheduled')
  if (!isTrue(pod.status?.conditions, 'Ready')) return { ...withPhase(status, 'Scheduling', now), conditions }
  const nodeName = pod.spec.nodeName ?? ''
  return {
    ...withPhase(status, 'Scheduled', now),
    conditions,
    nodeName,
    activePods: { [pod.metadata.uid]: nodeName },
  }
}

/** Reason of conditions and Events about a refused creation (KubeVirt). */
export const failedCreate = 'FailedCreate'

/** The status of an instance whose pod was refused, with the reason, in KubeVirt's words. */
export function refusedStatus({ status = {} }: VirtualMachineInstance, why: string, now: string): VmiStatus {
  const failure = { reason: failedCreate, message: `failed to create virtual machine pod: ${why}` }
  return waitingStatus({ status }, failure, now)
}

/** The status of an instance that gets no pod yet, with what it waits for. */
export function waitingStatus(
  { status = {} }: Pick<VirtualMachineInstance, 'status'>,
  { reason, message }: Readonly<{ reason: string; message: string }>,
  now: string,
): VmiStatus {
  const conditions = withCondition(status.conditions, { type: 'Synchronized', status: 'False', reason, message }, now)
  return { ...withPhase(status, 'Pending', now), conditions }
}

/** Whether an instance no longer needs its pod: it ended, or it is being deleted and its guest was never started. */
export function isPodObsolete(vmi: VirtualMachineInstance): boolean {
  return isFinal(vmi) || (vmi.metadata.deletionTimestamp !== undefined && !isScheduled(vmi))
}
