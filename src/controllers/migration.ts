import { Pod } from '#apis/core/pod.ts'
import { VirtualMachineInstanceMigration as Migration, type MigrationState } from '#apis/kubevirt/migration.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { explain, faultKind } from '#base/fault.ts'
import { timestamp } from '#base/time.ts'
import { nodeNameLabel } from '#core/access/node.ts'
import { migrationFinalizer } from '#core/migration/admission.ts'
import { migrationConfig } from '#core/migration/config.ts'
import { migrationJobAnnotation, migrationJobLabel, targetNodeLabel } from '#core/migration/labels.ts'
import { isOver, type MigrationStep, nextStep, withAbortRequested, withMigrationPhase } from '#core/migration/phases.ts'
import { isMigrating, podRole } from '#core/migration/pod-role.ts'
import { userOf } from '#core/sandbox/users.ts'
import { failedCreate, launcherName, launcherPod } from '#core/vm/launcher.ts'
import { dropFinalizer } from '#machinery/client/finalizers.ts'
import { type Informer, onAnyChange } from '#machinery/client/informer.ts'
import { modifySame } from '#machinery/client/modify-same.ts'
import { type Controller, runController } from '#machinery/loop/reconcile.ts'
import { type ControllerContext, fromQueueKey, instanceKeyOf, queueKey } from './context.ts'
import { Claims, claim } from './migration-claims.ts'
import { abandoned, activePod, direct, endAbandoned, isHandedOver } from './migration-directives.ts'

type Instance = Stored<VirtualMachineInstance>

const toStatus = { subresource: 'status' } as const

/** What the migration controller is given beside the ControllerContext. */
export type MigrationContext = ControllerContext &
  Readonly<{
    /** Indexed `byVmi`, by the queue key of the instance. */
    migrations: Informer<Migration, 'byVmi'>
  }>

/** Most finished migrations of one instance that are kept (KubeVirt). */
const keptMigrations = 5

/** The queue key of the instance a migration moves. */
export function movedKeyOf({ metadata, spec }: Stored<Migration>): string {
  return `${metadata.namespace}/${spec?.vmiName ?? ''}`
}

/** Takes migrations through their phases: creates their pods, hands them to the agents, and records where the instance runs. */
export function startMigrationController(context: MigrationContext): Controller {
  const claims = new Claims(context.migrations)
  const controller = runController({
    name: 'migration',
    workers: 4,
    log: context.log,
    signal: context.signal,
    reconcile: (key) => reconcile(context, claims, key),
  })
  const enqueueOf = (instance: string) => {
    for (const one of context.migrations.indexed('byVmi', instance)) controller.enqueue(queueKey(one))
  }
  const enqueueAll = () => {
    for (const one of context.migrations.list()) if (!isOver(one)) controller.enqueue(queueKey(one))
  }
  onAnyChange(context.migrations, (migration, isThere) => {
    claims.seen(migration, isThere)
    controller.enqueue(queueKey(migration))
    // A finished migration makes room for pending ones.
    if (!isThere || isOver(migration)) enqueueAll()
    if (!isThere) controller.enqueue(`${movedKeyOf(migration)}/${abandoned}`)
  })
  onAnyChange(context.vmis, (vmi) => {
    enqueueOf(queueKey(vmi))
    // One whose migration was taken away by force is still to come to its end.
    if (isMigrating(vmi)) controller.enqueue(`${queueKey(vmi)}/${abandoned}`)
  })
  onAnyChange(context.pods, ({ metadata }) => {
    const job = metadata.annotations?.[migrationJobAnnotation]
    if (job !== undefined) controller.enqueue(`${metadata.namespace}/${job}`)
  })
  context.nodes.onChange(enqueueAll)
  context.kubevirts.onChange(enqueueAll)
  context.onRoom((namespace) => {
    for (const one of context.migrations.list())
      if (one.metadata.namespace === namespace && !isOver(one)) controller.enqueue(queueKey(one))
  })
  return controller
}

type Again = Readonly<{ againAfterMs: number }> | undefined

/** How soon a migration that the agents are at is looked at though nothing changed, milliseconds: its time may be over. */
const lookAgainMs = 1000

async function reconcile(context: MigrationContext, claims: Claims, key: string): Promise<Again> {
  const at = fromQueueKey(key)
  if (key.endsWith(`/${abandoned}`)) {
    await endAbandoned(context, at)
    return undefined
  }
  const migration = context.migrations.get(at)
  if (!migration) return forget(context, at)
  const vmi = context.vmis.get(fromQueueKey(movedKeyOf(migration)))
  const pod = vmi && context.pods.get({ namespace: at.namespace, name: podNameOf(vmi, migration) })
  if (isOver(migration)) {
    // A pod not bound to the instance is the migration's own.
    if (pod && vmi && podRole(pod, vmi) === 'target') await context.client.delete(Pod, pod.metadata)
    await dropFinalizer(context.client, Migration, migration, migrationFinalizer)
    await prune(context, migration)
    return undefined
  }
  if (migration.metadata.deletionTimestamp) await noteAbort(context, migration)
  if (vmi && isHandedOver(vmi, migration.metadata.uid)) await direct(context, vmi)
  const leaving = vmi?.status?.nodeName
  const placement =
    vmi &&
    context.scheduler.find(vmi, {
      ...(migration.spec.addedNodeSelector && { selector: migration.spec.addedNodeSelector }),
      ...(leaving !== undefined && { leaving }),
    })
  const step = nextStep({
    migration: claims.latest(migration),
    vmi,
    pod,
    placement,
    all: claims.all(),
    config: migrationConfig(context.kubevirts.list()[0]),
    nowMs: Date.now(),
  })
  // Nothing is awaited between the decision and the claim, so no other worker decides by an outdated count.
  if (step.do === 'claim') return claim(context.client, claims, migration, step.sourceNode)
  const again = await carryOut(context, step, migration, vmi)
  return again ?? (vmi && isHandedOver(vmi, migration.metadata.uid) ? { againAfterMs: lookAgainMs } : undefined)
}

async function carryOut(
  context: MigrationContext,
  step: MigrationStep,
  migration: Stored<Migration>,
  vmi: Instance | undefined,
): Promise<{ againAfterMs: number } | undefined> {
  const { client, recorder, log } = context
  if (step.do === 'nothing') return step.againAfterMs === undefined ? undefined : { againAfterMs: step.againAfterMs }
  log.debug({ migration: queueKey(migration), step }, 'Taking a migration further')
  if (step.do === 'createPod' && vmi) {
    const { uid, name } = migration.metadata
    try {
      const devices = context.scheduler.devicesOf(vmi)
      const place = { nodeName: step.node, user: userOf(activePod(context, vmi)), devices }
      const pod = launcherPod(vmi, place, { uid, name })
      await context.scheduler.put(pod, () => client.create(Pod, pod))
      recorder(migration, 'Normal', 'SuccessfulCreate', `Created migration target pod ${pod.metadata.name}`)
    } catch (error) {
      const kind = faultKind(error)
      if (kind === 'Forbidden') recorder(migration, 'Warning', failedCreate, `Error creating pod: ${explain(error)}`)
      if (kind !== 'AlreadyExists') throw error
    }
  } else if (step.do === 'bind' && vmi) {
    await bind(context, vmi, step.state)
    recorder(
      migration,
      'Normal',
      'SuccessfulHandOver',
      'Migration target pod is ready for preparation by virt-handler.',
    )
  } else if (step.do === 'abort' && vmi) await requestAbort(context, migration, vmi)
  else if (step.do === 'phase') {
    const isEnd = step.phase === 'Succeeded' || step.phase === 'Failed'
    if (isEnd && vmi) await settle(context, migration, vmi)
    const change = { vmi, now: timestamp(), ...(step.reason !== undefined && { reason: step.reason }) }
    await modifySame(
      client,
      Migration,
      migration,
      (current) => withMigrationPhase(current, step.phase, change),
      toStatus,
    )
    if (step.phase === 'Succeeded')
      recorder(migration, 'Normal', 'SuccessfulMigration', 'Source node reported migration succeeded')
    if (step.phase === 'Failed') recorder(migration, 'Warning', 'FailedMigration', `Migration failed: ${step.reason}`)
  }
  return undefined
}

function podNameOf(vmi: Instance, { metadata }: Stored<Migration>): string {
  return launcherName(vmi, metadata.uid)
}

/** Hands a migration to the agents: from now on the instance has its target. */
async function bind({ client }: MigrationContext, vmi: Instance, state: MigrationState): Promise<void> {
  // The label comes first: by it the target's agent finds the instance to run.
  await modifySame(client, VirtualMachineInstance, vmi, (current) =>
    withLabel(current, targetNodeLabel, state.targetNode),
  )
  await modifySame(
    client,
    VirtualMachineInstance,
    vmi,
    (current) => {
      if (current.status?.migrationState?.migrationUid === state.migrationUid) return undefined
      const activePods = {
        ...current.status?.activePods,
        [state.targetAttachmentPodUID ?? '']: state.targetNode ?? '',
      }
      return { ...current, status: { ...current.status, activePods, migrationState: state } }
    },
    toStatus,
  )
}

/** Records where the instance runs: at the target, or the source again. */
async function settle({ client }: MigrationContext, migration: Stored<Migration>, vmi: Instance): Promise<void> {
  const { migrationUid, targetNode = '', targetAttachmentPodUID = '', failed } = vmi.status?.migrationState ?? {}
  if (migrationUid !== migration.metadata.uid) return
  const isBound = (current: VirtualMachineInstance) => current.status?.migrationState?.migrationUid === migrationUid
  await modifySame(client, VirtualMachineInstance, vmi, (current) => {
    if (!isBound(current)) return undefined
    const unlabelled = withLabel(current, targetNodeLabel, undefined)
    return failed ? unlabelled : withLabel(unlabelled, nodeNameLabel, targetNode)
  })
  await modifySame(
    client,
    VirtualMachineInstance,
    vmi,
    (current) => {
      if (!isBound(current)) return undefined
      const { [targetAttachmentPodUID]: _, ...others } = current.status?.activePods ?? {}
      const place = failed
        ? { activePods: others }
        : { activePods: { [targetAttachmentPodUID]: targetNode }, nodeName: targetNode }
      return { ...current, status: { ...current.status, ...place } }
    },
    toStatus,
  )
}

async function requestAbort(context: MigrationContext, migration: Stored<Migration>, vmi: Instance): Promise<void> {
  await context.client.modify(
    VirtualMachineInstance,
    vmi.metadata,
    (current) => {
      const state = current.status?.migrationState
      if (state?.migrationUid !== migration.metadata.uid || state?.abortRequested) return undefined
      return { ...current, status: { ...current.status, migrationState: { ...state, abortRequested: true } } }
    },
    toStatus,
  )
  context.recorder(migration, 'Normal', 'SuccessfulAbortMigration', 'Migration was asked to be aborted')
}

async function noteAbort({ client }: MigrationContext, migration: Stored<Migration>): Promise<void> {
  if (migration.status?.conditions?.some(({ type }) => type === 'migrationAbortRequested')) return
  await client.modify(Migration, migration.metadata, (current) => withAbortRequested(current, timestamp()), toStatus)
}

/** A migration is deleted; its target pod goes too, unless it runs the guest. */
async function forget(context: MigrationContext, at: { namespace: string; name: string }): Promise<undefined> {
  for (const pod of context.pods.list()) {
    if (pod.metadata.namespace !== at.namespace || pod.metadata.annotations?.[migrationJobAnnotation] !== at.name)
      continue
    const vmi = context.vmis.get(fromQueueKey(instanceKeyOf(pod)))
    const found = await context.client.get(Migration, at)
    const isOrphan = found?.metadata.uid !== pod.metadata.labels?.[migrationJobLabel]
    if (isOrphan && vmi && podRole(pod, vmi) === 'target' && !isBoundTo(vmi, pod))
      await context.client.delete(Pod, pod.metadata)
  }
}

function isBoundTo({ status }: VirtualMachineInstance, { metadata }: Pod): boolean {
  return status?.migrationState?.migrationUid === metadata.labels?.[migrationJobLabel]
}

/** Deletes the oldest finished migrations of an instance. */
async function prune(context: MigrationContext, migration: Stored<Migration>): Promise<void> {
  const over = context.migrations
    .indexed('byVmi', movedKeyOf(migration))
    .filter((one) => isOver(one) && !one.metadata.deletionTimestamp)
    .toSorted((a, b) => a.metadata.creationTimestamp.localeCompare(b.metadata.creationTimestamp))
  for (const { metadata } of over.slice(0, Math.max(over.length - keptMigrations, 0)))
    await context.client.delete(Migration, metadata, { uid: metadata.uid })
}

function withLabel(vmi: VirtualMachineInstance, name: string, value: string | undefined): VirtualMachineInstance {
  const { [name]: old, ...others } = vmi.metadata.labels ?? {}
  if (old === value) return vmi
  const labels = value === undefined ? others : { ...others, [name]: value }
  return { ...vmi, metadata: { ...vmi.metadata, labels } }
}
