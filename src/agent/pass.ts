import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { nameOf as nameOfDisk } from '#core/disk/plan.ts'
import { type GuestObservation, isOrphaned, type Observation } from '#core/instance/observation.ts'
import { type InstancePlan, planInstance } from '#core/instance/plan.ts'
import { areSlow, diskKey, type InstanceStep, ioKey, leaveGuest } from '#core/instance/steps.ts'
import { desiredNics } from '#core/nic/desired.ts'
import type { Drift } from '#core/nic/drift.ts'
import { podNetwork } from '#core/nic/nic.ts'
import { planText } from '#core/nic/plan-text.ts'
import { type Again, type AgentContext, nameOf } from './context.ts'
import { execute, type Outcome, type Target } from './execute.ts'
import { observe, ownerOf } from './observe.ts'
import { removeSandbox } from './removal.ts'
import { emitChanges, emitDrift, emitUnplugged, report } from './report.ts'

/** Most observations of one pass; the next pass continues. */
const maxRounds = 30

/**
 * One pass over one pod of this node: observe, plan and execute until the plan is empty; then report.
 * @returns when to run the next pass although nothing changed
 */
export async function instancePass(
  context: AgentContext,
  pod: Pod,
  cached: VirtualMachineInstance | undefined,
  signal: AbortSignal,
): Promise<Again> {
  const owner = await ownerOf(context, pod, cached)
  if (owner.is === 'here') return guestPass(context, pod, owner.vmi, signal)
  if (isOrphaned(pod, owner)) await removeSandbox(context, pod, undefined, signal)
  return undefined
}

/** Rounds of observing, planning and executing over a pod whose instance is on this node. */
async function guestPass(
  context: AgentContext,
  pod: Pod,
  vmi: VirtualMachineInstance,
  signal: AbortSignal,
): Promise<Again> {
  let known: Outcome = { sandbox: undefined, done: [], isRequestDone: false, isOver: false, again: undefined }
  const drift: Drift[] = []
  let isUnreported = false
  let guest: GuestObservation | undefined
  for (let round = 0; round < maxRounds; round++) {
    const { sandbox, isRequestDone } = known
    const before = { ...(sandbox && { sandbox }), ...(guest && { guest }), isRequestDone }
    const seen = await observe(context, pod, vmi, before, signal)
    noteUnplugged(context, pod, seen)
    const { steps, ...plan } = planInstance(seen)
    if (seen.drift.fresh.length) {
      emitDrift(context, vmi, seen.drift)
      drift.push(...seen.drift.fresh)
    }
    if (!steps.length) return settle(context, pod, seen, plan)
    // Report before the next slow step, and before a link is repaired, so that watchers see that it was down, and that one card
    // is plugged while the next one waits for its network.
    if (seen.drift.fresh.length > 0 || (isUnreported && areSlow(steps))) {
      attend(context, pod, seen)
      await report(context, pod, seen, undefined)
      isUnreported = false
    }
    known = await carryOut({ context, pod, seen }, steps, known, signal)
    guest = leaveGuest(steps) ? seen.guest : undefined
    isUnreported ||= known.done.length > 0
    emitChanges(context, vmi, known.done, drift)
    if (known.isOver) return known.again
  }
  context.log.warn({ pod: `${pod.metadata.namespace}/${pod.metadata.name}` }, 'Pass has reached its limit of rounds')
  return { againAfterMs: 1000 }
}

async function carryOut(
  target: Target,
  steps: readonly InstanceStep[],
  known: Outcome,
  signal: AbortSignal,
): Promise<Outcome> {
  const { context, pod, seen } = target
  const changes = steps.flatMap((step) => ('nic' in step ? [planText(step.nic)] : []))
  if (changes.length) context.log.info({ domain: nameOf(seen.vmi), steps: changes }, 'Changing guest')
  const start = performance.now()
  const outcome = await execute(target, steps, known, signal)
  if (outcome.done.some(({ changed }) => changed.includes('link')))
    context.onApplied((performance.now() - start) / 1000)
  if (changes.length) context.guests.ask(pod.metadata.uid ?? '')
  return outcome
}

/** Reports the last observation once the plan is empty, and keeps polling and probing the guest. */
async function settle(
  context: AgentContext,
  pod: Pod,
  seen: Observation,
  { reports, syncFailure, againAfterMs }: Omit<InstancePlan, 'steps'>,
): Promise<Again> {
  if (reports !== 'nothing') {
    if (reports === 'all') attend(context, pod, seen)
    await report(context, pod, seen, { reports, syncFailure })
  }
  return againAfterMs === undefined ? undefined : { againAfterMs }
}

/** Emits Events about cards and disks that the guest was asked to release and no longer has. */
function noteUnplugged(context: AgentContext, pod: Pod, { guest, vmi }: Observation): void {
  if (guest?.is !== 'there') return
  const { nics, disks = [] } = guest.domain
  const present = new Set(nics.map(({ name }) => name))
  // The disk of a name that an interface has is called after it.
  for (const name of disks.map(({ alias }) => nameOfDisk(alias)))
    for (const one of [name, name.replace(/^disk-/, '')]) present.add(diskKey(one))
  emitUnplugged(context, vmi, context.memories.unplugged(pod.metadata.uid ?? '', present))
}

/** Polls and probes a guest that exists. */
function attend(context: AgentContext, pod: Pod, { guest, sandbox, vmi }: Observation): void {
  if (guest?.is !== 'there' || !sandbox) return
  const { guests, credentials, probes, running } = context
  const { uid = '' } = pod.metadata
  const { namespace = 'default', name } = vmi.metadata
  const { hypervisor } = sandbox
  if (!guest.domain.isIoError) context.memories.succeeded(uid, ioKey)
  if (guest.domain.agentConnected) {
    if (!guests.isAsked(uid)) guests.ask(uid)
    credentials.watch(uid, vmi)
  } else {
    guests.forget(uid)
    credentials.forget(uid)
  }
  // Probes use the address that CNI assigned to the primary interface.
  const primary = desiredNics(vmi.spec, namespace).find((nic) => nic.primary && nic.network === podNetwork)
  probes.watch(uid, vmi.spec, { ip: primary && sandbox.ips.get(primary.name)?.[0], hypervisor })
  running.set(uid, { namespace, name, hypervisor })
}
