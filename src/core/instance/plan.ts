import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { explain } from '#base/fault.ts'
import { withoutHotpluggable } from '../disk/hotplug.ts'
import { desiredNics, unsupportedInterface } from '../nic/desired.ts'
import { attachmentsOf } from '../sandbox/plan.ts'
import { domainSpec } from '../vm/domain.ts'
import { isScheduled } from '../vm/launcher.ts'
import type { SyncFailure } from '../vm/running.ts'
import { imageMissingReason } from '../vm/status.ts'
import { backingOff } from './backoff.ts'
import { sandboxDepends, startDepends } from './depends.ts'
import { planGuest, release } from './guest.ts'
import { type Observation, taskOf } from './observation.ts'
import { type InstanceStep, sandboxKey } from './steps.ts'
import { planStop } from './stop.ts'
import { planVolumes } from './volumes.ts'

/** The next steps for a pod, and what is reported when there are none. Steps are followed by another observation. */
export type InstancePlan = Readonly<{
  steps: readonly InstanceStep[]
  /** Why the instance differs from its spec. */
  syncFailure?: SyncFailure
  /** What is reported when there are no steps: nothing, only the sandbox, only the failure, or everything that was observed. */
  reports: 'nothing' | 'sandbox' | 'failure' | 'all'
  /** When to run the next pass although nothing changed, milliseconds from now. */
  againAfterMs?: number
}>

/**
 * Decides everything that a pass over a pod of this node does; it has no effects. The plan follows from the observation alone, so
 * that a pass that was interrupted anywhere is completed by the next one.
 */
export function planInstance(seen: Observation): InstancePlan {
  const task = taskOf(seen.pod, seen.vmi)
  switch (task.do) {
    case 'nothing':
      return { steps: [], reports: 'nothing' }
    case 'remove': {
      const stop = task.vmi && planStop(seen, task.vmi, task)
      return stop ? withLast(stop, { do: 'remove' }) : { steps: [{ do: 'remove' }], reports: 'nothing' }
    }
    case 'stop':
      // A guest that is going to be ended needs no networks, and is not blocked by one that cannot be attached.
      return planStop(seen, task.vmi, task)
    case 'receive':
      return seen.activePodUid === undefined
        ? { steps: [], reports: 'nothing' }
        : { steps: [{ do: 'receive', from: seen.activePodUid }], reports: 'nothing' }
    case 'migrate': {
      if (task.isUnwanted || seen.sandbox) return { steps: [{ do: 'migrate' }], reports: 'nothing' }
      return planSandbox(seen, task.vmi)
    }
    case 'run':
      return planRun(seen, task.vmi)
  }
}

/** A plan that ends a guest, with another step once the guest has ended. */
function withLast(stop: InstancePlan, last: InstanceStep): InstancePlan {
  return stop.steps.at(-1)?.do === 'finish' ? { ...stop, steps: [...stop.steps, last] } : stop
}

function planRun(seen: Observation, vmi: VirtualMachineInstance): InstancePlan {
  const unsupported = unsupportedInterface(vmi.spec)
  if (unsupported) return refused({ reason: 'UnsupportedInterface', message: unsupported })
  // The image is checked before the sandbox is made, so that an instance without one takes no address.
  if (seen.missingImage !== undefined && !isScheduled(vmi)) return refused(imageMissing(seen, seen.missingImage))
  // Likewise disks: pulling takes long.
  const volumes = isScheduled(vmi) ? undefined : planVolumes(seen, vmi)
  if (volumes && !('files' in volumes)) return beforeStart(volumes)
  const { sandbox, guest, unwell } = seen
  if (!sandbox) return planSandbox(seen, vmi)
  if (!isScheduled(vmi)) return { steps: [], reports: 'sandbox' }
  if (unwell) return planStop(seen, vmi, { sinceMs: unwell.sinceMs, end: 'crashed' })
  if (guest?.is === 'there') return planGuest(seen, vmi, sandbox, guest.domain)
  if (guest?.is === 'none' && guest.end) return { steps: [{ do: 'finish', end: guest.end }], reports: 'nothing' }
  if (vmi.status?.phase === 'Running') return { steps: [{ do: 'finish', end: 'crashed' }], reports: 'nothing' }
  return planStart(seen, vmi)
}

function refused(syncFailure: SyncFailure): InstancePlan {
  return { steps: [], syncFailure, reports: 'failure' }
}

/**
 * Makes the sandbox. For a running guest only with the networks that it has already: networks to add may take long, and the
 * existing ones must not wait for them. For a guest that is to start with all networks, since it needs all of them.
 */
function planSandbox(seen: Observation, vmi: VirtualMachineInstance): InstancePlan {
  const isRunning = vmi.status?.phase === 'Running'
  const known = new Set((vmi.status?.interfaces ?? []).map(({ name }) => name))
  const nics = desiredNics(vmi.spec, vmi.metadata.namespace ?? 'default').filter(
    ({ name, primary }) => !isRunning || primary || known.has(name),
  )
  const depends = sandboxDepends(seen, vmi)
  const failure = backingOff(seen.failures, sandboxKey, depends, seen.nowMs)
  if (failure)
    return {
      ...refused({ reason: 'FailedSandbox', message: explain(failure.cause) }),
      againAfterMs: failure.untilMs - seen.nowMs,
    }
  const optional = new Set(isRunning ? nics.filter(({ primary }) => !primary).map(({ name }) => name) : [])
  const attachments = attachmentsOf(nics, vmi, seen.nads)
  return { steps: [{ do: 'ensure', attachments, optional, plugs: [] }], reports: 'nothing' }
}

function planStart(seen: Observation, vmi: VirtualMachineInstance): InstancePlan {
  const { sandbox, missingImage, failures, nowMs } = seen
  const nics = desiredNics(vmi.spec, vmi.metadata.namespace ?? 'default')
  // A network that was attached for an earlier spec is released: a guest never starts on it.
  const stale = nics.filter(({ name, network }) => (sandbox?.networks.get(name) ?? network) !== network)
  const names = stale.map(({ name }) => name)
  const released = backingOff(failures, 'release', names.join(), nowMs)
  if (released)
    return {
      ...refused({ reason: 'FailedSandbox', message: explain(released.cause) }),
      againAfterMs: released.untilMs - nowMs,
    }
  if (stale.length) return { steps: release(seen, names), reports: 'nothing' }
  if (nics.some(({ name }) => !sandbox?.attached.has(name))) return planSandbox(seen, vmi)
  const volumes = planVolumes(seen, vmi)
  if (!('files' in volumes)) return beforeStart(volumes, 'all')
  const { files } = volumes
  const domain = domainSpec({ ...vmi, spec: withoutHotpluggable(vmi.spec, (name) => files.has(name)) }, files)
  if ('problem' in domain) return { ...refused({ reason: 'InvalidSpec', message: domain.problem }), reports: 'all' }
  if (missingImage !== undefined) return { ...refused(imageMissing(seen, missingImage)), reports: 'all' }
  const failure = backingOff(failures, 'start', startDepends(vmi), nowMs)
  if (!failure) return { steps: [{ do: 'start', domain }], reports: 'nothing' }
  const message = `the guest cannot be started: ${explain(failure.cause)}`
  return {
    steps: [],
    syncFailure: { reason: 'FailedStart', message },
    reports: 'all',
    againAfterMs: failure.untilMs - nowMs,
  }
}

/** What a guest waits for before it can start. */
function beforeStart(
  plan: Exclude<ReturnType<typeof planVolumes>, { files: unknown }>,
  reports: 'failure' | 'all' = 'failure',
): InstancePlan {
  if ('steps' in plan) return { steps: plan.steps, reports: 'nothing' }
  if ('waits' in plan) return { steps: [], reports: 'nothing' }
  return { steps: [], syncFailure: plan.failure, reports, againAfterMs: plan.againAfterMs }
}

function imageMissing({ nodeName }: Observation, image: string): SyncFailure {
  const remedy = `make it with: patchbay image import ${image} DIR (or patchbay image build-demo)`
  return { reason: imageMissingReason, message: `image "${image}" is not on node ${nodeName}; ${remedy}` }
}
