import { Pod } from '#apis/core/pod.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { explain, faultKind } from '#base/fault.ts'
import { timestamp } from '#base/time.ts'
import { migrationJobLabel } from '#core/migration/labels.ts'
import { sandboxFailedReason } from '#core/migration/phases.ts'
import { withMigrationState } from '#core/migration/state.ts'
import { wantedNics } from '#core/nic/desired.ts'
import type { DesiredNic } from '#core/nic/nic.ts'
import type { Incoming, SandboxState } from '#core/ports.ts'
import { attachmentsOf } from '#core/sandbox/plan.ts'
import { findCondition, withCondition } from '#core/vm/conditions.ts'
import type { AgentContext } from './context.ts'
import { writePod } from './report.ts'
import { ensureSandbox, type Wanted } from './sandbox.ts'

/** Where a guest is reached that comes to this node. Its host's own address becomes it when there are several hosts. */
const ownAddress = '127.0.0.1'

/** Makes the sandbox a guest is to come to, and says so when it is ready. `home` is the UID of the pod it comes from. */
export async function receive(
  context: AgentContext,
  pod: Pod,
  vmi: VirtualMachineInstance,
  home: string,
  signal: AbortSignal,
): Promise<void> {
  const migration = pod.metadata.labels?.[migrationJobLabel] ?? ''
  let sandbox: SandboxState
  try {
    sandbox = await ensureSandbox(context, pod, vmi, wantedOf(context, vmi, { from: home, migration }), signal)
  } catch (error) {
    if (faultKind(error) !== 'Aborted') await tellFailure(context, pod, vmi, explain(error))
    throw error
  }
  await writePod(context, pod, vmi, sandbox)
  const state = vmi.status?.migrationState
  if (state?.migrationUid !== migration || state.targetNodeAddress !== undefined) return
  await context.client.modify(
    VirtualMachineInstance,
    vmi.metadata,
    (current) => {
      const status = withMigrationState(current.status, migration, { targetNodeAddress: ownAddress })
      return status && current.metadata.uid === vmi.metadata.uid ? { ...current, status } : undefined
    },
    { subresource: 'status' },
  )
  context.recorder(vmi, 'Normal', 'PreparingTarget', 'VirtualMachineInstance Migration Target Prepared.')
}

/**
 * What the guest will look for: a network for every card it has, also for one it has yet to let go of. Cards it does not
 * have yet may come later, unless it is for them that it is moved.
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
  const isOptional = ({ name }: DesiredNic) => context.attachmentMode() === 'InPlace' && !inGuest.has(name)
  const optional = new Set(nics.filter(isOptional).map(({ name }) => name))
  return { attachments: attachmentsOf(nics, vmi, context.nads), optional, incoming }
}

async function tellFailure(
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
