import type { Interface, Network } from '#apis/kubevirt/interface.ts'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { Stored } from '#apis/meta/object.ts'
import type { JsonObject } from '#base/json.ts'
import { bindings } from '../nic/bindings.ts'
import { multusKey, normalMac, wantedNics } from '../nic/desired.ts'
import type { DesiredNic } from '../nic/nic.ts'
import { interfacesOf, withInterfaces } from './live.ts'
import { isParking } from './parking.ts'

/** A card to plug. `network` is a NetworkAttachmentDefinition (NAME or NAMESPACE/NAME) or `patchbay-none`. */
export type NewNic = Readonly<{
  name: string
  network: string
  mac?: string | undefined
  model?: string | undefined
  /** Up if undefined; for one that is absent, the link it had. */
  link?: 'up' | 'down' | undefined
}>

/** A VM with a changed template (the same object when nothing changes), or why the change is refused. */
export type NicEdit =
  | Readonly<{ vm: VirtualMachine }>
  | Readonly<{ refuse: 'Conflict' | 'NotFound' | 'Invalid'; text: string }>

/** Plugs a card: adds an interface with bridge binding, or removes `absent` from an equal one. */
export function withNic(vm: Stored<VirtualMachine>, nic: NewNic): NicEdit {
  const there = find(vm, nic.name)
  if (there?.absent) return pluggedAgain(vm, nic, there)
  if (there)
    return {
      refuse: 'Conflict',
      text: `VM ${vm.metadata.name} has an interface ${nic.name} already, on network ${there.network}; choose another name`,
    }
  const { name, network: networkName, mac: macAddress, model, link } = nic
  const one: Interface = {
    name,
    bridge: {},
    ...(macAddress && { macAddress }),
    ...(model && { model }),
    ...(link === 'down' && { state: link }),
  }
  const network = { name, multus: { networkName } }
  return edited(vm, [...interfaces(vm), one], [...networks(vm), network])
}

/** A card that is being unplugged, or kept as `absent`, is plugged again as it was. */
function pluggedAgain(vm: Stored<VirtualMachine>, nic: NewNic, there: ReturnType<typeof wantedNics>[number]): NicEdit {
  const { mac, model, link } = nic
  const isSame =
    there.network === keyOf(vm, nic.network) &&
    (mac === undefined || normalMac(mac) === there.mac) &&
    (model === undefined || model === there.model)
  if (!isSame)
    return {
      refuse: 'Conflict',
      text: `VM ${vm.metadata.name} has an interface ${nic.name} that is absent: ${there.model} on network ${there.network}, MAC ${there.mac}; plug it as it was, or choose another name`,
    }
  // Without a link, it comes back with the one that it had: admission restores that (core/vm/parking.ts).
  return replaced(vm, nic.name, ({ state: _, ...one }) => (link === undefined ? one : { ...one, state: link }))
}

/** Unplugs a card: declares it `absent` if a guest may have it or its owner wants to keep it; otherwise removes it. */
export function withoutNic(vm: Stored<VirtualMachine>, name: string, isRunning: boolean): NicEdit {
  const there = find(vm, name)
  if (!there) return unknown(vm, name)
  if (there.primary)
    return {
      refuse: 'Invalid',
      text: `interface ${name} of VM ${vm.metadata.name} is on the default network and cannot be unplugged; cut its link instead, by state: down`,
    }
  if (there.absent) return { vm }
  const canLeave = there.isPluggable && hasAbsent(there)
  if (isRunning || (isParking(vm) && canLeave)) {
    if (canLeave) return replaced(vm, name, (one) => ({ ...one, state: 'absent' }))
    return {
      refuse: 'Invalid',
      text: `interface ${name} of VM ${vm.metadata.name} is no bridge, and only bridges can be unplugged while the VM runs; stop it first`,
    }
  }
  return edited(
    vm,
    interfaces(vm).filter((one) => one.name !== name),
    networks(vm).filter((one) => one.name !== name),
  )
}

/** Moves a card to another network. */
export function withNetwork(vm: Stored<VirtualMachine>, name: string, network: string): NicEdit {
  const there = find(vm, name)
  if (!there) return unknown(vm, name)
  const own = networks(vm).find((one) => one.name === name)
  if (there.primary || !own?.multus)
    return {
      refuse: 'Invalid',
      text: `interface ${name} of VM ${vm.metadata.name} is on the default network and cannot be put on another; plug a second one`,
    }
  if (there.absent)
    return {
      refuse: 'Conflict',
      text: `interface ${name} of VM ${vm.metadata.name} is declared absent and on no network; plug it first`,
    }
  if (there.network === keyOf(vm, network)) return { vm }
  const moved = { ...own, multus: { ...own.multus, networkName: network } }
  return edited(
    vm,
    interfaces(vm),
    networks(vm).map((one) => (one === own ? moved : one)),
  )
}

/** The patch that makes one template of another. It tests the generation: the spec must be the one that was shown. */
export function nicOperations(before: VirtualMachine, after: VirtualMachine): JsonObject[] {
  const at = '/spec/template/spec'
  const { networks, domain } = after.spec.template.spec
  const set = (path: string, value: unknown) => ({ op: 'add', path, value }) as JsonObject
  return [
    { op: 'test', path: '/metadata/generation', value: before.metadata.generation ?? 0 },
    set(`${at}/domain/devices/interfaces`, domain.devices.interfaces),
    set(`${at}/networks`, networks),
  ]
}

/** The refusal for an unknown interface, with the existing ones. */
export function unknownNicText(vm: VirtualMachine, name: string): string {
  const names = interfaces(vm).map((one) => one.name)
  return `VM ${vm.metadata.name} has no interface ${name}; it has: ${names.join(', ') || 'none'}`
}

function unknown(vm: Stored<VirtualMachine>, name: string): NicEdit {
  return { refuse: 'NotFound', text: unknownNicText(vm, name) }
}

function find(vm: Stored<VirtualMachine>, name: string) {
  return wantedNics(vm.spec.template.spec, namespaceOf(vm)).find((nic) => nic.name === name)
}

function interfaces(vm: VirtualMachine): readonly Interface[] {
  return interfacesOf(vm.spec.template.spec)
}

function networks(vm: VirtualMachine): readonly Network[] {
  return vm.spec.template.spec.networks ?? []
}

function namespaceOf({ metadata }: Stored<VirtualMachine>): string {
  return metadata.namespace
}

/** The name of a network as in `wantedNics`. */
function keyOf(vm: Stored<VirtualMachine>, network: string): string {
  return multusKey(network, namespaceOf(vm))
}

function replaced(vm: Stored<VirtualMachine>, name: string, change: (one: Interface) => Interface): NicEdit {
  return edited(
    vm,
    interfaces(vm).map((one) => (one.name === name ? change(one) : one)),
    networks(vm),
  )
}

function edited(vm: Stored<VirtualMachine>, list: readonly Interface[], others: readonly Network[]): NicEdit {
  const { template } = vm.spec
  const spec = withInterfaces(template.spec, list, others)
  return { vm: { ...vm, spec: { ...vm.spec, template: { ...template, spec } } } }
}

/** Whether an interface may be declared `absent`. */
function hasAbsent({ binding }: DesiredNic): boolean {
  const states: readonly string[] = bindings[binding].states
  return states.includes('absent')
}
