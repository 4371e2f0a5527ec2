import { VirtualMachineInstanceMigration as Migration } from '#apis/kubevirt/migration.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { apiVersionOf, type Stored } from '#apis/meta/object.ts'
import { networkStatusIn } from '#apis/net/attachment.ts'
import { timestamp } from '#base/time.ts'
import { activePodName, isMigrating } from '#core/migration/pod-role.ts'
import {
  attachmentMode,
  autoMigrationConfig,
  migrationRequired,
  migrationRequirement,
  workloadUpdate,
  workloadUpdateAnnotation,
} from '#core/migration/required.ts'
import { findCondition, withCondition, withoutCondition } from '#core/vm/conditions.ts'
import { evacuationStep } from '#core/vm/eviction.ts'
import { onAnyChange } from '#machinery/client/informer.ts'
import { modifySame } from '#machinery/client/modify-same.ts'
import { type Controller, runController } from '#machinery/loop/reconcile.ts'
import { fromQueueKey, instanceKeyOf, queueKey } from './context.ts'
import { type MigrationContext, movedKeyOf } from './migration.ts'

/**
 * Reports which instances need a migration to get their declared interfaces, and migrates them if the cluster wants that
 * done automatically (facts/kubevirt.md §3.6).
 */
export function startAutoMigrationController(context: MigrationContext): Controller {
  const controller = runController({
    name: 'auto-migration',
    workers: 2,
    log: context.log,
    signal: context.signal,
    reconcile: (key) => reconcile(context, key),
  })
  context.vmis.onChange((now) => now && controller.enqueue(queueKey(now)))
  context.pods.onChange((now) => now && controller.enqueue(instanceKeyOf(now)))
  onAnyChange(context.migrations, (migration) => controller.enqueue(movedKeyOf(migration)))
  context.kubevirts.onChange(() => {
    for (const vmi of context.vmis.list()) controller.enqueue(queueKey(vmi))
  })
  return controller
}

async function reconcile(context: MigrationContext, key: string): Promise<{ againAfterMs: number } | undefined> {
  const vmi = context.vmis.get(fromQueueKey(key))
  if (vmi?.status?.phase !== 'Running' || isMigrating(vmi)) return undefined
  const leave = evacuationStep(vmi, context.migrations.indexed('byVmi', key), Date.now())
  if (leave.do === 'wait') return { againAfterMs: leave.againAfterMs }
  if (leave.do === 'migrate') return void (await migrate(context, vmi, evacuation))
  if (leave.do === 'forget')
    await modifySame(context.client, VirtualMachineInstance, vmi, withoutEvacuation, { subresource: 'status' })
  const kubevirt = context.kubevirts.list()[0]
  const config = autoMigrationConfig(kubevirt)
  const nowMs = Date.now()
  const pod = context.pods.get({ namespace: vmi.metadata.namespace, name: activePodName(vmi) })
  const statuses = networkStatusIn(pod?.metadata.annotations)
  const requirement = migrationRequirement(vmi, statuses, attachmentMode(kubevirt))
  const old = findCondition(vmi.status.conditions, 'MigrationRequired')
  const wanted = migrationRequired(old, requirement, { ...config, nowMs })
  if (old?.status !== wanted?.status) {
    await write(context, vmi, wanted)
    // The change comes back as an event.
    return undefined
  }
  const own = context.migrations.indexed('byVmi', key)
  const methods = kubevirt?.spec?.workloadUpdateStrategy?.workloadUpdateMethods ?? []
  const step = workloadUpdate(vmi, own, methods, { ...config, nowMs })
  if (step.do === 'migrate') await migrate(context, vmi, update)
  if (step.do === 'evict') await context.client.delete(VirtualMachineInstance, vmi.metadata)
  if (step.do === 'withdraw') {
    await context.client.delete(Migration, step.migration.metadata)
    context.recorder(
      vmi,
      'Normal',
      'SuccessfulChangeAbortion',
      `Withdrew Migration ${step.migration.metadata.name}, which is not needed any more`,
    )
  }
  if (wanted?.status === 'False') return { againAfterMs: config.recheckMs }
  return step.do === 'nothing' && step.againAfterMs !== undefined ? { againAfterMs: step.againAfterMs } : undefined
}

function withoutEvacuation({ status, ...vmi }: VirtualMachineInstance): VirtualMachineInstance {
  const { evacuationNodeName: _, ...rest } = status ?? {}
  return { ...vmi, status: rest }
}

/** Why a migration is created by itself: its name and priority, and what the Event says (KubeVirt). */
type Cause = Readonly<{ name: string; annotations?: Readonly<Record<string, string>>; priority: string; text: string }>

const update: Cause = {
  name: 'kubevirt-workload-update-',
  annotations: { [workloadUpdateAnnotation]: '' },
  priority: 'user-triggered',
  text: 'automated workload update',
}
const evacuation: Cause = { name: 'kubevirt-evacuation-', priority: 'system-critical', text: 'evacuation of the node' }

async function migrate(
  context: MigrationContext,
  vmi: Stored<VirtualMachineInstance>,
  { name: generateName, annotations, priority, text }: Cause,
): Promise<void> {
  const { name, namespace } = vmi.metadata
  const made = await context.client.create(Migration, {
    apiVersion: apiVersionOf(Migration),
    kind: Migration.kind,
    metadata: { name: '', generateName, namespace, ...(annotations && { annotations }) },
    spec: { vmiName: name, priority },
  })
  context.recorder(vmi, 'Normal', 'SuccessfulCreate', `Created Migration ${made.metadata.name} for ${text}`)
}

async function write(
  context: MigrationContext,
  vmi: Stored<VirtualMachineInstance>,
  wanted: ReturnType<typeof migrationRequired>,
): Promise<void> {
  await modifySame(
    context.client,
    VirtualMachineInstance,
    vmi,
    (current) => {
      const conditions = wanted
        ? withCondition(current.status?.conditions, wanted, timestamp())
        : withoutCondition(current.status?.conditions, 'MigrationRequired')
      return { ...current, status: { ...current.status, conditions } }
    },
    { subresource: 'status' },
  )
}
