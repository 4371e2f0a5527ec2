import type { GuestAction, PowerRequestRecord } from '#apis/kubevirt/guest.ts'
import { guestActions } from '#apis/kubevirt/guest.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { isObject } from '#base/json.ts'
import type { Verdict } from './actions.ts'
import { findCondition, isTrue } from './conditions.ts'

/**
 * On an instance: a request to reset or reboot its guest once, as JSON. The node's agent executes it and reports in
 * `status.powerRequests`.
 *
 * It is executed at most once, whichever process dies: the agent writes `Begun` with the request's id before it acts, and ignores
 * an id that is recorded. If an agent finds `Begun` after a restart, it is unknown whether the request was executed; the agent
 * records `Unknown` and does not repeat it, since a second reset would destroy what the guest did in between, and the user can
 * check and request it again. A request that has expired before it was begun is never executed.
 */
const powerRequestAnnotation = 'vmi.patchbay.dev/power-request'

/** `expires` is RFC 3339, by the clock of the API server. */
export type PowerRequest = Readonly<{ id: string; action: GuestAction; expires: string }>

/** Number of records kept, so that the result of a request can be read although other requests follow. */
const maxRecords = 8

const underway = {
  refuse: 'Conflict',
  text: 'unable to complete request: reset or soft reboot already underway',
} as const

/** Whether a guest can be reset or asked to reboot now. */
export function powerVerdict(vmi: VirtualMachineInstance, action: GuestAction, nowMs: number): Verdict {
  const { status } = vmi
  const no = (text: string) => ({ refuse: 'Conflict', text }) as const
  if (status?.phase !== 'Running') return no(action === 'Reset' ? 'VMI is not running' : 'VM is not running')
  if (action === 'SoftReboot') {
    if (isTrue(status.conditions, 'Paused')) return no('VMI is paused')
    if (!findCondition(status.conditions, 'AgentConnected') && !hasAcpi(vmi))
      return no('VMI neither have the agent connected nor the ACPI feature enabled')
  }
  const pending = powerRequestOf(vmi)
  const state = pending && recordOf(vmi, pending.id)?.state
  const isOpen = pending && (state === undefined || state === 'Begun')
  return isOpen && Date.parse(pending.expires) > nowMs ? underway : {}
}

function hasAcpi({ spec }: VirtualMachineInstance): boolean {
  const acpi = isObject(spec.domain.features) ? spec.domain.features.acpi : undefined
  return !isObject(acpi) || acpi.enabled !== false
}

/** The instance with a request. */
export function withPowerRequest(vmi: VirtualMachineInstance, request: PowerRequest): VirtualMachineInstance {
  const annotations = { ...vmi.metadata.annotations, [powerRequestAnnotation]: JSON.stringify(request) }
  return { ...vmi, metadata: { ...vmi.metadata, annotations } }
}

/** The request of an instance; undefined when there is none or it is invalid. */
function powerRequestOf({ metadata }: VirtualMachineInstance): PowerRequest | undefined {
  const text = metadata.annotations?.[powerRequestAnnotation]
  if (text === undefined) return undefined
  try {
    const { id, action, expires } = JSON.parse(text) as Record<string, unknown>
    const known = guestActions.find((one) => one === action)
    return typeof id === 'string' && known && typeof expires === 'string' ? { id, action: known, expires } : undefined
  } catch {
    return undefined
  }
}

/** The record of a request, if any. */
export function recordOf({ status }: VirtualMachineInstance, id: string): PowerRequestRecord | undefined {
  return status?.powerRequests?.find((one) => one.id === id)
}

/** The instance with a record, which replaces an earlier one of the same request. */
export function withRecord(vmi: VirtualMachineInstance, record: PowerRequestRecord): VirtualMachineInstance {
  const others = (vmi.status?.powerRequests ?? []).filter(({ id }) => id !== record.id)
  return { ...vmi, status: { ...vmi.status, powerRequests: [...others, record].slice(-maxRecords) } }
}

/**
 * The record to be written about an instance's request, which is then executed if the record is `Begun`; undefined when there is
 * nothing to do.
 */
export function nextRecord(vmi: VirtualMachineInstance, nowMs: number): PowerRequestRecord | undefined {
  const request = powerRequestOf(vmi)
  if (!request) return undefined
  const { id, action, expires } = request
  const last = recordOf(vmi, id)
  if (!last) return { id, action, state: Date.parse(expires) > nowMs ? 'Begun' : 'Expired' }
  return last.state === 'Begun' ? { id, action, state: 'Unknown' } : undefined
}
