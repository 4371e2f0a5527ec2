import { Pod } from '#apis/core/pod.ts'
import { VirtualMachineInstance, type VmiSpec, type VmiStatus } from '#apis/kubevirt/vmi.ts'
import { apiVersionOf, type Stored } from '#apis/meta/object.ts'
import { parseQuantity, quantityText } from '#apis/meta/quantity.ts'
import { sha256Hex } from '#base/sha256.ts'
import { nodeNameLabel } from '../access/node.ts'
import { migrationJobAnnotation, migrationJobLabel, targetNodeLabel } from '../migration/labels.ts'
import { desiredNics } from '../nic/desired.ts'
import { networksRequest } from '../sandbox/plan.ts'
import { findCondition, isTrue, withCondition, withoutCondition } from './conditions.ts'
import { vcpusOf } from './cpu.ts'
import { footprintOf, memoryOf } from './domain.ts'
import { withPhase } from './phase.ts'
import { isFinal } from './power.ts'
import { withUncarriedOfInstance } from './uncarried.ts'

/** Keeps a pod until the agent of its node has taken the sandbox away. */
export const sandboxFinalizer = 'patchbay.dev/sandbox'

type Identified = Pick<VirtualMachineInstance, 'metadata'>

/** Name of the pod an instance starts in: the same each time it is asked for, so that it is never made twice. */
export function firstLauncherName(vmi: Identified): string {
  return launcherName(vmi, vmi.metadata.uid ?? '')
}

/** Name of a launcher pod, by what it is made for: the instance itself, or one of its migrations. */
export function launcherName(vmi: Identified, uid: string): string {
  return `virt-launcher-${vmi.metadata.name}-${sha256Hex(uid).slice(0, 5)}`
}

/** A migration's part of a pod. */
type Job = Readonly<{ uid: string; name: string }>

/** Where a pod is to be, and what its guest's processes run as there: the same user wherever the guest goes. */
type Place = Readonly<{ nodeName: string; user: number | undefined }>

/** A pod that is about to be made. */
export type NewPod = Pod & Readonly<{ metadata: Readonly<{ namespace: string }> }>

/** The pod an instance starts in, or goes to by a migration, on a node. */
export function launcherPod(vmi: VirtualMachineInstance, { nodeName, user }: Place, job?: Job): NewPod {
  const { name, namespace = 'default', uid = '' } = vmi.metadata
  // Where the instance is says nothing about where this pod is.
  const { [nodeNameLabel]: _, [targetNodeLabel]: _target, ...others } = vmi.metadata.labels ?? {}
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
      labels: {
        ...others,
        'kubevirt.io': 'virt-launcher',
        'kubevirt.io/created-by': uid,
        'vm.kubevirt.io/name': name,
        ...(job && { [migrationJobLabel]: job.uid }),
      },
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
      ...(user !== undefined && { securityContext: { runAsUser: user } }),
      containers: [{ name: 'compute', image: 'patchbay/sandbox', resources: resourcesOf(vmi.spec) }],
    },
  }
}

/** Of a CPU of the host, how much a guest asks for each of its own, thousandths: its default `cpuAllocationRatio` is 10 (KubeVirt). */
const milliPerCpu = 100

/**
 * What a pod takes of its node and of the quotas of its namespace: the guest's memory and what its processes take beside it,
 * and CPU as KubeVirt reckons it, which is limited only if the owner says so.
 */
function resourcesOf(spec: VmiSpec) {
  const { bytes = 0 } = memoryOf(spec)
  const memory = `${Math.ceil(footprintOf(bytes) / 1024)}Ki`
  const { requests = {}, limits = {} } = spec.domain.resources ?? {}
  const named = requests.cpu ?? limits.cpu
  const cpu = parseQuantity(named)
    ? named
    : quantityText({ milli: BigInt(vcpusOf(spec) * milliPerCpu), form: 'decimal' })
  return {
    requests: { cpu: String(cpu), memory },
    limits: { memory, ...(limits.cpu !== undefined && { cpu: String(limits.cpu) }) },
  }
}

/** An instance has been handed over to its node's agent, which writes its phase from then on. */
export function isScheduled(vmi: VirtualMachineInstance): boolean {
  const phase = vmi.status?.phase
  return phase !== undefined && phase !== 'Pending' && phase !== 'Scheduling'
}

/** The part of an instance's status that is the controller's: everything up to the hand-over. `why` is why it has no pod. */
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
  const refused = findCondition(ready, 'Synchronized')?.reason === failedCreate
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

/** Reason of conditions and Events about what may not be made (KubeVirt). */
export const failedCreate = 'FailedCreate'

/** The status of an instance whose pod may not be made, and why, in KubeVirt's words. */
export function refusedStatus({ status = {} }: VirtualMachineInstance, why: string, now: string): VmiStatus {
  const message = `failed to create virtual machine pod: ${why}`
  const conditions = withCondition(
    status.conditions,
    { type: 'Synchronized', status: 'False', reason: failedCreate, message },
    now,
  )
  return { ...withPhase(status, 'Pending', now), conditions }
}

/** True when an instance has no use for its pod any more: it ended, or it is deleted before its guest was ever started. */
export function isPodObsolete(vmi: VirtualMachineInstance): boolean {
  return isFinal(vmi) || (vmi.metadata.deletionTimestamp !== undefined && !isScheduled(vmi))
}
