import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { sameJson } from '#base/json.ts'
import { linkChangedByAnnotation, networkChangedByAnnotation } from '#core/nic/drift.ts'
import type { Informer } from '#machinery/client/informer.ts'
import type { Severity } from './audit.ts'
import type { Gateway } from './call.ts'
import { clustersIn } from './clusters.ts'
import { ownGenerationAnnotation } from './names.ts'
import { entriesOf } from './nics/entries.ts'
import { type EngineNic, nicsOf } from './nics/nic.ts'
import type { NicChange } from './nics/rules.ts'
import { vmStatus } from './vm-status.ts'
import type { Machine } from './world.ts'

type VM = Stored<VirtualMachine>

export type AuditorOptions = Readonly<{
  note: Gateway['note']
  vms: Pick<Informer<VirtualMachine>, 'onChange' | 'get'>
  vmis: Pick<Informer<VirtualMachineInstance>, 'onChange' | 'get'>
}>

/** Whom the engine names when it does not know who made a change. */
const unknownUser = '<UNKNOWN>'

/** What happened to a VM, without whose it is. */
type Happened = Readonly<{ code: number; reason: string; severity: Severity; text: string }>

/**
 * Writes the entries of what did not come through the engine: whoever changes a VM, by whatever door, its audit log says so. And of
 * what becomes of its guest, which no door decides. Returns what ends it.
 */
export function startAuditor({ note, vms, vmis }: AuditorOptions): () => void {
  let last = Promise.resolve()
  const write = (vm: VM, entries: readonly Happened[]) => {
    const { namespace } = vm.metadata
    // In their order: ids of entries only grow.
    for (const entry of entries) last = last.then(() => note({ ...entry, vm, namespace, user: unknownUser }))
  }
  const ends = [
    vms.onChange((now, before) => {
      const vm = now ?? before
      if (vm) write(vm, now && before ? changed(now, before, vmis.get(now.metadata)) : lifeOf(now, before))
    }),
    vmis.onChange((now, before) => {
      const vm = vms.get((now ?? before)?.metadata ?? { name: '' })
      if (vm) write(vm, guestOf(vm, now, before))
    }),
  ]
  return () => {
    for (const end of ends) end()
  }
}

/** What became of the interfaces of a VM by a change that was not the engine's own. */
function changed(now: VM, before: VM, vmi: Stored<VirtualMachineInstance> | undefined): readonly Happened[] {
  if (now.metadata.uid !== before.metadata.uid || isOwn(now, before)) return []
  return changesOf(now, before, vmi).flatMap((change) => entriesOf(change, userOf(now, change)))
}

/** That a VM was created, unless by the engine itself, or removed. What is there when the log begins is no news. */
function lifeOf(now: VM | undefined, before: VM | undefined): readonly Happened[] {
  const happened = (code: number, reason: string, text: string): Happened[] => [
    { code, reason, severity: 'normal', text },
  ]
  if (before) return happened(113, 'USER_REMOVE_VM_FINISHED', `VM ${before.metadata.name} was successfully removed.`)
  if (!now || now.metadata.annotations?.[ownGenerationAnnotation] !== undefined || !isNew(now)) return []
  return happened(34, 'USER_ADD_VM', `VM ${now.metadata.name} was created by ${unknownUser}.`)
}

/** Whether a VM was made just now: a follower that begins sees all that there are. */
function isNew({ metadata }: VM): boolean {
  return Date.now() - Date.parse(metadata.creationTimestamp) < 10_000
}

/** That a guest began to run, moved, or is down. */
function guestOf(
  { metadata: { name } }: VM,
  now: Stored<VirtualMachineInstance> | undefined,
  before: Stored<VirtualMachineInstance> | undefined,
): readonly Happened[] {
  const isSame = now !== undefined && before !== undefined && now.metadata.uid === before.metadata.uid
  const [is, was] = [now?.status?.phase, isSame ? before.status?.phase : undefined]
  const [to, from] = [now?.status?.nodeName, before?.status?.nodeName]
  if (isSame && is === 'Running' && was !== 'Running')
    return [{ code: 32, reason: 'USER_RUN_VM', severity: 'normal', text: `VM ${name} started on Host ${to}` }]
  if (isSame && is === 'Running' && hasMoved(now) && !hasMoved(before)) {
    const text = `Migration completed (VM: ${name}, Source: ${from}, Destination: ${to}).`
    return [{ code: 63, reason: 'VM_MIGRATION_DONE', severity: 'normal', text }]
  }
  const ended = before?.status?.phase === 'Running' && (!now || (isSame && is !== 'Running' && is !== 'Unknown'))
  if (!ended) return []
  const isCrash = is === 'Failed'
  return [
    {
      ...(isCrash
        ? { code: 119, reason: 'VM_DOWN_ERROR', severity: 'error' as const }
        : { code: 61, reason: 'VM_DOWN', severity: 'normal' as const }),
      text: `VM ${name} is down${isCrash ? ' with error' : ''}.`,
    },
  ]
}

function hasMoved({ status }: VirtualMachineInstance): boolean {
  return status?.migrationState?.completed === true && !status.migrationState.failed
}

/** Whether nothing of the interfaces changed, or the engine itself changed them. */
function isOwn(now: VM, before: VM): boolean {
  const { generation, annotations } = now.metadata
  if (generation === before.metadata.generation || sameJson(now.spec.template, before.spec.template)) return true
  return annotations?.[ownGenerationAnnotation] === String(generation)
}

/** What became of each interface. Profiles do not matter for what is written. */
function changesOf(now: VM, before: VM, vmi: Stored<VirtualMachineInstance> | undefined): NicChange[] {
  const { namespace } = now.metadata
  const [cluster] = clustersIn({ id: now.metadata.uid, name: namespace, namespace }, undefined)
  if (!cluster) return []
  const machine: Machine = { vm: now, vmi, status: vmStatus(now, vmi, false), cluster }
  const [old, nics] = [nicsOf({ vm: before }, []), nicsOf({ vm: now }, [])]
  const common = { machine, nics, wish: {}, isProfileKnown: true, macHolder: undefined }
  const by = (list: readonly EngineNic[], id: string) => list.find((one) => one.id === id)
  const removed = old.filter(({ id }) => !by(nics, id))
  const isChanged = (one: EngineNic) => {
    const was = by(old, one.id)
    return was === undefined || !sameJson(was, one) || networkOf(now, one) !== networkOf(before, one)
  }
  return [
    // An interface that was parked and forgotten is one that was removed.
    ...removed.map((was): NicChange => ({ ...common, action: 'remove', before: was })),
    ...nics.filter(isChanged).map((after): NicChange => {
      const was = by(old, after.id)
      return was ? { ...common, action: 'edit', before: was, after } : { ...common, action: 'add', after }
    }),
  ]
}

function networkOf({ spec }: VM, { interface: name }: EngineNic): string | undefined {
  return spec.template.spec.networks?.find((one) => one.name === name)?.multus?.networkName
}

/** Who made a change: admission notes it of links and networks. */
function userOf({ metadata }: VM, { before, after }: NicChange): string {
  const isLink = before?.linked !== after?.linked || before?.plugged !== after?.plugged
  const name = metadata.annotations?.[isLink ? linkChangedByAnnotation : networkChangedByAnnotation]
  return name === undefined ? unknownUser : `${name}@internal`
}
