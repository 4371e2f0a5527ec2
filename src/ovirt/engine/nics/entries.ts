import type { Severity } from '../audit.ts'
import { type EngineNic, typeText } from './nic.ts'
import type { NicChange } from './rules.ts'

/** What the audit log says of a change, without who made it and when. */
export type NicEntry = Readonly<{ code: number; reason: string; severity: Severity; text: string }>

const words = {
  add: { code: 932, reason: 'NETWORK_ADD_VM_INTERFACE', done: 'was added to', failed: 'Failed to add', at: 'to' },
  edit: {
    code: 934,
    reason: 'NETWORK_UPDATE_VM_INTERFACE',
    done: 'was updated for',
    failed: 'Failed to update',
    at: 'for',
  },
  remove: {
    code: 930,
    reason: 'NETWORK_REMOVE_VM_INTERFACE',
    done: 'was removed from',
    failed: 'Failed to remove',
    at: 'from',
  },
} as const

const plugging = {
  plug: {
    code: 1012,
    reason: 'NETWORK_ACTIVATE_VM_INTERFACE',
    done: 'was plugged to',
    failed: 'Failed to plug',
    at: 'to',
  },
  unplug: {
    code: 1014,
    reason: 'NETWORK_DEACTIVATE_VM_INTERFACE',
    done: 'was unplugged from',
    failed: 'Failed to unplug',
    at: 'from',
  },
} as const

/** The entries of a change that was made, in the engine's order: a plug comes before the edit it is part of (facts/ovirt.md §6). */
export function entriesOf(change: NicChange, user: string): readonly NicEntry[] {
  const { action, before, after, machine } = change
  const { name: vm } = machine.vm.metadata
  const nic = after ?? before
  if (!nic) return []
  const plug = plugOf(change)
  const { code, reason, done } = words[action]
  const link = action === 'edit' ? ` ${linkText(before, after)}` : ''
  return [
    ...(plug
      ? [
          entry(
            plugging[plug].code,
            `${plugging[plug].reason}_SUCCESS`,
            `Network ${titleOf(nic)} ${plugging[plug].done} VM ${vm}. (User: ${user})`,
          ),
        ]
      : []),
    entry(code, reason, `${titleOf(nic)} ${done} VM ${vm}.${link} (User: ${user})`),
  ]
}

/** The entries of a change that failed: an error each. */
export function failuresOf(change: NicChange, user: string): readonly NicEntry[] {
  const { action, before, after, machine } = change
  const { name: vm } = machine.vm.metadata
  const nic = after ?? before
  if (!nic) return []
  const plug = plugOf(change)
  const { code, reason, failed, at } = words[action]
  const error = (number: number, why: string, text: string): NicEntry => ({
    ...entry(number, why, text),
    severity: 'error',
  })
  return [
    ...(plug
      ? [
          error(
            plugging[plug].code + 1,
            `${plugging[plug].reason}_FAILURE`,
            `${plugging[plug].failed} Network ${titleOf(nic)} ${plugging[plug].at} VM ${vm}. (User: ${user})`,
          ),
        ]
      : []),
    error(code + 1, `${reason}_FAILED`, `${failed} ${titleOf(nic)} ${at} VM ${vm}. (User: ${user})`),
  ]
}

/** What the engine's error says of a change that the host did not make (facts/ovirt.md §4.3). */
export function hostErrorOf(change: NicChange): string {
  const plug = plugOf(change)
  if (plug === 'plug') return 'Failed to activate VM Network Interface.'
  if (plug === 'unplug') return 'Failed to deactivate VM Network Interface.'
  return 'Failed to update VM Network Interface.'
}

/** The description of the job of a change. */
export function jobOf({ action, before, after, machine }: NicChange): string {
  const nic = (after ?? before)?.name ?? ''
  const { name: vm } = machine.vm.metadata
  if (action === 'add') return `Adding Network Interface ${nic} to VM ${vm}`
  if (action === 'remove') return `Removing Network Interface ${nic} from VM ${vm}`
  return `Updating Network Interface ${nic} properties for VM ${vm}`
}

/** Whether the guest gets or loses the card by a change. */
export function plugOf({ machine, before, after, action }: NicChange): 'plug' | 'unplug' | undefined {
  if (machine.status !== 'up' || action === 'remove') return undefined
  const was = before?.plugged ?? false
  const is = after?.plugged ?? false
  return was === is ? undefined : is ? 'plug' : 'unplug'
}

function entry(code: number, reason: string, text: string): NicEntry {
  return { code, reason, severity: 'normal', text }
}

function titleOf(nic: EngineNic): string {
  return `Interface ${nic.name} (${typeText(nic)})`
}

/** A fragment only when the link changed, else a single space, so that the engine's text has three in a row. */
function linkText(before: EngineNic | undefined, after: EngineNic | undefined): string {
  if (!after || before?.linked === after.linked) return ' '
  return `Link State is ${after.linked ? 'UP' : 'DOWN'}.`
}
