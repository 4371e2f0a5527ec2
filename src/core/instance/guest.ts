import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { explain, Fault } from '#base/fault.ts'
import { desiredNics, wantedNics } from '../nic/desired.ts'
import type { DesiredNic } from '../nic/nic.ts'
import { type Step as NicStep, planNics } from '../nic/plan.ts'
import { wantsBounce } from '../nic/rewire.ts'
import type { ObservedDomain, SandboxState } from '../ports.ts'
import { attachmentsOf } from '../sandbox/plan.ts'
import { pausedAnnotation } from '../vm/actions.ts'
import { nextRecord } from '../vm/power-request.ts'
import type { SyncFailure } from '../vm/running.ts'
import { backingOff } from './backoff.ts'
import { nicDepends } from './depends.ts'
import type { Observation } from './observation.ts'
import type { InstancePlan } from './plan.ts'
import { cleanupKey, type InstanceStep, nicKey } from './steps.ts'

/** Time a guest has to release a card before the request is repeated and reported, milliseconds. */
const releaseMs = 5000

/** A step that backs off or waits for the guest, why, and for how long. */
type BackedOff = Readonly<{ step: NicStep; cause: unknown; leftMs: number }>

/**
 * Makes a running guest's interfaces what the spec says: links first, then what leaves, then what moves and what comes, for
 * which the sandbox must get the network before the guest gets the card. What fails concerns its own interface alone. Networks
 * that neither the spec nor the guest has any more are given back. Each plan has the steps of one stage; the next stage is
 * planned from what these have made of the guest.
 */
export function planGuest(
  seen: Observation,
  vmi: VirtualMachineInstance,
  sandbox: SandboxState,
  domain: ObservedDomain,
): InstancePlan {
  const namespace = vmi.metadata.namespace ?? 'default'
  const wanted = wantedNics(vmi.spec, namespace)
  const observed = domain.nics.map((nic) => (seen.deaf.has(nic.name) ? { ...nic, isDeaf: true } : nic))
  // A lost tap is replaced only by plugging the card again, also a card that cannot be plugged otherwise. The status has the cards
  // that an agent unplugged for that before it died.
  const had = new Set([...seen.deaf, ...cardsOf(vmi)])
  const nics = withKept(wanted, seen).map((nic) => (had.has(nic.name) ? { ...nic, isPluggable: true } : nic))
  const all = planNics(nics, observed).steps.filter((step) => isForHere(seen, sandbox, step))
  const waiting = all.flatMap((step) => backedOff(seen, step))
  const due = all.filter((step) => !waiting.some((one) => one.step === step))
  const of = (what: NicStep['do']) => due.filter((step) => step.do === what)
  // A card that lost its tap is plugged again once the guest has released it.
  const unplugs = of('unplug')
  // What leaves makes room for what comes.
  const isFull = domain.ports.free === 0 && unplugs.some((step) => leftToRelease(seen, step) > 0)
  const isThere = ({ nic }: NicStep) => domain.nics.some(({ name }) => name === nic.name)
  const plugs = of('plug').filter((step) => !isFull && !isThere(step))
  const stages: readonly (() => readonly InstanceStep[])[] = [
    () => of('update').map((nic) => ({ do: 'update', nic })),
    () => unplugs.filter((step) => leftToRelease(seen, step) <= 0).map((nic) => ({ do: 'unplug', nic })),
    () => of('rewire').flatMap((step) => rewire(seen, vmi, wanted, step)),
    () => plug(seen, vmi, wanted, sandbox, domain, plugs),
    () => release(seen, unused(seen, desiredNics(vmi.spec, namespace), sandbox, domain)),
    () => pause(vmi, domain),
    () => (!seen.isRequestDone && nextRecord(vmi, seen.nowMs) ? [{ do: 'power' }] : []),
  ]
  for (const stage of stages) {
    const steps = stage()
    if (steps.length) return { steps, reports: 'nothing' }
  }
  const syncFailure = syncFailureOf(
    [...waiting, ...unplugs.flatMap((step) => stuck(seen, step))],
    cleanupFaults(seen, sandbox),
  )
  const waits = [
    ...waiting.map(({ leftMs }) => leftMs),
    ...unplugs.map((step) => leftToRelease(seen, step)),
    ...[cleanupKey, 'release'].flatMap((key) => leftOf(seen, key)),
  ]
  return {
    steps: [],
    reports: 'all',
    ...(syncFailure && { syncFailure }),
    ...(waits.length && { againAfterMs: Math.max(0, Math.min(...waits)) }),
  }
}

/** The cards the guest had by its status. */
function cardsOf({ status }: VirtualMachineInstance): string[] {
  return (status?.interfaces ?? []).flatMap(({ name, infoSource }) =>
    name !== undefined && infoSource?.includes('domain') ? [name] : [],
  )
}

/** A link that is to stay as it was found is as good as wanted so. */
function withKept(wanted: readonly DesiredNic[], { drift }: Observation): DesiredNic[] {
  const found = new Map(drift.kept.map((one) => [one.nic, one.found]))
  return wanted.map((nic) => ({ ...nic, link: found.get(nic.name) ?? nic.link }))
}

/**
 * Where networks come by migration, a running sandbox keeps those it has: cards on them may be plugged, and that is all. The
 * condition MigrationRequired reports the rest.
 */
function isForHere({ mode }: Observation, sandbox: SandboxState, { do: what, nic }: NicStep): boolean {
  if (mode === 'InPlace') return true
  return what === 'plug' ? sandbox.networks.get(nic.name) === nic.network : what !== 'rewire'
}

function backedOff(seen: Observation, step: NicStep): BackedOff[] {
  const failure = backingOff(seen.failures, nicKey(step), nicDepends(seen, step), seen.nowMs)
  return failure ? [{ step, cause: failure.cause, leftMs: failure.untilMs - seen.nowMs }] : []
}

/** How long the guest still has to let go of a card since it was last requested, milliseconds. */
function leftToRelease({ requested, nowMs }: Observation, { nic }: NicStep): number {
  return (requested.unplug.get(nic.name)?.lastMs ?? Number.NEGATIVE_INFINITY) + releaseMs - nowMs
}

/** A card that the guest has not let go of though it had time enough. */
function stuck(seen: Observation, step: NicStep): BackedOff[] {
  const { requested, nowMs } = seen
  const { name } = step.nic
  if (nowMs - (requested.unplug.get(name)?.firstMs ?? nowMs) < releaseMs) return []
  const message = `The guest has not let go of interface ${name} yet; it is asked again and again (is it paused, or was it booted without PCIe hot plug?)`
  return [{ step, cause: new Fault('Timeout', message), leftMs: leftToRelease(seen, step) }]
}

function rewire(
  { nads }: Observation,
  vmi: VirtualMachineInstance,
  wanted: readonly DesiredNic[],
  step: NicStep,
): InstanceStep[] {
  const own = wanted.filter(({ name }) => name === step.nic.name)
  const bounce = wantsBounce(vmi.metadata.annotations, nads.annotationsOf(step.nic.network))
  return attachmentsOf(own, vmi, nads).map((attachment) => ({ do: 'rewire', nic: step, attachment, bounce }))
}

/**
 * Plugs cards whose networks are in the sandbox, and has the others' brought there. One that was attached for an earlier wish is
 * given back first, so that a new card never comes up on it.
 */
function plug(
  seen: Observation,
  vmi: VirtualMachineInstance,
  wanted: readonly DesiredNic[],
  { networks, attached }: SandboxState,
  domain: ObservedDomain,
  plugs: readonly NicStep[],
): InstanceStep[] {
  const ready = plugs.filter(({ nic }) => networks.get(nic.name) === nic.network)
  if (ready.length) return ready.map((nic) => ({ do: 'plug', nic }))
  const stale = plugs.filter(({ nic }) => attached.has(nic.name))
  if (stale.length)
    return release(
      seen,
      stale.map(({ nic }) => nic.name),
    )
  if (!plugs.length) return []
  const names = new Set(plugs.map(({ nic }) => nic.name))
  const inGuest = new Set(domain.nics.map(({ name }) => name))
  const nics = wanted.filter(
    ({ name, absent }) => !absent && (names.has(name) || attached.has(name) || inGuest.has(name)),
  )
  const optional = new Set(nics.filter(({ primary }) => !primary).map(({ name }) => name))
  return [{ do: 'ensure', attachments: attachmentsOf(nics, vmi, seen.nads), optional, plugs }]
}

/** Networks that neither the spec nor the guest has: the guest released them, or never got them. */
function unused(
  { mode }: Observation,
  desired: readonly DesiredNic[],
  { attached }: SandboxState,
  domain: ObservedDomain,
): readonly string[] {
  if (mode === 'Migration') return []
  const inUse = new Set([...desired, ...domain.nics].map(({ name }) => name))
  return [...attached].filter((name) => !inUse.has(name))
}

/** Takes networks out of the sandbox, unless that has just failed. */
export function release({ failures, nowMs }: Observation, names: readonly string[]): InstanceStep[] {
  if (!names.length || backingOff(failures, 'release', names.join(), nowMs)) return []
  return [{ do: 'release', names }]
}

/** Stops or resumes the guest's CPUs when its owner asked for that. One paused by other means is left alone. */
function pause({ metadata }: VirtualMachineInstance, { state }: ObservedDomain): InstanceStep[] {
  const wish = metadata.annotations?.[pausedAnnotation]
  if (wish === 'true' && state === 'running') return [{ do: 'pause' }]
  return wish === 'false' && state === 'paused' ? [{ do: 'resume' }] : []
}

/** Why unused networks could not be released. */
function cleanupFaults({ failures, nowMs }: Observation, { pendingCleanup }: SandboxState): readonly unknown[] {
  const failure = failures.get('release')
  return [...pendingCleanup, ...(failure && failure.untilMs > nowMs ? [failure.cause] : [])]
}

function leftOf({ failures, nowMs }: Observation, key: string): number[] {
  const left = (failures.get(key)?.untilMs ?? nowMs) - nowMs
  return left > 0 ? [left] : []
}

/** What went wrong, in one condition; plugging has an Event reason of its own (facts/kubevirt.md §3.7). */
function syncFailureOf(waiting: readonly BackedOff[], cleanup: readonly unknown[]): SyncFailure | undefined {
  if (!waiting.length && !cleanup.length) return undefined
  const message = [
    ...waiting.map(({ step, cause }) => sentenceOf(step, cause)),
    ...cleanup.map((cause) => `a network that was left cannot be given back: ${explain(cause)}`),
  ].join('; ')
  const isPlugging = cleanup.length > 0 || waiting.some(({ step }) => step.do !== 'update')
  return {
    reason: 'Synchronizing with the Domain failed.',
    message,
    ...(isPlugging && { event: 'NicHotplug' }),
  }
}

function sentenceOf({ do: what, nic, from }: NicStep, cause: unknown): string {
  if (what === 'update') return explain(cause)
  if (what !== 'rewire') return `interface "${nic.name}" cannot be ${what}ged: ${explain(cause)}`
  const remedy = `it is tried again and again; mend that network, or set networkName back to ${from}`
  return `interface "${nic.name}" cannot be moved to network ${nic.network} and stays on ${from}: ${explain(cause)} (${remedy})`
}
