import { type Event, isAuditEntry } from '#apis/core/event.ts'
import { systemGroup } from '../admission/template.ts'

/** Why a user may not write or delete an Event: it is an entry of the audit log, which only the system writes. */
export function auditEntryWrite(
  { groups }: Readonly<{ groups: readonly string[] }>,
  event: Event,
  old: Event | undefined,
): string | undefined {
  if (groups.includes(systemGroup)) return undefined
  if (!isAuditEntry(event) && !(old && isAuditEntry(old))) return undefined
  return 'it is an entry of the audit log, which only the system may write'
}
