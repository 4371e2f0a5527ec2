import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { explain } from '#base/fault.ts'
import { sameJson } from '#base/json.ts'
import type { Log } from '#base/log.ts'
import { linkChangedByAnnotation, networkChangedByAnnotation } from '#core/nic/drift.ts'
import type { Client, Key } from '#machinery/client/client.ts'
import type { Informer } from '#machinery/client/informer.ts'
import { record } from './audit.ts'
import { clustersIn } from './clusters.ts'
import { ownGenerationAnnotation } from './names.ts'
import { entriesOf } from './nics/entries.ts'
import { type EngineNic, nicsOf } from './nics/nic.ts'
import type { NicChange } from './nics/rules.ts'
import { vmStatus } from './vm-status.ts'
import type { Machine } from './world.ts'

type VM = Stored<VirtualMachine>

export type AuditorOptions = Readonly<{
  client: Client
  vms: Pick<Informer<VirtualMachine>, 'onChange'>
  vmi: (key: Required<Key>) => Stored<VirtualMachineInstance> | undefined
  log: Log
}>

/** Whom the engine names when it does not know who made a change. */
const unknownUser = '<UNKNOWN>'

/**
 * Writes the entries of changes of interfaces that did not come through the engine: whoever changes a VM, by whatever door, its
 * audit log says so. Returns what ends it.
 */
export function startAuditor({ client, vms, vmi, log }: AuditorOptions): () => void {
  let last = Promise.resolve()
  return vms.onChange((now, before) => {
    if (!now || !before || now.metadata.uid !== before.metadata.uid || isOwn(now, before)) return
    const entries = changesOf(now, before, vmi(now.metadata)).flatMap((change) =>
      entriesOf(change, userOf(now, change)),
    )
    const { namespace } = now.metadata
    // In their order: ids of entries only grow.
    for (const entry of entries)
      last = last
        .then(() => record(client, { ...entry, vm: now, namespace, user: unknownUser }))
        .then(
          () => undefined,
          (error: unknown) => log.warn({ vm: now.metadata.name, cause: explain(error) }, 'Cannot write the audit log'),
        )
  })
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
