import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { Stored } from '#apis/meta/object.ts'
import type { JsonObject } from '#base/json.ts'
import { linkOf } from '#core/nic/desired.ts'
import { noNetwork } from '#core/nic/nic.ts'
import { type NewNic, nicOperations, unknownNicText, withNetwork, withNic, withoutNic } from '#core/vm/edit-nics.ts'
import { type Change, isIsolated, isolate, isolatedAnnotation, rejoin } from '#core/vm/isolation.ts'

/** What a hand does to the cables of a machine. `network` is a NAME, NAMESPACE/NAME or no network. */
export type Gesture =
  | Readonly<{ do: 'link'; nic: string; link: 'up' | 'down' }>
  | Readonly<{ do: 'rewire'; nic: string; network: string }>
  | Readonly<{ do: 'unplug'; nic: string }>
  | Readonly<{ do: 'plug'; card: NewNic }>
  | Readonly<{ do: 'isolate' | 'rejoin' }>

/** The JSON patch of a gesture (empty: it is so already), or why it is refused. */
export type GesturePatch = Readonly<{ operations: readonly JsonObject[] }> | Readonly<{ refusal: string }>

/** What a gesture writes. The patch tests what it was decided by, so that it undoes no change of another client. */
export function patchOf(gesture: Gesture, vm: Stored<VirtualMachine>, isRunning: boolean): GesturePatch {
  switch (gesture.do) {
    case 'link':
      return linkPatch(vm, gesture.nic, gesture.link)
    case 'isolate':
      return changed(vm, isolate(vm))
    case 'rejoin':
      return changed(vm, rejoin(vm))
    case 'rewire':
      return edited(vm, withNetwork(vm, gesture.nic, gesture.network))
    case 'unplug':
      return edited(vm, withoutNic(vm, gesture.nic, isRunning))
    case 'plug':
      return edited(vm, withNic(vm, gesture.card))
  }
}

function edited(vm: Stored<VirtualMachine>, edit: ReturnType<typeof withNic>): GesturePatch {
  if ('refuse' in edit) return { refusal: edit.text }
  return { operations: edit.vm === vm ? [] : nicOperations(vm, edit.vm) }
}

/** Isolating and rejoining as JSON patch: of the VM as it was seen, cables and note in one write. */
function changed({ metadata }: VirtualMachine, change: Change): GesturePatch {
  if ('refuse' in change) return { refusal: change.refuse }
  if ('already' in change) return { operations: [] }
  const note = change.patch.metadata.annotations[isolatedAnnotation]
  const path = `/metadata/annotations/${isolatedAnnotation.replace('/', '~1')}`
  const interfaces: JsonObject[] = JSON.parse(JSON.stringify(change.patch.spec.template.spec.domain.devices.interfaces))
  return {
    operations: [
      { op: 'test', path: '/metadata/generation', value: metadata.generation ?? 0 },
      ...(metadata.annotations ? [] : [{ op: 'add', path: '/metadata/annotations', value: {} }]),
      typeof note === 'string' ? { op: 'add', path, value: note } : { op: 'remove', path },
      { op: 'replace', path: '/spec/template/spec/domain/devices/interfaces', value: interfaces },
    ],
  }
}

function linkPatch(vm: VirtualMachine, nic: string, link: 'up' | 'down'): GesturePatch {
  const interfaces = vm.spec.template.spec.domain.devices.interfaces ?? []
  const index = interfaces.findIndex(({ name }) => name === nic)
  const one = interfaces[index]
  if (!one) return { refusal: unknownNicText(vm, nic) }
  if (one.state !== 'absent' && linkOf(one.state) === link) return { operations: [] }
  const path = `/spec/template/spec/domain/devices/interfaces/${index}`
  // The spelling of the test has to be that of the object, field by field.
  const value: JsonObject = JSON.parse(JSON.stringify(one))
  return {
    operations: [
      { op: 'test', path, value },
      { op: 'add', path: `${path}/state`, value: link },
    ],
  }
}

/** The gesture that takes another one back, decided by the machine as it was before. */
export function inverseOf(gesture: Gesture, before: Stored<VirtualMachine>): Gesture | undefined {
  switch (gesture.do) {
    case 'link':
      return { ...gesture, link: gesture.link === 'up' ? 'down' : 'up' }
    case 'isolate':
      return { do: 'rejoin' }
    case 'rejoin':
      return isIsolated(before) ? { do: 'isolate' } : undefined
    case 'plug':
      return { do: 'unplug', nic: gesture.card.name }
    case 'rewire':
    case 'unplug':
      return backTo(gesture, before)
  }
}

function backTo(gesture: Extract<Gesture, { nic: string }>, { spec }: Stored<VirtualMachine>): Gesture | undefined {
  const { nic } = gesture
  const network = spec.template.spec.networks?.find(({ name }) => name === nic)?.multus?.networkName
  const one = spec.template.spec.domain.devices.interfaces?.find(({ name }) => name === nic)
  if (network === undefined || !one) return undefined
  if (gesture.do === 'rewire') return { ...gesture, network }
  const { macAddress: mac, model } = one
  return {
    do: 'plug',
    card: { name: nic, network, ...(mac && { mac }), ...(model && { model }), link: linkOf(one.state) },
  }
}

/** A network as a template of a namespace names it. */
export function networkNameFor(rail: string, namespace: string): string {
  if (rail === noNetwork) return rail
  return rail.startsWith(`${namespace}/`) ? rail.slice(namespace.length + 1) : rail
}

/** A name for a new card that the machine does not have: that of its network, if it can be. */
export function freeName(rail: string, taken: readonly string[]): string {
  const base = rail === noNetwork ? 'card' : (rail.split('/').at(-1) ?? 'card')
  if (!taken.includes(base)) return base
  for (let n = 2; ; n++) if (!taken.includes(`${base}-${n}`)) return `${base}-${n}`
}
