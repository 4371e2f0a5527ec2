import { DataVolume } from '#apis/cdi/datavolume.ts'
import { Node } from '#apis/core/node.ts'
import { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import { apiVersionOf, type Stored } from '#apis/meta/object.ts'
import { explain, Fault, faultKind } from '#base/fault.ts'
import { sameJson } from '#base/json.ts'
import type { Log } from '#base/log.ts'
import { timestamp } from '#base/time.ts'
import { type AccessObjects, accessSources } from '#core/disk/access.ts'
import { bytesOfClaim, claimNodeLabel, inUseFinalizer, isBound, volumeFinalizer } from '#core/disk/claims.ts'
import { contentOf } from '#core/disk/content.ts'
import {
  clonedClaim,
  dataVolumeOwner,
  isHandedOver,
  type Population,
  populatedStatus,
  wayText,
} from '#core/disk/data-volumes.ts'
import type { VolumeContent, Volumes } from '#core/disk/ports.ts'
import type { TakeUpload, Upload, UploadKey } from '#core/disk/upload.ts'
import type { Client } from '#machinery/client/client.ts'
import { dropFinalizer } from '#machinery/client/finalizers.ts'
import { type Informer, makeInformer, onAnyChange } from '#machinery/client/informer.ts'
import { modifySame } from '#machinery/client/modify-same.ts'
import type { Recorder } from '#machinery/client/recorder.ts'
import { runController } from '#machinery/loop/reconcile.ts'
import type { Again } from './context.ts'
import { Populations } from './populations.ts'
import { contentOf as contentOfObject } from './volumes.ts'

type Options = Readonly<{
  client: Client
  nodeName: string
  volumes: Volumes
  recorder: Recorder
  /** Called when the disk of a claim is there. */
  onDisk: () => void
  log: Log
  signal: AbortSignal
}>

type Claim = Stored<PersistentVolumeClaim>
type Dv = Stored<DataVolume>
type Context = Options &
  Readonly<{
    populations: Populations
    /** The claims that an upload may begin for, by UID. */
    ready: Set<string>
    enqueue: (key: string) => void
  }>

/** How often the progress of a disk is reported, and whether a claim to copy is there looked for; milliseconds. */
const progressMs = 1000
/** How often it is looked whether the controller has handed a DataVolume over; milliseconds. */
const handOverMs = 200

/** A node's work on the disks of its claims. */
export type ClaimWork = Readonly<{ synced: Promise<void>; upload: TakeUpload; stop(): Promise<void> }>

/**
 * Makes the disks of DataVolumes whose claims are on this node, and removes those of claims that are being deleted. A disk is removed
 * because its claim says so, and never because the claim is not there.
 */
export function startClaimWork(options: Options): ClaimWork {
  const { client, nodeName, log, signal } = options
  const claims: Informer<PersistentVolumeClaim> = makeInformer(
    client,
    PersistentVolumeClaim,
    { labelSelector: `${claimNodeLabel}=${nodeName}` },
    { log, signal },
  )
  const populations = new Populations()
  const context: Context = { ...options, populations, ready: new Set(), enqueue: (key) => controller.enqueue(key) }
  const controller = runController({
    name: 'volumes',
    workers: 4,
    log,
    signal,
    reconcile: async (key) => {
      const [namespace = '', name = ''] = key.split('/')
      const claim = claims.get({ namespace, name })
      return claim && reconcile(context, claim)
    },
  })
  onAnyChange(claims, (claim) => controller.enqueue(keyOf(claim)))
  void claims.synced.then(() =>
    reportLeft(options, claims).catch((error: unknown) =>
      log.warn({ cause: explain(error) }, 'Cannot look for disks without a claim'),
    ),
  )
  return {
    synced: claims.synced,
    upload: (key, upload) => takeUpload(context, claims.get(key), key, upload),
    stop: async () => {
      await controller.stop()
      await populations.stopAll()
    },
  }
}

/**
 * Reports disks without a claim. They are kept: a claim that is deleted waits for its agent, so its finalizer was removed by hand, or
 * the store is an older copy.
 */
async function reportLeft(
  { client, volumes, nodeName, recorder, log }: Options,
  claims: Informer<PersistentVolumeClaim>,
): Promise<void> {
  const known = new Set(claims.list().map(({ metadata }) => metadata.uid))
  const node = { apiVersion: apiVersionOf(Node), kind: Node.kind, metadata: { name: nodeName, uid: nodeName } }
  for (const uid of await volumes.list()) {
    if (known.has(uid)) continue
    const { items } = await client.list(PersistentVolumeClaim, { labelSelector: `${claimNodeLabel}=${nodeName}` })
    if (items.some(({ metadata }) => metadata.uid === uid)) continue
    log.warn({ uid }, 'Keeping a disk that has no claim')
    const remedy = `remove the folder volumes/${uid} of the data directory if it is of no use`
    recorder(node, 'Warning', 'VolumeLeft', `The disk ${uid} has no claim on this node, and is kept: ${remedy}`)
  }
}

function keyOf({ metadata }: Claim): string {
  return `${metadata.namespace}/${metadata.name}`
}

async function reconcile(context: Context, claim: Claim): Promise<Again> {
  const { client, volumes, populations } = context
  const { uid, namespace, deletionTimestamp } = claim.metadata
  if (deletionTimestamp) {
    await remove(context, claim)
    return undefined
  }
  const owner = dataVolumeOwner(claim)
  if (!owner || !isBound(claim)) return undefined
  const dv = await client.get(DataVolume, { namespace, name: owner.name })
  // The garbage collector deletes the claim of one that is gone.
  if (dv?.metadata.uid !== owner.uid || dv.metadata.deletionTimestamp) return undefined
  const { phase } = dv.status ?? {}
  if (phase === 'Succeeded' || phase === 'Failed') return undefined
  if (!isHandedOver(dv)) return { againAfterMs: handOverMs }
  const running = populations.running(uid)
  if (running) {
    await report(context, dv, { is: 'running', part: running.part })
    return { againAfterMs: progressMs }
  }
  if (await volumes.has(uid)) {
    await succeed(context, dv)
    return undefined
  }
  if (dv.spec.source?.upload) {
    if (!context.ready.has(uid)) await volumes.discard(uid)
    context.ready.add(uid)
    const isNews = dv.status?.phase !== 'UploadReady'
    await report(context, dv, { is: 'ready' })
    if (isNews) context.recorder(dv, 'Normal', 'UploadReady', `Upload into ${dv.metadata.name} ready`)
    return undefined
  }
  const againAfterMs = populations.waitMs(uid, Date.now())
  if (againAfterMs > 0) return { againAfterMs }
  const content = contentOf(dv, { source: await sourceOf(context, dv), ...(await objectsOf(context, dv)) })
  if (content.is === 'waiting') {
    if (content.message !== undefined) await report(context, dv, { is: 'waiting', message: content.message })
    return { againAfterMs: progressMs }
  }
  await begin(context, claim, dv, content)
  return { againAfterMs: progressMs }
}

/** Removes the disk of a claim that no instance uses any more, and lets the claim go. */
async function remove({ client, volumes, populations, ready, log }: Context, claim: Claim): Promise<void> {
  const { uid, name, namespace, finalizers = [] } = claim.metadata
  ready.delete(uid)
  await populations.stop(uid)
  if (finalizers.includes(inUseFinalizer) || !finalizers.includes(volumeFinalizer)) return
  log.info({ uid, claim: `${namespace}/${name}` }, 'Removing the disk of a deleted claim')
  await volumes.remove(uid)
  await dropFinalizer(client, PersistentVolumeClaim, claim, volumeFinalizer)
}

/** Makes the disk of a claim of what a client sends. @throws Fault NotFound, Conflict, and those of the disk */
async function takeUpload(context: Context, claim: Claim | undefined, key: UploadKey, upload: Upload): Promise<void> {
  const { client, volumes, populations, ready } = context
  const { namespace, name, uid } = key
  if (claim?.metadata.uid !== uid) throw new Fault('NotFound', `PVC ${namespace}/${name} is not on this node any more`)
  const dv = await client.get(DataVolume, { namespace, name })
  const isReady = dv && ready.has(uid) && !populations.running(uid) && !(await volumes.has(uid))
  // Another one may have begun meanwhile.
  if (!isReady || populations.running(uid))
    throw new Fault(
      'Conflict',
      `DataVolume ${namespace}/${name} is not ready for an upload: it has its disk, or another upload is under way`,
    )
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const gone = () => reject(new Fault('Aborted', `The upload to PVC ${namespace}/${name} was interrupted`))
  populations.start(
    uid,
    (onProgress, signal) => {
      signal.addEventListener('abort', gone, { once: true })
      return volumes.populate(uid, bytesOfClaim(claim), { is: 'upload', upload }, { onProgress, signal })
    },
    async (ended) => {
      if ('cause' in ended) await fail(context, claim, dv, ended.cause)
      context.enqueue(keyOf(claim))
      if ('cause' in ended) reject(ended.cause)
      else resolve()
    },
    context.signal,
  )
  context.enqueue(keyOf(claim))
  await promise
}

/** The claim that a DataVolume copies, once there is something to copy. */
async function sourceOf({ client, volumes }: Context, dv: Dv): Promise<Claim | undefined> {
  const key = clonedClaim(dv)
  const source = key && (await client.get(PersistentVolumeClaim, key))
  if (!source || !isBound(source)) return undefined
  return !dataVolumeOwner(source) || (await volumes.has(source.metadata.uid)) ? source : undefined
}

/** The Secrets and ConfigMaps that a DataVolume names. */
async function objectsOf(context: Context, dv: Dv): Promise<AccessObjects> {
  const found = new Map<string, ReadonlyMap<string, Uint8Array> | undefined>()
  for (const source of accessSources(dv))
    found.set(`${source.kind}/${source.name}`, await contentOfObject(context, dv.metadata.namespace, source))
  return {
    secret: (name) => found.get(`Secret/${name}`),
    configMap: (name) => found.get(`ConfigMap/${name}`),
  }
}

async function begin(context: Context, claim: Claim, dv: Dv, content: VolumeContent): Promise<void> {
  const { volumes, populations, recorder, log, signal } = context
  const { uid, name } = claim.metadata
  const way = wayText(dv)
  log.info({ uid, claim: keyOf(claim), source: content.is }, 'Making the disk of a claim')
  await report(context, dv, { is: 'running', part: undefined })
  recorder(dv, 'Normal', `${way}InProgress`, `${way} into ${name} in progress`)
  populations.start(
    uid,
    (onProgress, both) => volumes.populate(uid, bytesOfClaim(claim), content, { onProgress, signal: both }),
    async (ended) => {
      if ('cause' in ended) await fail(context, claim, dv, ended.cause)
      context.enqueue(keyOf(claim))
    },
    signal,
  )
}

async function fail(context: Context, claim: Claim, dv: Dv, cause: unknown): Promise<void> {
  const { populations, recorder, log } = context
  const { uid, name } = claim.metadata
  populations.failed(uid, cause, Date.now())
  const way = wayText(dv)
  const message = explain(cause)
  // Another upload may be right.
  const isFinal = faultKind(cause) === 'Invalid' && way !== 'Upload'
  log.warn({ claim: keyOf(claim), cause: message, isFinal }, 'Cannot make the disk of a claim')
  recorder(dv, 'Warning', `${way}Failed`, `Failed to ${way.toLowerCase()} into PVC ${name}: ${message}`)
  await report(context, dv, { is: 'failed', message, isFinal }, isFinal ? 0 : 1).catch((error: unknown) =>
    log.warn({ claim: keyOf(claim), cause: explain(error) }, 'Cannot report the failure of a disk'),
  )
}

async function succeed(context: Context, dv: Dv): Promise<void> {
  const { recorder, onDisk } = context
  const { name, namespace } = dv.metadata
  await report(context, dv, { is: 'done' })
  const cloned = clonedClaim(dv)
  if (cloned)
    recorder(
      dv,
      'Normal',
      'CloneSucceeded',
      `Successfully cloned from ${cloned.namespace}/${cloned.name} into ${namespace}/${name}`,
    )
  else if (dv.spec.source?.upload) recorder(dv, 'Normal', 'UploadSucceeded', `Successfully uploaded into ${name}`)
  else recorder(dv, 'Normal', 'ImportSucceeded', `Successfully imported into PVC ${name}`)
  onDisk()
}

async function report({ client }: Context, dv: Dv, seen: Population, restarts = 0): Promise<void> {
  const now = timestamp()
  await modifySame(
    client,
    DataVolume,
    dv,
    (current) => {
      // A late report of progress says nothing of a disk that is done.
      if (current.status?.phase === 'Succeeded' || current.status?.phase === 'Failed') return undefined
      const status = populatedStatus(current, seen, { restarts, now })
      return sameJson(status, current.status) ? undefined : { ...current, status }
    },
    { subresource: 'status' },
  )
}
