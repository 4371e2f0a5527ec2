import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstanceMigration as Migration } from '#apis/kubevirt/migration.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { sameJson } from '#base/json.ts'
import { timestamp } from '#base/time.ts'
import { changeOf, isOverdue, nextDirective, reasonOf } from '#core/migration/directive.ts'
import { activePodName } from '#core/migration/pod-role.ts'
import { withMigrationState } from '#core/migration/state.ts'
import type { Informer } from '#machinery/client/informer.ts'
import { modifySame } from '#machinery/client/modify-same.ts'
import { type ControllerContext, queueKey } from './context.ts'

type Instance = Stored<VirtualMachineInstance>
type DirectiveContext = ControllerContext & Readonly<{ migrations: Informer<Migration, 'byVmi'> }>

/** Marks the queue key of an instance, where others are those of migrations. */
export const abandoned = 'abandoned'

/** Ends what the agents are at on behalf of a migration that does not exist any more. */
export async function endAbandoned(
  context: DirectiveContext,
  at: Readonly<{ namespace: string; name: string }>,
): Promise<void> {
  const vmi = context.vmis.get(at)
  const uid = vmi?.status?.migrationState?.migrationUid
  if (!vmi || !isHandedOver(vmi, uid)) return
  const isThere = context.migrations.indexed('byVmi', queueKey(vmi)).some(({ metadata }) => metadata.uid === uid)
  if (!isThere) await direct(context, vmi, { isAbandoned: true })
}

/** Whether a migration has been handed to the agents, and is theirs. */
export function isHandedOver({ status }: Instance, uid: string | undefined): boolean {
  const state = status?.migrationState
  return state !== undefined && state.migrationUid === uid && !state.completed && state.source !== undefined
}

/** Takes a guest that moves one step further, by what both agents have published. */
export async function direct(context: DirectiveContext, vmi: Instance, { isAbandoned = false } = {}): Promise<void> {
  const state = vmi.status?.migrationState
  if (!state) return
  const { client, recorder, log } = context
  const isGoing = vmi.metadata.deletionTimestamp ?? activePod(context, vmi)?.metadata.deletionTimestamp
  const circumstances = {
    isUnwanted: isAbandoned || state.abortRequested === true || isGoing !== undefined,
    isOverdue: isOverdue(vmi, Date.now()),
  }
  const directive = nextDirective(state, circumstances)
  if (directive.do === 'wait') return
  log.debug(
    { instance: queueKey(vmi), directive, step: state.step, source: state.source, target: state.target },
    'Directing a migration',
  )
  let isWritten = false
  await modifySame(
    client,
    VirtualMachineInstance,
    vmi,
    (current) => {
      const now = current.status?.migrationState
      // By what has been published meanwhile, the next pass decides.
      isWritten = now !== undefined && sameJson(now, state)
      const status =
        isWritten && withMigrationState(current.status, state.migrationUid, changeOf(state, directive, timestamp()))
      return status ? { ...current, status } : undefined
    },
    { subresource: 'status' },
  )
  if (!isWritten || directive.do === 'step') return
  if (directive.do === 'complete')
    recorder(vmi, 'Normal', 'Migrated', `The VirtualMachineInstance migrated to node ${state.targetNode ?? ''}.`)
  else
    recorder(
      vmi,
      'Warning',
      'MigrationFailed',
      `The VirtualMachineInstance was not migrated: ${reasonOf(state, directive)}`,
    )
}

/** The pod a guest is in. */
export function activePod({ pods }: Pick<DirectiveContext, 'pods'>, vmi: Instance): Pod | undefined {
  return pods.get({ namespace: vmi.metadata.namespace, name: activePodName(vmi) })
}
