import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { explain } from '#base/fault.ts'
import type { DiskFile } from '../disk/disk.ts'
import { diskFiles } from '../disk/files.ts'
import { withoutHotpluggable } from '../disk/hotplug.ts'
import { pullOf, type WantedImage, wantedImages } from '../disk/images.ts'
import type { SourceObjects } from '../disk/sources.ts'
import type { DiskImage } from '../ports.ts'
import type { SyncFailure } from '../vm/running.ts'
import { imageBackOffReason, imageMissingReason } from '../vm/status.ts'
import { backingOff } from './backoff.ts'
import type { Observation } from './observation.ts'
import { type InstanceStep, imageKey } from './steps.ts'

/** What the disks of a guest that is to start are made of, as far as it is here. */
export type SeenVolumes = Readonly<{
  objects: SourceObjects
  /** The images of container disks, by volume. */
  images: ReadonlyMap<string, DiskImage>
  /** Volumes whose images are being pulled. */
  pulling: ReadonlySet<string>
}>

/** The files of a guest's disks; or what is still to be done for them, or waited for. */
type VolumePlan = Readonly<
  | { files: ReadonlyMap<string, DiskFile> }
  | { steps: readonly InstanceStep[] }
  | { waits: true }
  | { failure: SyncFailure; againAfterMs: number }
>

/** Interval at which objects that do not exist are looked for again, milliseconds: an agent does not watch them. */
const lookAgainMs = 3000

/** The next steps towards the disks of a guest that is to start. */
export function planVolumes(seen: Observation, vmi: VirtualMachineInstance): VolumePlan {
  const { volumes, failures, nowMs } = seen
  if (!volumes) return { files: new Map() }
  const missing = wantedImages(vmi.spec).filter(({ volume }) => !volumes.images.has(volume))
  const idle = missing.filter(({ volume }) => !volumes.pulling.has(volume))
  const steps: InstanceStep[] = []
  const waiting: { failure: SyncFailure; againAfterMs: number }[] = []
  for (const wanted of idle) {
    const failed = backingOff(failures, imageKey(wanted), imageDepends(wanted), nowMs)
    if (wanted.policy === 'Never') waiting.push({ failure: neverPulled(wanted), againAfterMs: lookAgainMs })
    else if (failed) waiting.push({ failure: pullFailed(wanted, failed), againAfterMs: failed.untilMs - nowMs })
    else steps.push({ do: 'pull', wanted, pull: pullOf(wanted, volumes.objects) })
  }
  if (steps.length) return { steps }
  const [first] = waiting
  if (first) return { ...first, againAfterMs: Math.min(...waiting.map(({ againAfterMs }) => againAfterMs)) }
  if (missing.length) return { waits: true }
  const permanent = { ...vmi, spec: withoutHotpluggable(vmi.spec) }
  const files = diskFiles(permanent, volumes.objects, volumes.images)
  if (!('problem' in files)) return { files: new Map([...files, ...readyFiles(seen)]) }
  return { failure: { reason: files.reason, message: files.problem, event: files.reason }, againAfterMs: lookAgainMs }
}

/** The files of volumes that can be plugged later, as far as they are ready: a guest does not wait for the others. */
function readyFiles({ plugs }: Observation): (readonly [string, DiskFile])[] {
  return [...(plugs ?? [])].flatMap(([name, source]) => ('file' in source ? [[name, source.file] as const] : []))
}

/** Everything that pulling an image depends on. */
export function imageDepends(wanted: WantedImage): string {
  return JSON.stringify(wanted)
}

/** In the words of kubelet. */
function pullFailed(
  { reference }: WantedImage,
  { cause, times }: Readonly<{ cause: unknown; times: number }>,
): SyncFailure {
  const reason = times ? imageBackOffReason : imageMissingReason
  return { reason, message: `Failed to pull image "${reference}": ${explain(cause)}`, event: 'Failed' }
}

function neverPulled({ reference }: WantedImage): SyncFailure {
  return {
    reason: 'ErrImageNeverPull',
    message: `Container image "${reference}" is not present with pull policy of Never; import it with: patchbay image import`,
    event: 'ErrImageNeverPull',
  }
}
