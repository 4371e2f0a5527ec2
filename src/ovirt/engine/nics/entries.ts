import type { Severity } from '../audit.ts'
import { isTemplateVm } from '../names.ts'
import { type EngineNic, typeText } from './nic.ts'
import type { NicChange } from './rules.ts'

/** What the audit log says of a change, without who made it and when. */
export type NicEntry = Readonly<{ code: number; reason: string; severity: Severity; text: string }>

/** What a change is to the engine: its code (that of its failure is one more), its name, and its words. */
type Words = Readonly<{ code: number; reason: string; done: string; failed: string; title: string }>

/** `at` is how a sentence goes on with whose interface it is. */
const words = {
  add: { vm: 932, template: 936, verb: 'ADD', done: 'was added to', failed: 'Failed to add', at: 'to' },
  edit: { vm: 934, template: 940, verb: 'UPDATE', done: 'was updated for', failed: 'Failed to update', at: 'for' },
  remove: { vm: 930, template: 938, verb: 'REMOVE', done: 'was removed from', failed: 'Failed to remove', at: 'from' },
} as const

const plugging = {
  plug: { code: 1012, verb: 'ACTIVATE', done: 'was plugged to', failed: 'Failed to plug', at: 'to' },
  unplug: { code: 1014, verb: 'DEACTIVATE', done: 'was unplugged from', failed: 'Failed to unplug', at: 'from' },
} as const

/** The entries of a change that was made, in the engine's order: a plug comes before the edit it is part of (facts/ovirt.md §6). */
export function entriesOf(change: NicChange, user: string): readonly NicEntry[] {
  const { plug, change: own } = wordsOf(change)
  const link = change.action === 'edit' ? ` ${linkText(change.before, change.after)}` : ''
  const entry = ({ code, reason, title, done }: Words, suffix: string, more: string): NicEntry => {
    return { code, reason: `${reason}${suffix}`, severity: 'normal', text: `${title} ${done}.${more} (User: ${user})` }
  }
  return [...(plug ? [entry(plug, '_SUCCESS', '')] : []), entry(own, '', link)]
}

/** The entries of a change that failed: an error each. */
export function failuresOf(change: NicChange, user: string): readonly NicEntry[] {
  const { plug, change: own } = wordsOf(change)
  const entry = ({ code, reason, failed }: Words, suffix: string): NicEntry => {
    return { code: code + 1, reason: `${reason}${suffix}`, severity: 'error', text: `${failed}. (User: ${user})` }
  }
  return [...(plug ? [entry(plug, '_FAILURE')] : []), entry(own, '_FAILED')]
}

function wordsOf(change: NicChange): Readonly<{ plug: Words | undefined; change: Words }> {
  const { action, before, after, machine } = change
  const isTemplate = isTemplateVm(machine.vm)
  const whose = `${isTemplate ? 'Template' : 'VM'} ${machine.vm.metadata.name}`
  const nic = after ?? before
  const title = nic ? `Interface ${nic.name} (${typeText(nic)})` : 'Interface'
  const of = words[action]
  const own = {
    code: isTemplate ? of.template : of.vm,
    reason: `NETWORK_${of.verb}_${isTemplate ? 'TEMPLATE' : 'VM'}_INTERFACE`,
    done: `${of.done} ${whose}`,
    failed: `${of.failed} ${title} ${of.at} ${whose}`,
    title,
  }
  const plug = plugOf(change)
  if (!plug) return { plug: undefined, change: own }
  const { code, verb, done, failed, at } = plugging[plug]
  const network = `Network ${title}`
  return {
    plug: {
      ...{ code, reason: `NETWORK_${verb}_VM_INTERFACE`, title: network },
      ...{ done: `${done} ${whose}`, failed: `${failed} ${network} ${at} ${whose}` },
    },
    change: own,
  }
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

/** A fragment only when the link changed, else a single space, so that the engine's text has three in a row. */
function linkText(before: EngineNic | undefined, after: EngineNic | undefined): string {
  if (!after || before?.linked === after.linked) return ' '
  return `Link State is ${after.linked ? 'UP' : 'DOWN'}.`
}
