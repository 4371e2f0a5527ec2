import type { Interface, Network } from '#apis/kubevirt/interface.ts'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { Stored } from '#apis/meta/object.ts'
import { sameJson } from '#base/json.ts'
import { linkOf, multusKey } from '#core/nic/desired.ts'
import { sourcesIn, withSources } from '#core/nic/mirror.ts'
import { noNetwork, podNetwork } from '#core/nic/nic.ts'
import { interfacesOf, withInterfaces } from '#core/vm/live.ts'
import { parkAnnotation, withParkedLink } from '#core/vm/parking.ts'
import { nicsAnnotation } from '../names.ts'
import { type EngineNic, extrasOf, type NicExtras } from './nic.ts'
import type { NicWish } from './wish.ts'

type VM = Stored<VirtualMachine>

/** The interface as a client asks it to be. `profile` is the one with the id it named. */
export function wished(before: EngineNic, wish: NicWish, profile: EngineNic['profile']): EngineNic {
  const { name, type, linked, plugged, mac } = wish
  return {
    ...before,
    ...(name !== undefined && { name }),
    ...(type && { type }),
    ...(linked !== undefined && { linked }),
    ...(plugged !== undefined && { plugged }),
    ...(mac !== undefined && { mac }),
    ...(wish.profile && { profile: wish.profile === 'none' ? undefined : profile }),
  }
}

/** A name in Kubernetes for a new interface: no dots, and none that another one has. */
export function interfaceName(name: string, taken: readonly string[]): string {
  const plain = name.replaceAll('.', '-')
  for (let i = 1; ; i++) {
    const free = i === 1 ? plain : `${plain}-${i}`
    if (!taken.includes(free)) return free
  }
}

/** The VM with an interface as it is to be: changed, or added where there was none; the same object when nothing differs. */
export function withNic(vm: VM, before: EngineNic | undefined, after: EngineNic): VM {
  const { spec } = vm.spec.template
  const interfaces = before
    ? interfacesOf(spec).map((one) => (one.name === before.interface ? changed(one, before, after) : one))
    : [...interfacesOf(spec), changed(newInterface(after), undefined, after)]
  const networks = before
    ? (spec.networks ?? []).map((one) => (one.name === before.interface ? moved(one, before, after, vm) : one))
    : [...(spec.networks ?? []), newNetwork(after, vm)]
  return edited(withMirror(withExtras(vm, after), before, after), interfaces, networks)
}

/** The VM with other networks that are copied to an interface; the same object where these are. */
export function withMirrors(vm: VM, nic: string, mirrors: readonly string[]): VM {
  const { metadata } = vm
  const wanted = mirrors.map((name) => multusKey(name, metadata.namespace))
  return sameJson(sourcesIn(metadata)?.get(nic) ?? [], wanted)
    ? vm
    : { ...vm, metadata: withSources(metadata, nic, mirrors) }
}

/** The VM without an interface. */
export function withoutNic(vm: VM, nic: EngineNic): VM {
  const { interface: name } = nic
  const { spec } = vm.spec.template
  const { [name]: _, ...extras } = extrasOf(vm)
  const noted = withAnnotation(vm, nicsAnnotation, textOf(extras))
  return edited(
    nic.profile?.isMirroring ? { ...noted, metadata: withSources(noted.metadata, name, []) } : noted,
    interfacesOf(spec).filter((one) => one.name !== name),
    (spec.networks ?? []).filter((one) => one.name !== name),
  )
}

/** On the pod network, an import's card is behind the pod's address, as is usual there. */
function newInterface({ interface: name, profile }: EngineNic): Interface {
  return profile?.network.key === podNetwork ? { name, masquerade: {} } : { name, bridge: {} }
}

function newNetwork(nic: EngineNic, vm: VM): Network {
  const { interface: name, profile } = nic
  return profile?.network.key === podNetwork
    ? { name, pod: {} }
    : { name, multus: { networkName: networkName(nic, vm) } }
}

function changed(one: Interface, before: EngineNic | undefined, after: EngineNic): Interface {
  const { state, ...rest } = one
  const link = after.linked ? 'up' : 'down'
  const isSame = after.plugged ? state !== 'absent' && linkOf(state) === link : state === 'absent'
  // One that comes back says its link, else it would be the one that was parked.
  const up = state === 'absent' ? 'up' : undefined
  const wanted = isSame ? state : after.plugged ? (after.linked ? up : 'down') : 'absent'
  return {
    ...rest,
    ...(after.type !== before?.type && after.type && { model: after.type }),
    ...(after.mac !== before?.mac && after.mac && { macAddress: after.mac }),
    ...(wanted !== undefined && { state: wanted }),
  }
}

function moved(one: Network, before: EngineNic, after: EngineNic, vm: VM): Network {
  if (before.profile?.network.id === after.profile?.network.id) return one
  return { ...one, multus: { ...one.multus, networkName: networkName(after, vm) } }
}

/** As a template names it: without the namespace where that is the VM's own. */
function networkName({ profile }: EngineNic, { metadata }: VM): string {
  if (!profile) return noNetwork
  const { key, name, dataCenter } = profile.network
  return dataCenter.namespace === metadata.namespace ? name : key
}

/**
 * The VM with the copies that a profile asks for: an interface with a profile that mirrors gets all traffic of the profile's network.
 * What another door declared of interfaces without such a profile stays.
 */
function withMirror(vm: VM, before: EngineNic | undefined, after: EngineNic): VM {
  if (before?.profile?.id === after.profile?.id) return vm
  const { profile } = after
  const sources = profile?.isMirroring ? [networkName(after, vm)] : []
  if (!sources.length && !before?.profile?.isMirroring) return vm
  return { ...vm, metadata: withSources(vm.metadata, after.interface, sources) }
}

/** The VM with what oVirt knows of an interface beside its template. */
function withExtras(vm: VM, after: EngineNic): VM {
  const { [after.interface]: _, ...others } = extrasOf(vm)
  const { profile } = after
  const own: NicExtras = {
    ...(after.name !== after.interface && { name: after.name }),
    ...(profile && profile.name !== profile.network.name && { profile: profile.name }),
  }
  const extras = Object.keys(own).length ? { ...others, [after.interface]: own } : others
  const noted = withAnnotation(vm, nicsAnnotation, textOf(extras))
  if (after.plugged) return noted
  const parked = withAnnotation(noted, parkAnnotation, 'true')
  return { ...parked, metadata: withParkedLink(parked.metadata, after.interface, after.linked ? 'up' : 'down') }
}

function textOf(extras: Readonly<Record<string, NicExtras>>): string | undefined {
  return Object.keys(extras).length ? JSON.stringify(extras) : undefined
}

/** The VM with an annotation, or without it. */
export function withAnnotation<T extends Pick<VirtualMachine, 'metadata'>>(
  vm: T,
  name: string,
  value: string | undefined,
): T {
  if (vm.metadata.annotations?.[name] === value) return vm
  const { [name]: _, ...others } = vm.metadata.annotations ?? {}
  const annotations = value === undefined ? others : { ...others, [name]: value }
  return { ...vm, metadata: { ...vm.metadata, annotations } }
}

function edited(vm: VM, interfaces: readonly Interface[], networks: readonly Network[]): VM {
  const { template } = vm.spec
  return {
    ...vm,
    spec: { ...vm.spec, template: { ...template, spec: withInterfaces(template.spec, interfaces, networks) } },
  }
}
