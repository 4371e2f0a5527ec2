import type { Interface } from '#apis/kubevirt/interface.ts'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { Stored } from '#apis/meta/object.ts'
import { isObject, parsedJson } from '#base/json.ts'
import { linkOf, wantedNics } from '#core/nic/desired.ts'
import { isInGuest } from '#core/nic/followed.ts'
import { interfacesOf } from '#core/vm/live.ts'
import { parkedLink } from '#core/vm/parking.ts'
import { idIn } from '../ids.ts'
import { nicsAnnotation } from '../names.ts'
import type { Machine, Profile } from '../world.ts'

/** The types of cards that oVirt knows (facts/ovirt.md §1.2), with the names its messages have for them. */
export const nicTypes = {
  virtio: 'VirtIO',
  e1000: 'e1000',
  e1000e: 'e1000e',
  rtl8139: 'rtl8139',
  rtl8139_virtio: 'Dual mode rtl8139, VirtIO',
  spapr_vlan: 'sPAPR VLAN',
  pci_passthrough: 'PCI Passthrough',
} as const
export type NicType = keyof typeof nicTypes

/** Speed of a card, whatever its type, Mbit/s. */
export const cardSpeed = 10_000

/** Whether a text is a type of card. */
export function isNicType(text: string): text is NicType {
  return Object.hasOwn(nicTypes, text)
}

/** An interface of a VM as oVirt sees it. */
export type EngineNic = Readonly<{
  id: string
  /** Its name in Kubernetes, which it keeps when it is renamed here. */
  interface: string
  name: string
  /** Undefined for a model that oVirt has no name for. */
  type: NicType | undefined
  mac: string
  linked: boolean
  plugged: boolean
  /** What the interface is connected by; undefined on no network. */
  profile: Profile | undefined
  /** Whether it is on the default network of its VM, which it cannot leave while the guest runs. */
  isPrimary: boolean
}>

/** What oVirt knows of an interface and its template has no field for. */
export type NicExtras = Readonly<{ name?: string; profile?: string }>

/** The extras of a VM's interfaces. What is not as the engine writes it is left out. */
export function extrasOf({ metadata }: Pick<VirtualMachine, 'metadata'>): Readonly<Record<string, NicExtras>> {
  const value = parsedJson(metadata.annotations?.[nicsAnnotation] ?? '{}')
  if (!isObject(value)) return {}
  const list = Object.entries(value).flatMap(([name, extras]): [string, NicExtras][] => {
    if (!isObject(extras)) return []
    const text = (field: string) => (typeof extras[field] === 'string' ? { [field]: extras[field] } : {})
    return [[name, { ...text('name'), ...text('profile') }]]
  })
  return Object.fromEntries(list)
}

/** The interfaces of a VM, in the order of its template. `profiles` are those of all networks. */
export function nicsOf({ vm }: Pick<Machine, 'vm'>, profiles: readonly Profile[]): readonly EngineNic[] {
  const extras = extrasOf(vm)
  const namespace = vm.metadata.namespace
  const declared = new Map(interfacesOf(vm.spec.template.spec).map((one) => [one.name, one]))
  return wantedNics(vm.spec.template.spec, namespace).map((nic): EngineNic => {
    const own = extras[nic.name]
    const at = profiles.filter(
      ({ network }) => network.key === nic.network && isNear(network.dataCenter.namespace, nic.network, namespace),
    )
    return {
      id: idIn(vm.metadata.uid, `nic/${nic.name}`),
      interface: nic.name,
      name: own?.name ?? nic.name,
      type: typeOf(declared.get(nic.name)),
      mac: nic.mac,
      linked: (nic.absent ? parkedLink(vm, nic.name) : linkOf(declared.get(nic.name)?.state)) === 'up',
      plugged: !nic.absent,
      profile: at.find(({ name }) => name === own?.profile) ?? at.find(({ name, network }) => name === network.name),
      isPrimary: nic.primary,
    }
  })
}

/** Pod networks have no namespace in their name: that of the VM is meant. */
function isNear(of: string, network: string, namespace: string): boolean {
  return network.includes('/') || of === namespace
}

function typeOf(one: Interface | undefined): NicType | undefined {
  if (one?.sriov) return 'pci_passthrough'
  const model = one?.model || 'virtio'
  return isNicType(model) ? model : undefined
}

/** The type of a card in messages. */
export function typeText({ type }: Pick<EngineNic, 'type'>): string {
  return type ? nicTypes[type] : 'unknown'
}

/** The interface with an id. */
export function nicWithId(vm: Pick<Machine, 'vm'>, id: string, profiles: readonly Profile[]): EngineNic | undefined {
  return nicsOf(vm, profiles).find((one) => one.id === id.toLowerCase())
}

/** The VM's own uid space for ids of interfaces. */
export function nicId({ metadata }: Stored<VirtualMachine>, name: string): string {
  return idIn(metadata.uid, `nic/${name}`)
}

/** Whether the guest has the interface as it is declared: what the page of a VM warns of when it has not. */
export function isSynced(nic: EngineNic, vmi: Machine['vmi']): boolean {
  if (vmi?.status?.phase !== 'Running' || vmi.metadata.deletionTimestamp) return true
  const seen = vmi.status.interfaces?.find(({ name }) => name === nic.interface)
  if (!nic.plugged) return !seen || !isInGuest(seen)
  return seen !== undefined && isInGuest(seen) && seen.linkState === (nic.linked && nic.profile ? 'up' : 'down')
}
