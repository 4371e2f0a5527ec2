import type { GuestAction, PowerRequestRecord } from '#apis/kubevirt/guest.ts'
import { guestActions } from '#apis/kubevirt/guest.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { isObject } from '#base/json.ts'
import type { Verdict } from './actions.ts'
import { findCondition, isTrue } from './conditions.ts'

/**
 * On an instance: what its guest is to do once, as JSON. The node's agent carries it out and tells in `status.powerRequests`.
 *
 * At most once, whatever dies when: the agent writes `Begun` with the request's id before it acts, and does nothing about an
 * id it finds recorded. Found at `Begun` by an agent that did not begin it, nobody knows whether it was done; it is recorded
 * as `Unknown` and left, for a guest that is reset a second time loses what it did in between, while whoever asked can look
 * and ask again. A request that nobody began before it expires is never carried out.
 */
const powerRequestAnnotation = 'vmi.patchbay.dev/power-request'

/** `expires` is RFC 3339, by the clock of whoever asked. */
export type PowerRequest = Readonly<{ id: string; action: GuestAction; expires: string }>

/** How many are remembered, so that whoever asked learns what became of it though others ask soon after. */
const maxRecords = 8

const underway = {
  refuse: 'Conflict',
  text: 'unable to complete request: reset or soft reboot already underway',
} as const

/** Whether a guest can be reset or told to reboot now. */
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

/** The request of an instance; undefined when there is none that makes sense. */
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

/** What became of a request, if anything. */
export function recordOf({ status }: VirtualMachineInstance, id: string): PowerRequestRecord | undefined {
  return status?.powerRequests?.find((one) => one.id === id)
}

/** The instance with a record, in place of what was recorded of the same request. */
export function withRecord(vmi: VirtualMachineInstance, record: PowerRequestRecord): VirtualMachineInstance {
  const others = (vmi.status?.powerRequests ?? []).filter(({ id }) => id !== record.id)
  return { ...vmi, status: { ...vmi.status, powerRequests: [...others, record].slice(-maxRecords) } }
}

/** What there is to do about an instance's request: write a record, and then carry it out when that says `Begun`. */
export function nextRecord(vmi: VirtualMachineInstance, nowMs: number): PowerRequestRecord | undefined {
  const request = powerRequestOf(vmi)
  if (!request) return undefined
  const { id, action, expires } = request
  const last = recordOf(vmi, id)
  if (!last) return { id, action, state: Date.parse(expires) > nowMs ? 'Begun' : 'Expired' }
  return last.state === 'Begun' ? { id, action, state: 'Unknown' } : undefined
}
