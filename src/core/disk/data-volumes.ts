import {
  DataVolume,
  type DataVolumePhase,
  type DataVolumeStatus,
  type DataVolumeTemplate,
} from '#apis/cdi/datavolume.ts'
import { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { apiVersionOf, type Condition, type OwnerReference } from '#apis/meta/object.ts'
import { findCondition, withCondition } from '../vm/conditions.ts'

/** How a disk gets its content. */
type Way = 'import' | 'clone' | 'upload'

function wayOf({ spec }: Pick<DataVolume, 'spec'>): Way {
  if (spec.source?.upload) return 'upload'
  return spec.source?.pvc || spec.sourceRef ? 'clone' : 'import'
}

/** The claim that a DataVolume copies; undefined also while its reference has not led to one. */
export function clonedClaim({ spec, status, metadata }: Pick<DataVolume, 'spec' | 'status' | 'metadata'>) {
  const source = spec.source?.pvc ?? (spec.sourceRef && status?.source?.pvc)
  return source && { namespace: source.namespace || (metadata.namespace ?? 'default'), name: source.name }
}

/** The controller of a claim, if that is the DataVolume of its name. */
export function dataVolumeOwner({ metadata }: Pick<PersistentVolumeClaim, 'metadata'>): OwnerReference | undefined {
  return metadata.ownerReferences?.find(
    ({ kind, name, controller }) => controller && kind === DataVolume.kind && name === metadata.name,
  )
}

/** The claim of a DataVolume; undefined while its size is that of a claim to copy, which is not known yet. */
export function claimOf(dv: DataVolume, source: PersistentVolumeClaim | undefined): PersistentVolumeClaim | undefined {
  const form = dv.spec.pvc ?? dv.spec.storage ?? {}
  const requests = form.resources?.requests ?? source?.spec.resources?.requests
  if (requests?.storage === undefined) return undefined
  const { name, namespace, labels } = dv.metadata
  // What was applied is the DataVolume, not its claim.
  const { 'kubectl.kubernetes.io/last-applied-configuration': _, ...annotations } = dv.metadata.annotations ?? {}
  return {
    apiVersion: apiVersionOf(PersistentVolumeClaim),
    kind: PersistentVolumeClaim.kind,
    metadata: {
      name,
      ...(namespace !== undefined && { namespace }),
      labels: { ...labels, app: 'containerized-data-importer' },
      ...(Object.keys(annotations).length && { annotations }),
      ownerReferences: [controlledBy(DataVolume, dv)],
    },
    spec: { ...form, accessModes: form.accessModes ?? ['ReadWriteOnce'], resources: { requests } },
  }
}

/** The DataVolume of a template, owned by its VM. */
export function dataVolumeOf(vm: VirtualMachine, { metadata = {}, spec }: DataVolumeTemplate): DataVolume {
  const { namespace } = vm.metadata
  return {
    apiVersion: apiVersionOf(DataVolume),
    kind: DataVolume.kind,
    metadata: {
      name: metadata.name ?? '',
      ...(namespace !== undefined && { namespace }),
      labels: { ...metadata.labels, 'kubevirt.io/created-by': vm.metadata.uid ?? '' },
      ...(metadata.annotations && { annotations: metadata.annotations }),
      ownerReferences: [controlledBy(VirtualMachine, vm)],
    },
    spec,
  }
}

function controlledBy(
  kind: typeof DataVolume | typeof VirtualMachine,
  { metadata }: DataVolume | VirtualMachine,
): OwnerReference {
  return {
    apiVersion: apiVersionOf(kind),
    kind: kind.kind,
    name: metadata.name,
    uid: metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  }
}

/** Phases that the controller writes; from the next one on, the agent of the claim's node writes the status. */
const early: ReadonlySet<string | undefined> = new Set([undefined, '', 'Pending'])

/** Whether the agent of the claim's node writes the status of a DataVolume. */
export function isHandedOver({ status }: Pick<DataVolume, 'status'>): boolean {
  return !early.has(status?.phase)
}

function scheduledOf(dv: Pick<DataVolume, 'spec'>): DataVolumePhase {
  return `${wayText(dv)}Scheduled`
}

/** The controller's part of the status, until the hand-over. `problem` is why there is no claim. */
export function plannedStatus(
  dv: DataVolume,
  claim: PersistentVolumeClaim | undefined,
  { problem, now }: Readonly<{ problem?: string | undefined; now: string }>,
): DataVolumeStatus | undefined {
  if (isHandedOver(dv)) return dv.status
  const isBound = claim?.status?.phase === 'Bound'
  return statusWith(dv.status, {
    phase: isBound ? scheduledOf(dv) : 'Pending',
    claimName: dv.metadata.name,
    bound: isBound
      ? { status: 'True', reason: 'Bound', message: `PVC ${dv.metadata.name} Bound` }
      : {
          status: 'False',
          reason: claim || !problem ? 'Pending' : 'NotFound',
          message: claim || !problem ? `PVC ${dv.metadata.name} Pending` : problem,
        },
    now,
  })
}

/** What the agent knows of a disk that is to get its content. */
export type Population = Readonly<
  | { is: 'running'; part: number | undefined }
  /** An upload may begin. */
  | { is: 'ready' }
  /** Something that it names is not there. */
  | { is: 'waiting'; message: string }
  | { is: 'done' }
  /** `isFinal`: another try would fail as well. */
  | { is: 'failed'; message: string; isFinal: boolean }
>

/** The agent's part of the status. `restarts` is added to the count of tries. */
export function populatedStatus(
  dv: DataVolume,
  seen: Population,
  { restarts = 0, now }: Readonly<{ restarts?: number; now: string }>,
): DataVolumeStatus {
  const name = dv.metadata.name
  const way = wayText(dv)
  // CDI has no phase for an upload that is under way.
  const inProgress = way === 'Upload' ? 'UploadReady' : (`${way}InProgress` as const)
  const restartCount = (dv.status?.restartCount ?? 0) + restarts
  const bound = { status: 'True', reason: 'Bound', message: `PVC ${name} Bound` } as const
  switch (seen.is) {
    case 'done':
      return statusWith(dv.status, {
        ...{ phase: 'Succeeded', progress: '100.0%', bound, isReady: true, restartCount, now },
        running: { status: 'False', reason: 'Completed', message: `${wayText(dv)} Complete` },
      })
    case 'ready': {
      const { phase, conditions } = dv.status ?? {}
      // Why the last one failed is said until the next one begins.
      if (phase === inProgress && findCondition(conditions, 'Running')?.status === 'False') return dv.status ?? {}
      return statusWith(dv.status, { phase: inProgress, progress: 'N/A', bound, restartCount, now })
    }
    case 'waiting':
      return statusWith(dv.status, {
        ...{ phase: dv.status?.phase === inProgress ? inProgress : scheduledOf(dv), bound, restartCount, now },
        running: { status: 'False', reason: 'Pending', message: seen.message },
      })
    case 'running':
      return statusWith(dv.status, {
        ...{ phase: inProgress, progress: progressText(seen.part), bound, restartCount, now },
        running: { status: 'True', reason: 'Pod is running', message: '' },
      })
    case 'failed':
      return statusWith(dv.status, {
        ...{ phase: seen.isFinal ? 'Failed' : inProgress, bound, restartCount, now },
        running: { status: 'False', reason: 'Error', message: seen.message },
      })
  }
}

/** Why a DataVolume has no disk although it was tried; undefined when nothing has failed. */
export function dataVolumeFailure({ status }: Pick<DataVolume, 'status'>): string | undefined {
  const running = findCondition(status?.conditions, 'Running')
  if (running?.status === 'False' && running.reason === 'Error') return running.message ?? ''
  return status?.phase === 'Failed' ? '' : undefined
}

/** What a DataVolume waits for, as its conditions say; undefined when it says nothing. */
export function dataVolumeWait({ status }: Pick<DataVolume, 'status'>): string | undefined {
  const running = findCondition(status?.conditions, 'Running')
  if (running?.reason === 'Pending') return running.message
  const bound = findCondition(status?.conditions, 'Bound')
  return bound?.reason === 'NotFound' ? bound.message : undefined
}

/** `12.34%`, as CDI writes it. */
function progressText(part: number | undefined): string {
  return part === undefined ? 'N/A' : `${(part * 100).toFixed(2)}%`
}

/** How a disk gets its content, as phases and Events have it. */
export function wayText(dv: Pick<DataVolume, 'spec'>): 'Import' | 'Clone' | 'Upload' {
  return ways[wayOf(dv)]
}

const ways = { import: 'Import', clone: 'Clone', upload: 'Upload' } as const

type Said = Readonly<Pick<Condition, 'status' | 'reason' | 'message'>>

function statusWith(
  old: DataVolumeStatus | undefined,
  set: Readonly<{
    phase: DataVolumePhase
    bound: Said
    running?: Said
    isReady?: boolean
    claimName?: string
    progress?: string
    restartCount?: number
    now: string
  }>,
): DataVolumeStatus {
  const { phase, bound, running = { status: 'False' }, isReady = false, claimName, progress, now } = set
  const isRunning = running.status === 'True'
  const ready: Said = isReady ? { status: 'True' } : { status: 'False', reason: isRunning ? 'TransferRunning' : '' }
  let conditions = withCondition(old?.conditions, { type: 'Bound', ...said(bound) }, now)
  conditions = withCondition(conditions, { type: 'Ready', ...said(ready) }, now)
  conditions = withCondition(conditions, { type: 'Running', ...said(running) }, now)
  return {
    ...old,
    phase,
    progress: progress ?? old?.progress ?? 'N/A',
    restartCount: set.restartCount ?? old?.restartCount ?? 0,
    ...(claimName !== undefined && { claimName }),
    conditions,
  }
}

function said({ status, reason, message }: Said): Said {
  return { status, ...(reason && { reason }), ...(message && { message }) }
}
