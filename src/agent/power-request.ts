import type { PowerRequestRecord } from '#apis/kubevirt/guest.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { explain, faultKind } from '#base/fault.ts'
import type { Domain } from '#core/ports.ts'
import { nextRecord, recordOf, withRecord } from '#core/vm/power-request.ts'
import { type AgentContext, nameOf } from './context.ts'

const words = { Reset: 'The guest was reset', SoftReboot: 'The guest was asked to reboot' } as const

/** Resets or reboots a guest, at most once for each power request (core/vm/power-request.ts). */
export async function carryOutRequest(
  context: AgentContext,
  vmi: VirtualMachineInstance,
  domain: Pick<Domain, 'restart'>,
  signal: AbortSignal,
): Promise<void> {
  if (!nextRecord(vmi, Date.now())) return
  const begun = await writeRecord(context, vmi, (current) => nextRecord(current, Date.now()))
  if (!begun) return
  const { id, action, state } = begun
  if (state !== 'Begun')
    return context.log.warn({ domain: nameOf(vmi), action, id, state }, 'Request is not carried out')
  context.log.info({ domain: nameOf(vmi), action, id }, 'Carrying out request')
  let end: PowerRequestRecord = { id, action, state: 'Done' }
  try {
    await domain.restart(action, signal)
    context.recorder(vmi, 'Normal', action, words[action])
  } catch (error) {
    if (faultKind(error) === 'Aborted') throw error
    // After a timeout the request may have been carried out nevertheless.
    end = { id, action, state: faultKind(error) === 'Timeout' ? 'Unknown' : 'Failed', message: explain(error) }
  }
  await writeRecord(context, vmi, (current) => (recordOf(current, id) ? end : undefined))
}

/**
 * Writes the record that `decide` returns for the newest instance; resolves to it, or to undefined when there was nothing to
 * write.
 */
async function writeRecord(
  { client }: AgentContext,
  vmi: VirtualMachineInstance,
  decide: (current: VirtualMachineInstance) => PowerRequestRecord | undefined,
): Promise<PowerRequestRecord | undefined> {
  let record: PowerRequestRecord | undefined
  await client.modify(
    VirtualMachineInstance,
    vmi.metadata,
    (current) => {
      record = current.metadata.uid === vmi.metadata.uid ? decide(current) : undefined
      return record && withRecord(current, record)
    },
    { subresource: 'status' },
  )
  return record
}
