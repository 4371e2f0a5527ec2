import type { DataSource } from '#apis/cdi/datasource.ts'
import { DataVolume } from '#apis/cdi/datavolume.ts'
import { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import type { Stored } from '#apis/meta/object.ts'
import { explain, faultKind } from '#base/fault.ts'
import { sameJson } from '#base/json.ts'
import type { Log } from '#base/log.ts'
import { timestamp } from '#base/time.ts'
import { isBound } from '#core/disk/claims.ts'
import { resolveDataSource, sourceRefOf } from '#core/disk/data-sources.ts'
import { claimOf, clonedClaim, dataVolumeOwner, isHandedOver, plannedStatus, wayText } from '#core/disk/data-volumes.ts'
import type { Client } from '#machinery/client/client.ts'
import { type Informer, onAnyChange } from '#machinery/client/informer.ts'
import { modifySame } from '#machinery/client/modify-same.ts'
import type { Recorder } from '#machinery/client/recorder.ts'
import { type Controller, runController } from '#machinery/loop/reconcile.ts'
import { fromQueueKey, queueKey } from './context.ts'

type Options = Readonly<{
  client: Client
  claims: Informer<PersistentVolumeClaim>
  dataVolumes: Informer<DataVolume>
  dataSources: Informer<DataSource>
  recorder: Recorder
  log: Log
  signal: AbortSignal
}>

/** Makes the claims of DataVolumes, and hands them over to the agents of the nodes that these are bound on. */
export function startDataVolumeController(options: Options): Controller {
  const { claims, dataVolumes, dataSources, log, signal } = options
  const controller = runController({
    name: 'data-volumes',
    workers: 2,
    log,
    signal,
    reconcile: (key) => reconcile(options, key),
  })
  onAnyChange(dataVolumes, (dv) => controller.enqueue(queueKey(dv)))
  onAnyChange(claims, (claim) => {
    controller.enqueue(queueKey(claim))
    // A claim to copy has come.
    for (const dv of dataVolumes.list()) {
      const source = isHandedOver(dv) ? undefined : clonedClaim(dv)
      if (source && queueKey({ metadata: source }) === queueKey(claim)) controller.enqueue(queueKey(dv))
    }
  })
  // One may lead over any other.
  dataSources.onChange(() => {
    for (const dv of dataVolumes.list()) if (dv.spec.sourceRef && !isHandedOver(dv)) controller.enqueue(queueKey(dv))
  })
  return controller
}

async function reconcile(options: Options, key: string): Promise<undefined> {
  const { client, claims, dataVolumes, recorder } = options
  const dv = dataVolumes.get(fromQueueKey(key))
  if (!dv || dv.metadata.deletionTimestamp) return
  const found = claims.get(dv.metadata)
  const claim = found && dataVolumeOwner(found)?.uid === dv.metadata.uid ? found : undefined
  if (isHandedOver(dv) && (claim || dv.status?.phase === 'Succeeded')) return
  const problem = claim ? undefined : await makeClaim(options, dv, found)
  const now = timestamp()
  let isScheduled = false
  await modifySame(
    client,
    DataVolume,
    dv,
    (current) => {
      // A claim that was deleted before it had its content is made again.
      const { phase: _, ...fresh } = current.status ?? {}
      const from = claim || !isHandedOver(current) ? current : { ...current, status: fresh }
      const status = plannedStatus(from, claim, { problem, now })
      isScheduled = status !== undefined && claim !== undefined && isBound(claim) && !isHandedOver(current)
      return status && !sameJson(status, current.status) ? { ...current, status } : undefined
    },
    { subresource: 'status' },
  )
  const way = wayText(dv)
  if (isScheduled) recorder(dv, 'Normal', `${way}Scheduled`, `${way} into ${dv.metadata.name} scheduled`)
}

/** Makes the claim of a DataVolume; resolves to why it cannot be made. */
async function makeClaim(
  options: Options,
  dv: Stored<DataVolume>,
  found: PersistentVolumeClaim | undefined,
): Promise<string | undefined> {
  const { client, claims, recorder } = options
  const { name, namespace } = dv.metadata
  if (found?.metadata.deletionTimestamp) return `PVC ${name} is being deleted`
  if (found) {
    const problem = `Resource "${name}" already exists and is not managed by DataVolume`
    recorder(dv, 'Warning', 'ErrResourceExists', problem)
    return problem
  }
  const source = clonedClaim(dv)
  if (!source && dv.spec.sourceRef) return followReference(options, dv)
  const cloned = source && claims.get(source)
  if (source && !cloned) return `Source pvc ${source.namespace}/${source.name} not found`
  const wanted = claimOf(dv, cloned)
  if (!wanted) return `Source pvc ${source?.namespace}/${source?.name} has no size`
  try {
    await client.create(PersistentVolumeClaim, wanted)
  } catch (error) {
    const kind = faultKind(error)
    if (kind === 'AlreadyExists') return undefined
    if (kind !== 'Forbidden' && kind !== 'Invalid') throw error
    const problem = `PVC ${namespace}/${name} is refused: ${explain(error)}`
    recorder(dv, 'Warning', 'ErrClaimRefused', problem)
    return problem
  }
  return undefined
}

/**
 * Writes down which claim a DataVolume copies, once for all, so that its own claim is made beside that one by the next pass; resolves
 * to why there is none.
 */
async function followReference({ client, dataSources }: Options, dv: Stored<DataVolume>): Promise<string | undefined> {
  const key = sourceRefOf(dv.spec, dv.metadata.namespace)
  const resolved = key && resolveDataSource(key, (one) => dataSources.get(one))
  if (!resolved || !('pvc' in resolved)) return resolved?.message
  const { pvc } = resolved
  await modifySame(
    client,
    DataVolume,
    dv,
    (current) => (current.status?.source ? undefined : { ...current, status: { ...current.status, source: { pvc } } }),
    { subresource: 'status' },
  )
  return undefined
}
