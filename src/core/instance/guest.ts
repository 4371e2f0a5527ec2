import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { explain, Fault } from '#base/fault.ts'
import { isDevice } from '../nic/bindings.ts'
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
import { planGuestDisks } from './disks.ts'
import type { Observation } from './observation.ts'
import type { InstancePlan } from './plan.ts'
import { cleanupKey, filesKey, type InstanceStep, ioKey, mirrorKey, nicKey } from './steps.ts'

/** Time a guest has to release a card before the request is repeated and reported, milliseconds. */
const releaseMs = 5000

/** The reason of Events about traffic that is not copied. */
const mirrorFailed = 'MirrorFailed'

/** A step that backs off or waits for the guest, why, and for how long. */
type BackedOff = Readonly<{ step: NicStep; cause: unknown; leftMs: number }>

/**
 * Plans the changes of a running guest: first links, then cards and disks to unplug, then networks to rewire, then cards to plug,
 * whose networks are attached to the sandbox before, then disks. A failure concerns its own interface or disk only. Networks that are neither
 * in the spec nor in the guest are released. Each plan has the steps of one stage; the next stage is planned after another
 * observation.
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
  // A lost tap is replaced only by plugging the card again, even one whose binding cannot be hotplugged. Cards that an agent
  // unplugged for that before it died are found by the status.
  const had = new Set([...seen.deaf, ...cardsOf(vmi)])
  const nics = withKept(wanted, seen).map((nic) => (had.has(nic.name) ? { ...nic, isPluggable: true } : nic))
  const all = planNics(nics, observed).steps.filter((step) => isForHere(seen, sandbox, step))
  const waiting = all.flatMap((step) => backedOff(seen, step))
  const due = all.filter((step) => !waiting.some((one) => one.step === step))
  const of = (what: NicStep['do']) => due.filter((step) => step.do === what)
  // A card that lost its tap is plugged again once the guest has released it.
  const unplugs = of('unplug')
  // Cards that are unplugged free ports for those that are plugged.
  const isFull = domain.ports.free === 0 && unplugs.some((step) => leftToRelease(seen, step) > 0)
  const isThere = ({ nic }: NicStep) => domain.nics.some(({ name }) => name === nic.name)
  const plugs = of('plug').filter((step) => !isFull && !isThere(step))
  const disks = planGuestDisks(seen, vmi, domain)
  const stages: readonly (() => readonly InstanceStep[])[] = [
    () => of('update').map((nic) => ({ do: 'update', nic })),
    () => unplugs.filter((step) => leftToRelease(seen, step) <= 0).map((nic) => ({ do: 'unplug', nic })),
    () => disks.leaving,
    () => of('rewire').flatMap((step) => rewire(seen, vmi, wanted, step)),
    () => plug(seen, vmi, wanted, sandbox, domain, plugs),
    () => disks.coming,
    () => disks.unused,
    () => release(seen, unused(seen, desiredNics(vmi.spec, namespace), sandbox, domain)),
    () => pause(seen, vmi, domain),
    () => (!seen.isRequestDone && nextRecord(vmi, seen.nowMs) ? [{ do: 'power' }] : []),
  ]
  for (const stage of stages) {
    const steps = stage()
    if (steps.length) return { steps, reports: 'nothing' }
  }
  const syncFailure = syncFailureOf(
    [...waiting, ...unplugs.flatMap((step) => stuck(seen, step))],
    cleanupFaults(seen, sandbox),
    sandbox.unmirrored,
    disks.problems,
  )
  const waits = [
    ...waiting.map(({ leftMs }) => leftMs),
    ...unplugs.map((step) => leftToRelease(seen, step)),
    ...disks.waits,
    ...leftOfKeys(seen, domain),
  ]
  return {
    steps: [],
    reports: 'all',
    ...(syncFailure && { syncFailure }),
    ...(waits.length && { againAfterMs: Math.max(0, Math.min(...waits)) }),
  }
}

/** The cards that the guest had according to its status. */
function cardsOf({ status }: VirtualMachineInstance): string[] {
  return (status?.interfaces ?? []).flatMap(({ name, infoSource }) =>
    name !== undefined && infoSource?.includes('domain') ? [name] : [],
  )
}

/** The wanted interfaces, with the found state of each link that is to be left as it was found. */
function withKept(wanted: readonly DesiredNic[], { drift }: Observation): DesiredNic[] {
  const found = new Map(drift.kept.map((one) => [one.nic, one.found]))
  return wanted.map((nic) => ({ ...nic, link: found.get(nic.name) ?? nic.link }))
}

/**
 * Where networks are attached by migration, as devices of the host always are, the networks of a running sandbox do not change: only
 * cards on networks that it has are plugged. The condition MigrationRequired reports the rest.
 */
function isForHere({ mode }: Observation, sandbox: SandboxState, { do: what, nic }: NicStep): boolean {
  if (mode === 'InPlace' && !isDevice(nic.binding)) return true
  return what === 'plug' ? sandbox.networks.get(nic.name) === nic.network : what !== 'rewire'
}

function backedOff(seen: Observation, step: NicStep): BackedOff[] {
  const failure = backingOff(seen.failures, nicKey(step), nicDepends(seen, step), seen.nowMs)
  return failure ? [{ step, cause: failure.cause, leftMs: failure.untilMs - seen.nowMs }] : []
}

/**
 * Time that the guest has left to release a card after the last request, milliseconds; negative when it is over or nothing was
 * requested.
 */
function leftToRelease({ requested, nowMs }: Observation, { nic }: NicStep): number {
  return (requested.unplug.get(nic.name)?.lastMs ?? Number.NEGATIVE_INFINITY) + releaseMs - nowMs
}

/** A card that the guest has not released in time. */
function stuck(seen: Observation, step: NicStep): BackedOff[] {
  const { requested, nowMs } = seen
  const { name } = step.nic
  if (nowMs - (requested.unplug.get(name)?.firstMs ?? nowMs) < releaseMs) return []
  const message = `The guest has not let go of interface ${name} yet; the request is repeated (is it paused, or was it booted without PCIe hot plug?)`
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
 * Plugs cards whose networks are in the sandbox, and attaches the networks of the others. A network that was attached for an
 * earlier spec is released first, so that a new card is never connected to it.
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

/** Networks that are neither in the spec nor in the guest: the guest has released their cards, or never got them. */
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

/** Releases networks of the sandbox, unless that is backing off. */
export function release({ failures, nowMs }: Observation, names: readonly string[]): InstanceStep[] {
  if (!names.length || backingOff(failures, 'release', names.join(), nowMs)) return []
  return [{ do: 'release', names }]
}

/**
 * Pauses or resumes the guest when its owner requested that. One that an I/O error paused is resumed again and again, unless its
 * owner wants it paused: there may be room on the disk by now. A guest that was paused by other means is left alone.
 */
function pause(seen: Observation, vmi: VirtualMachineInstance, domain: ObservedDomain): InstanceStep[] {
  const { state, isIoError } = domain
  const wish = vmi.metadata.annotations?.[pausedAnnotation]
  if (wish === 'true' && state === 'running') return [{ do: 'pause' }]
  if (isIoError && wish !== 'true')
    return backingOff(seen.failures, ioKey, '', seen.nowMs) ? [] : [{ do: 'resume', isRetry: true }]
  return wish === 'false' && state === 'paused' ? [{ do: 'resume' }] : []
}

/** Why unused networks could not be released. */
function cleanupFaults({ failures, nowMs }: Observation, { pendingCleanup }: SandboxState): readonly unknown[] {
  const failure = failures.get('release')
  return [...pendingCleanup, ...(failure && failure.untilMs > nowMs ? [failure.cause] : [])]
}

/** The ends of backoffs that concern the whole sandbox, milliseconds from now. */
function leftOfKeys(seen: Observation, { isIoError }: ObservedDomain): number[] {
  const keys = [cleanupKey, mirrorKey, filesKey, 'release', ...(isIoError ? [ioKey] : [])]
  return keys.flatMap((key) => leftOf(seen, key))
}

function leftOf({ failures, nowMs }: Observation, key: string): number[] {
  const left = (failures.get(key)?.untilMs ?? nowMs) - nowMs
  return left > 0 ? [left] : []
}

/** All failures as one condition; plugging has an Event reason of its own (facts/kubevirt.md §3.7). */
function syncFailureOf(
  waiting: readonly BackedOff[],
  cleanup: readonly unknown[],
  unmirrored: ReadonlyMap<string, unknown>,
  disks: readonly string[],
): SyncFailure | undefined {
  if (!waiting.length && !cleanup.length && !unmirrored.size && !disks.length) return undefined
  const message = [
    ...waiting.map(({ step, cause }) => sentenceOf(step, cause)),
    ...cleanup.map((cause) => `a network that was left cannot be given back: ${explain(cause)}`),
    ...[...unmirrored].map(([nic, cause]) => `interface "${nic}" does not get all copies: ${explain(cause)}`),
    ...disks,
  ].join('; ')
  const isOther = waiting.length > 0 || cleanup.length > 0
  const isMirroring = unmirrored.size > 0 && !isOther
  const isPlugging = cleanup.length > 0 || waiting.some(({ step }) => step.do !== 'update')
  return {
    reason: 'Synchronizing with the Domain failed.',
    message,
    ...(isPlugging && { event: 'NicHotplug' }),
    ...(isMirroring && { event: mirrorFailed }),
    ...(disks.length > 0 && !isOther && !isMirroring && { event: 'VolumeHotplug' }),
  }
}

function sentenceOf({ do: what, nic, from }: NicStep, cause: unknown): string {
  if (what === 'update') return explain(cause)
  if (what !== 'rewire') return `interface "${nic.name}" cannot be ${what}ged: ${explain(cause)}`
  const remedy = `it is tried again and again; mend that network, or set networkName back to ${from}`
  return `interface "${nic.name}" cannot be moved to network ${nic.network} and stays on ${from}: ${explain(cause)} (${remedy})`
}
