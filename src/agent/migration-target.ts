import { Pod } from '#apis/core/pod.ts'
import type { MigrationState } from '#apis/kubevirt/migration.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { explain, faultKind } from '#base/fault.ts'
import { timestamp } from '#base/time.ts'
import { mayCarryOut } from '#core/migration/directive.ts'
import { migrationJobLabel } from '#core/migration/labels.ts'
import type { TargetCopy } from '#core/migration/outcome.ts'
import { sandboxFailedReason } from '#core/migration/phases.ts'
import { withMigrationState } from '#core/migration/state.ts'
import { isDevice } from '#core/nic/bindings.ts'
import { wantedNics } from '#core/nic/desired.ts'
import type { DesiredNic } from '#core/nic/nic.ts'
import type { Incoming, ObservedDomain, SandboxState } from '#core/ports.ts'
import { attachmentsOf } from '#core/sandbox/plan.ts'
import { findCondition, withCondition } from '#core/vm/conditions.ts'
import { modifySame } from '#machinery/client/modify-same.ts'
import type { AgentContext } from './context.ts'
import { writePod } from './report.ts'
import { ensureSandbox, type Wanted } from './sandbox.ts'

/** The address where this node receives guests: all nodes of this version are on one host. */
const ownAddress = '127.0.0.1'

/** The state of the target copy, by the state of its domain. */
const copies: Readonly<Record<ObservedDomain['state'], TargetCopy>> = {
  moving: 'incoming',
  paused: 'arrived',
  running: 'running',
  'shutting-down': 'ending',
}

/** The state of the guest's copy in the target's sandbox. */
export async function copyAt({ host }: AgentContext, uid: string, signal: AbortSignal): Promise<TargetCopy> {
  // A hypervisor that does not answer does not prove that the guest arrived.
  const state = await host.lifecycle
    .hypervisorOf(uid)
    ?.job.guestState(signal)
    .catch(() => undefined)
  if (state) return copies[state]
  return (await host.processes.has(uid)) ? 'silent' : 'none'
}

/**
 * One pass over the sandbox of a migration target: makes the sandbox, executes the controller's last step if it is for the target
 * and new, and publishes the state afterwards. `from` is the UID of the source's pod.
 */
export async function receive(
  context: AgentContext,
  pod: Pod,
  vmi: VirtualMachineInstance,
  from: string,
  signal: AbortSignal,
): Promise<void> {
  const migration = pod.metadata.labels?.[migrationJobLabel] ?? ''
  if (isBeingSent(vmi, migration)) return
  let sandbox: SandboxState
  try {
    sandbox = await ensureSandbox(context, pod, vmi, wantedOf(context, vmi, { from, migration }), signal)
  } catch (error) {
    if (faultKind(error) !== 'Aborted') await reportFailure(context, pod, vmi, explain(error))
    throw error
  }
  await writePod(context, pod, vmi, sandbox)
  const state = vmi.status?.migrationState
  if (state?.migrationUid !== migration) return
  const uid = pod.metadata.uid ?? ''
  await carryOut(context, uid, state, signal)
  const guest = await copyAt(context, uid, signal)
  const target = { generation: state.step?.generation ?? 0, sourceSequence: state.source?.sequence ?? 0, guest }
  const isFirst = state.targetNodeAddress === undefined
  await modifySame(
    context.client,
    VirtualMachineInstance,
    { metadata: { ...vmi.metadata, uid: vmi.metadata.uid ?? '' } },
    (current) => {
      const now = current.status?.migrationState
      // A newer observation was published meanwhile.
      const isOld =
        (now?.target?.generation ?? -1) > target.generation ||
        (now?.target?.sourceSequence ?? -1) > target.sourceSequence
      if (isOld && !isFirst) return undefined
      const status = withMigrationState(current.status, migration, { target, targetNodeAddress: ownAddress })
      return status && { ...current, status }
    },
    { subresource: 'status' },
  )
  if (isFirst) context.recorder(vmi, 'Normal', 'PreparingTarget', 'VirtualMachineInstance Migration Target Prepared.')
}

/**
 * Whether the guest is being sent and this target has answered the last step: the agent of the source observes the target
 * itself then, and often. A pass over the sandbox would take the processor from the guest that arrives.
 */
function isBeingSent({ status }: VirtualMachineInstance, migration: string): boolean {
  const { migrationUid, step, source, target } = status?.migrationState ?? {}
  if (migrationUid !== migration || !source?.isUnderway) return false
  return target?.generation === (step?.generation ?? 0) && target.sourceSequence === (source.sequence ?? 0)
}

async function carryOut(
  context: AgentContext,
  uid: string,
  { step, source, target, mode }: MigrationState,
  signal: AbortSignal,
): Promise<void> {
  if (!step || (target?.generation ?? -1) >= step.generation) return
  const { processes, lifecycle } = context.host
  if (step.do === 'endTarget' && mayCarryOut(step.do, { target: await copyAt(context, uid, signal) }))
    await processes.kill(uid)
  // The source's process is gone for good.
  if (step.do === 'resumeTarget' && source?.guest === 'gone' && mode !== 'Paused')
    await lifecycle.hypervisorOf(uid)?.domain.resume(signal)
}

/**
 * What the guest needs at the target: a network for every card it has, including cards it has not released yet. Networks of cards
 * that it does not have yet are optional, unless the migration is what attaches them.
 */
function wantedOf(context: AgentContext, vmi: VirtualMachineInstance, incoming: Incoming): Wanted {
  const inGuest = new Set(
    (vmi.status?.interfaces ?? []).flatMap(({ name, infoSource }) =>
      name && infoSource?.includes('domain') ? [name] : [],
    ),
  )
  const nics = wantedNics(vmi.spec, vmi.metadata.namespace ?? 'default').filter(
    ({ name, absent }) => !absent || inGuest.has(name),
  )
  const isOptional = ({ name, binding }: DesiredNic) =>
    context.attachmentMode() === 'InPlace' && !isDevice(binding) && !inGuest.has(name)
  const optional = new Set(nics.filter(isOptional).map(({ name }) => name))
  return { attachments: attachmentsOf(nics, vmi, context.nads), optional, incoming }
}

async function reportFailure(
  context: AgentContext,
  pod: Pod,
  vmi: VirtualMachineInstance,
  message: string,
): Promise<void> {
  if (findCondition(pod.status?.conditions, 'Ready')?.message === message) return
  context.recorder(vmi, 'Warning', 'MigrationTargetFailed', `The migration target cannot be made: ${message}`)
  await context.client.modify(
    Pod,
    pod.metadata,
    (current) => {
      const ready = { type: 'Ready', status: 'False', reason: sandboxFailedReason, message } as const
      return {
        ...current,
        status: { ...current.status, conditions: withCondition(current.status?.conditions, ready, timestamp()) },
      }
    },
    { subresource: 'status' },
  )
}
