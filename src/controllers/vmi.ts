import { Pod } from '#apis/core/pod.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { networkSelectionsIn, networksAnnotation } from '#apis/net/attachment.ts'
import { explain, faultKind } from '#base/fault.ts'
import { sameJson } from '#base/json.ts'
import { timestamp } from '#base/time.ts'
import { nodeNameLabel } from '#core/access/node.ts'
import { claimsInUse } from '#core/disk/hotplug.ts'
import { claimNames, claimStatuses, dataVolumesReady, type Readiness, readinessOf } from '#core/disk/readiness.ts'
import { activePodName, podRole } from '#core/migration/pod-role.ts'
import { isDevice } from '#core/nic/bindings.ts'
import { desiredNics } from '#core/nic/desired.ts'
import { networksRequest } from '#core/sandbox/plan.ts'
import { findCondition, withCondition } from '#core/vm/conditions.ts'
import { vmiFinalizer } from '#core/vm/instance.ts'
import {
  failedCreate,
  isPodObsolete,
  isScheduled,
  launcherPod,
  refusedStatus,
  scheduledStatus,
  waitingStatus,
} from '#core/vm/launcher.ts'
import { withPhase } from '#core/vm/phase.ts'
import { isFinal } from '#core/vm/power.ts'
import { dropFinalizer } from '#machinery/client/finalizers.ts'
import { onAnyChange } from '#machinery/client/informer.ts'
import { modifySame } from '#machinery/client/modify-same.ts'
import { type Controller, runController } from '#machinery/loop/reconcile.ts'
import { claimWorld } from './claim-world.ts'
import { type ControllerContext, fromQueueKey, instanceKeyOf, queueKey } from './context.ts'

/** Gives instances a pod on a node, hands them over to the node's agent, and cleans up after them. */
export function startVmiController(context: ControllerContext): Controller {
  const controller = runController({
    name: 'vmi',
    workers: 4,
    log: context.log,
    signal: context.signal,
    reconcile: (key) => reconcile(context, key),
  })
  context.vmis.onChange((now, before) => {
    const vmi = now ?? before
    if (!vmi) return
    controller.enqueue(queueKey(vmi))
    // Others may use its claims now.
    const kept = new Set(now && !isFinal(now) ? claimsInUse(now) : [])
    for (const name of claimsInUse(before ?? vmi))
      if (!kept.has(name)) enqueueUsers({ metadata: { ...vmi.metadata, name } })
  })
  onAnyChange(context.pods, (pod, isThere) => {
    const key = instanceKeyOf(pod)
    if (!key.endsWith('/')) controller.enqueue(key)
    for (const waiting of context.scheduler.takeAwaiting()) controller.enqueue(waiting)
    // It made room for pending ones.
    if (!isThere) enqueueWaiting()
  })
  context.nodes.onChange(() => enqueueWaiting())
  const enqueueUsers = ({ metadata }: { metadata: Readonly<{ namespace: string; name: string }> }) => {
    for (const vmi of context.vmis.indexed('byClaim', queueKey({ metadata }))) controller.enqueue(queueKey(vmi))
  }
  onAnyChange(context.claims, enqueueUsers)
  onAnyChange(context.dataVolumes, enqueueUsers)
  context.onRoom(enqueueWaiting)
  function enqueueWaiting(namespace?: string): void {
    for (const vmi of context.vmis.list())
      if (!isScheduled(vmi) && (namespace === undefined || vmi.metadata.namespace === namespace))
        controller.enqueue(queueKey(vmi))
  }
  return controller
}

async function reconcile(context: ControllerContext, key: string): Promise<undefined> {
  const vmi = context.vmis.get(fromQueueKey(key))
  if (!vmi) return
  const podKey = { namespace: vmi.metadata.namespace, name: activePodName(vmi) }
  const found = context.pods.get(podKey)
  const pods = context.pods.indexed('byVmi', key).filter((pod) => isOf(pod, vmi))
  if (isPodObsolete(vmi)) {
    for (const pod of pods) await context.client.delete(Pod, pod.metadata)
    // The cache may lag behind; only the server decides when the last finalizer goes.
    if (!pods.length && vmi.metadata.deletionTimestamp && !(await context.client.get(Pod, podKey)))
      await dropFinalizer(context.client, VirtualMachineInstance, vmi, vmiFinalizer)
    return
  }
  if (isScheduled(vmi)) {
    for (const pod of pods)
      if (podRole(pod, vmi) === 'released' && !pod.metadata.deletionTimestamp)
        await context.client.delete(Pod, pod.metadata)
    if (found) await followNetworks(context, vmi, found)
    else await failWithoutPod(context, vmi, podKey)
    return
  }
  // It is enqueued when its claims change.
  if (!found && 'waits' in (await followClaims(context, vmi))) return
  const pod = found ?? (await createPod(context, vmi).catch((error: unknown) => reportRefusal(context, vmi, error)))
  const now = timestamp()
  if ('spec' in pod) await labelNode(context, vmi, pod.spec.nodeName)
  await modifySame(
    context.client,
    VirtualMachineInstance,
    vmi,
    (current) => ({ ...current, status: scheduledStatus(current, pod, now) }),
    { subresource: 'status' },
  )
}

/** Reports what the claims of an instance are, and what it waits for because of them. */
async function followClaims(context: ControllerContext, vmi: Stored<VirtualMachineInstance>): Promise<Readiness> {
  const { namespace } = vmi.metadata
  const world = claimWorld(context, namespace)
  const readiness = readinessOf(vmi.spec, namespace, world, vmi)
  if (!claimNames(vmi.spec).length) return readiness
  const now = timestamp()
  const ready = dataVolumesReady(vmi.spec, world)
  const volumeStatus = claimStatuses(vmi.spec, world)
  let isNews = false
  await modifySame(
    context.client,
    VirtualMachineInstance,
    vmi,
    (current) => {
      if (isScheduled(current)) return undefined
      const base =
        'waits' in readiness
          ? waitingStatus(current, { reason: readiness.waits, message: readiness.message }, now)
          : current.status
      const conditions = ready ? withCondition(base?.conditions, ready, now) : base?.conditions
      const status = { ...base, ...(conditions && { conditions }), ...(volumeStatus && { volumeStatus }) }
      const before = findCondition(current.status?.conditions, 'Synchronized')?.message
      isNews = 'waits' in readiness && before !== readiness.message
      return sameJson(status, current.status) ? undefined : { ...current, status }
    },
    { subresource: 'status' },
  )
  if (isNews && 'waits' in readiness) context.recorder(vmi, 'Warning', readiness.waits, readiness.message)
  return readiness
}

/** A pod of another instance of the same name does not belong to this one. */
function isOf(pod: Pod, { metadata }: VirtualMachineInstance): boolean {
  return pod.metadata.ownerReferences?.some((owner) => owner.uid === metadata.uid) ?? false
}

/** Keeps the pod's network annotation equal to the instance's networks, which change while it runs. */
async function followNetworks(
  context: ControllerContext,
  vmi: Stored<VirtualMachineInstance>,
  pod: Pod,
): Promise<void> {
  const has = new Set(networkSelectionsIn(pod.metadata.annotations).map((one) => one.interface))
  const nics = desiredNics(vmi.spec, vmi.metadata.namespace)
  // What only another sandbox can have is requested by the pod that the guest migrates to.
  const own = nics.filter(({ binding, links }) => !isDevice(binding) || has.has(links.pod))
  const wanted = networksRequest(own)[networksAnnotation]
  if ((pod.metadata.annotations?.[networksAnnotation] || undefined) === wanted) return
  await context.client.modify(Pod, pod.metadata, (current) => ({
    ...current,
    metadata: {
      ...current.metadata,
      annotations: { ...current.metadata.annotations, [networksAnnotation]: wanted ?? '' },
    },
  }))
}

async function createPod(
  context: ControllerContext,
  vmi: Stored<VirtualMachineInstance>,
): Promise<Stored<Pod> | { why: string }> {
  const placement = context.scheduler.find(vmi)
  if ('why' in placement) return placement
  const nodeName = placement.node.metadata.name
  const pod = launcherPod(vmi, { nodeName, user: context.takeUser(), devices: context.scheduler.devicesOf(vmi) })
  try {
    const made = await context.scheduler.put(pod, async () => {
      // The label comes first: by it the node's agent finds the instance of the pod it is about to see.
      await labelNode(context, vmi, nodeName)
      return context.client.create(Pod, pod)
    })
    context.recorder(vmi, 'Normal', 'SuccessfulCreate', `Created virtual machine pod ${made.metadata.name}`)
    return made
  } catch (error) {
    if (faultKind(error) !== 'AlreadyExists') throw error
    const found = await context.client.get(Pod, {
      namespace: vmi.metadata.namespace,
      name: activePodName(vmi),
    })
    // The pod is gone again; its deletion event brings the next pass.
    return found ?? { why: 'the pod of the instance has just been deleted' }
  }
}

/** Reports in status and Event that a pod may not be created. @throws what was thrown: the controller retries */
async function reportRefusal(
  context: ControllerContext,
  vmi: Stored<VirtualMachineInstance>,
  error: unknown,
): Promise<never> {
  if (faultKind(error) !== 'Forbidden') throw error
  const why = explain(error)
  let isNews = false
  await modifySame(
    context.client,
    VirtualMachineInstance,
    vmi,
    (current) => {
      if (isScheduled(current)) return undefined
      const status = refusedStatus(current, why, timestamp())
      isNews = !sameJson(status.conditions, current.status?.conditions)
      return { ...current, status }
    },
    { subresource: 'status' },
  )
  if (isNews) context.recorder(vmi, 'Warning', failedCreate, `Error creating pod: ${why}`)
  throw error
}

/** Labels an instance with the node whose agent runs it. */
async function labelNode(
  context: ControllerContext,
  vmi: Stored<VirtualMachineInstance>,
  nodeName: string | undefined,
): Promise<void> {
  if (!nodeName) return
  await modifySame(context.client, VirtualMachineInstance, vmi, ({ metadata, ...current }) =>
    metadata.labels?.[nodeNameLabel] !== nodeName
      ? { ...current, metadata: { ...metadata, labels: { ...metadata.labels, [nodeNameLabel]: nodeName } } }
      : undefined,
  )
}

/** A handed-over instance without a pod cannot run again: its agent ended it, or never will. */
async function failWithoutPod(
  context: ControllerContext,
  vmi: Stored<VirtualMachineInstance>,
  podKey: { namespace: string; name: string },
): Promise<void> {
  if (await context.client.get(Pod, podKey)) return
  const now = timestamp()
  await modifySame(
    context.client,
    VirtualMachineInstance,
    vmi,
    (current) => {
      if (isFinal(current)) return undefined
      return { ...current, status: { ...withPhase(current.status, 'Failed', now), reason: 'PodGone' } }
    },
    { subresource: 'status' },
  )
}
