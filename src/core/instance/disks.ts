import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { explain } from '#base/fault.ts'
import { aliasIn } from '../disk/aliases.ts'
import { guestDisks } from '../disk/disk.ts'
import { isHotpluggable } from '../disk/hotplug.ts'
import { type DiskStep, planDisks, type WantedDisk } from '../disk/plan.ts'
import type { VolumeState } from '../disk/plug-source.ts'
import { claimReasons } from '../disk/readiness.ts'
import type { VolumeStates } from '../disk/status.ts'
import { desiredNics } from '../nic/desired.ts'
import type { ObservedDomain } from '../ports.ts'
import { backingOff } from './backoff.ts'
import { diskDepends } from './depends.ts'
import type { Observation } from './observation.ts'
import { diskKey, filesKey, type InstanceStep } from './steps.ts'

/** Time a guest has to release a disk before the request is repeated and reported, milliseconds. */
const releaseMs = 5000
/** Interval at which a claim that cannot be used is looked for again, milliseconds: an agent does not watch all of them. */
const lookAgainMs = 3000

type Seen = Pick<Observation, 'plugs' | 'failures' | 'requested' | 'guest' | 'nowMs'>

/** What is to be done about the disks of a running guest, by stage, and what is reported of them. */
export type DiskPlan = Readonly<{
  /** Disks and media that leave. */
  leaving: readonly InstanceStep[]
  coming: readonly InstanceStep[]
  /** Files that nothing needs any more. */
  unused: readonly InstanceStep[]
  /** Sentences about what could not be done. */
  problems: readonly string[]
  /** When to look again although nothing changed, milliseconds from now. */
  waits: readonly number[]
}>

/** A step that cannot be carried out now: why, and when it is tried again. `isPatient`: the guest has time left. */
type Held = Readonly<{ step: DiskStep; state: VolumeState; leftMs: number | undefined; isPatient?: true }>

/** Plans the changes of a running guest's disks. A failure concerns its own disk only. */
export function planGuestDisks(seen: Seen, vmi: VirtualMachineInstance, domain: ObservedDomain): DiskPlan {
  const { due, held, waiting } = judged(seen, vmi, domain)
  const wanted = new Set([...(seen.plugs?.values() ?? [])].map(({ claim }) => `${claim}.img`))
  const unused = (domain.unusedFiles ?? []).filter((file) => !wanted.has(file))
  const isIdle = !unused.length || backingOff(seen.failures, filesKey, unused.join(), seen.nowMs)
  return {
    leaving: due.flatMap((step): InstanceStep[] => {
      if (step.do === 'detach') return [{ do: 'detachDisk', step }]
      return step.do === 'eject' ? [{ do: 'changeMedium', step }] : []
    }),
    coming: due.flatMap((step): InstanceStep[] => {
      if (step.do === 'attach') return [{ do: 'attachDisk', step }]
      return step.do === 'insert' ? [{ do: 'changeMedium', step }] : []
    }),
    unused: isIdle ? [] : [{ do: 'dropFiles', files: unused }],
    problems: held.flatMap(({ step, state, isPatient }) =>
      !isPatient ? [`volume "${step.name}" cannot be ${words[step.do]}: ${state.message}`] : [],
    ),
    waits: [...held.flatMap(({ leftMs }) => leftMs ?? []), ...(waiting.size ? [lookAgainMs] : [])],
  }
}

const words = { attach: 'plugged', detach: 'unplugged', insert: 'inserted', eject: 'ejected' } as const

/** The states of the volumes that came to a running guest, are to come, or leave. */
export function volumeStates(seen: Seen, vmi: VirtualMachineInstance, domain: ObservedDomain): VolumeStates {
  const { due, held, waiting, all } = judged(seen, vmi, domain)
  const stateOf = new Map<string, VolumeState>(waiting)
  for (const { disk, isHotpluggable: isLate } of all)
    if (isLate && !stateOf.has(disk.name)) stateOf.set(disk.name, ready(disk.name))
  for (const step of due) stateOf.set(step.name, underWay(step))
  for (const { step, state } of held) stateOf.set(step.name, state)
  return new Map(
    [...stateOf].map(([name, state]) => {
      const info = seen.plugs?.get(name)?.info
      return [name, { ...state, ...(info && { info }) }]
    }),
  )
}

/** In KubeVirt's words. */
function ready(name: string): VolumeState {
  return {
    phase: 'Ready',
    reason: 'VolumeReady',
    message: `Successfully attach hotplugged volume ${name} to VM`,
  }
}

function underWay({ do: what, name }: DiskStep): VolumeState {
  if (what === 'detach' || what === 'eject') return detaching(name)
  return { phase: 'AttachedToNode', reason: 'AttachedToNode', message: `Volume ${name} is on the node of the guest` }
}

function detaching(name: string): VolumeState {
  return { phase: 'Detaching', reason: 'Detaching', message: `The guest was asked to let go of volume ${name}` }
}

/** The steps that the disks of a guest need: those that are due, and those that are held; and the volumes that wait for their claims. */
function judged(seen: Seen, vmi: VirtualMachineInstance, domain: ObservedDomain) {
  const observed = domain.disks ?? []
  const all = domain.disks ? wantedDisks(seen, vmi, domain) : []
  const steps = domain.disks ? planDisks(all, observed) : []
  const held = steps.flatMap((step) => heldBack(seen, step, domain))
  const has = new Map(observed.map((one) => [one.alias, one]))
  const waiting = new Map<string, VolumeState>()
  for (const { disk, alias, isHotpluggable: isLate } of all) {
    const source = seen.plugs?.get(disk.name)
    const isEmpty = !has.has(alias) || (disk.device === 'cdrom' && has.get(alias)?.file === undefined)
    if (!isLate || !isEmpty || !source) continue
    if ('waits' in source) waiting.set(disk.name, source.waits)
    else if (!steps.some(({ name }) => name === disk.name)) waiting.set(disk.name, otherwiseUsed)
  }
  return { all, held, waiting, due: steps.filter((step) => !held.some((one) => one.step === step)) }
}

/** The state of a volume whose claim the guest still has as another one. */
const otherwiseUsed: VolumeState = {
  phase: 'Bound',
  reason: claimReasons.used,
  message: 'the guest has the disk of its claim as another volume, waiting for that to leave',
}

function wantedDisks(
  { plugs }: Seen,
  { spec, metadata }: VirtualMachineInstance,
  domain: ObservedDomain,
): WantedDisk[] {
  const nics = desiredNics(spec, metadata.namespace ?? 'default')
  const disks = guestDisks(spec)
  const names = disks.map(({ disk }) => disk.name)
  return disks.map(({ disk, volume }) => {
    const source = plugs?.get(disk.name)
    return {
      disk,
      alias: aliasIn(domain.disks ?? [], disk.name, names, nics),
      hasVolume: volume !== undefined,
      isHotpluggable: volume !== undefined && isHotpluggable(volume),
      ...(source && { claim: source.claim }),
      ...(source && 'file' in source && { file: source.file }),
    }
  })
}

/** Why a step is not carried out now. */
function heldBack(seen: Seen, step: DiskStep, { ports }: ObservedDomain): Held[] {
  const failure = backingOff(seen.failures, diskKey(step.name), diskDepends(seen, step), seen.nowMs)
  if (failure) {
    const message = explain(failure.cause)
    const isLeaving = step.do === 'detach' || step.do === 'eject'
    const state = isLeaving
      ? { phase: 'Detaching', reason: 'FailedDetach', message }
      : { phase: 'MountedToPod', reason: 'FailedAttach', message }
    return [{ step, state, leftMs: failure.untilMs - seen.nowMs }]
  }
  if (step.do === 'attach' && step.disk.bus === 'virtio' && ports.free === 0) {
    const message = `the guest has no free port for volume ${step.name}; unplug another device, use bus scsi, or restart the VM, which gives it new ports`
    return [{ step, state: { phase: 'AttachedToNode', reason: 'NoFreePort', message }, leftMs: undefined }]
  }
  return step.do === 'detach' ? asked(seen, step) : []
}

/** A disk that the guest was asked to release a short time ago. */
function asked({ requested, nowMs }: Seen, step: DiskStep): Held[] {
  const request = requested.unplug.get(diskKey(step.name))
  const leftMs = (request?.lastMs ?? Number.NEGATIVE_INFINITY) + releaseMs - nowMs
  if (!request || leftMs <= 0) return []
  if (nowMs - request.firstMs < releaseMs) return [{ step, state: detaching(step.name), leftMs, isPatient: true }]
  const message = `The guest has not let go of volume ${step.name} yet; the request is repeated (is it paused, or was it booted without PCIe hot plug?)`
  return [{ step, state: { phase: 'Detaching', reason: 'FailedDetach', message }, leftMs }]
}
