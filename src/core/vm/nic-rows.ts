import type { Interface, InterfaceStatus } from '#apis/kubevirt/interface.ts'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VirtualMachineInstance, VmiSpec } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import { bindingOf, isDevice } from '../nic/bindings.ts'
import { desiredNics, linkOf, normalMac, wantedNics } from '../nic/desired.ts'
import { linkDriftAnnotation } from '../nic/drift.ts'
import { isInGuest } from '../nic/followed.ts'
import { effectiveLink, type Nic, podNetwork } from '../nic/nic.ts'
import { planNics } from '../nic/plan.ts'
import { isTrue } from './conditions.ts'
import { isFinal } from './power.ts'

type Declared = 'up' | 'down' | 'absent'

/** One interface as the VM, the instance, the hypervisor and the guest have it; unknown fields are left out. */
export type NicRow = Readonly<{
  /** Empty for one that only the guest knows. */
  name: string
  network?: string
  mac?: string
  binding?: string
  model?: string
  /** What the VM says. */
  declared?: Declared
  /** What the running instance's spec says. */
  instance?: Declared
  /** What the hypervisor says. */
  hypervisor?: 'up' | 'down'
  /** Name of the device in the guest. */
  guest?: string
  /** The address it is reached at. */
  addresses?: readonly string[]
  /** The guest's own address, where it differs (masquerade). */
  guestAddresses?: readonly string[]
  podInterface?: string
  queues?: number
  source?: string
  /** Differences, in sentences. */
  differences: readonly string[]
}>

/** The same interface in each place. */
type Places = Readonly<{
  own?: Interface | undefined
  ours?: Interface | undefined
  status?: InterfaceStatus | undefined
}>

/** Whether an instance runs whose interfaces can be shown. */
export function isRunning<T extends VirtualMachineInstance>(vmi: T | undefined): vmi is T {
  return vmi !== undefined && !isFinal(vmi)
}

/** All interfaces of a VM: in its order, then those only its instance has, then those only the guest has. */
export function nicRows(vm: Stored<VirtualMachine>, vmi: VirtualMachineInstance | undefined): NicRow[] {
  const running = isRunning(vmi) ? vmi : undefined
  const template = vm.spec.template.spec
  const own = byName(template.domain.devices.interfaces)
  const ours = byName(running?.spec.domain.devices.interfaces)
  const statuses = running?.status?.interfaces ?? []
  const known = new Map(statuses.flatMap((one) => (one.name ? [[one.name, one] as const] : [])))
  const plans = planTexts(vm, running)
  const networks = new Map([...networksOf(running?.spec, vm), ...networksOf(template, vm)])
  const rows = [...new Set([...own.keys(), ...ours.keys(), ...known.keys()])].map((name): NicRow => {
    const places = { own: own.get(name), ours: ours.get(name), status: known.get(name) }
    const network = networks.get(name)
    const differences = [...(plans.get(name) ?? []), ...(running ? differencesOf(places, vm, running, network) : [])]
    return { name, ...(network && { network }), ...partsOf(places), ...partsOfStatus(places.status), differences }
  })
  const guestOnly = statuses.filter((one) => !one.name)
  return [...rows, ...guestOnly.map((one) => ({ name: '', ...partsOfStatus(one), differences: [] }))]
}

function byName(interfaces: readonly Interface[] | undefined): Map<string, Interface> {
  return new Map((interfaces ?? []).map((one) => [one.name, one]))
}

function declaredOf({ state }: Interface): Declared {
  return state === 'absent' ? 'absent' : linkOf(state)
}

function partsOf({ own, ours }: Places): Partial<NicRow> {
  const shown = own ?? ours
  if (!shown) return {}
  const binding = bindingOf(shown)
  const mac = shown.macAddress ?? ours?.macAddress
  return {
    ...(mac && { mac: normalMac(mac) }),
    ...(binding && { binding: shown.binding?.name ?? binding }),
    ...(!isDevice(binding) && { model: shown.model ?? 'virtio' }),
    ...(own && { declared: declaredOf(own) }),
    ...(ours && { instance: declaredOf(ours) }),
  }
}

function partsOfStatus(status: InterfaceStatus | undefined): Partial<NicRow> {
  if (!status) return {}
  const { mac, linkState, interfaceName, ipAddresses, guestAddresses, podInterfaceName, queueCount, infoSource } =
    status
  return {
    ...(mac && { mac }),
    ...(linkState && { hypervisor: linkState }),
    ...(interfaceName && { guest: interfaceName }),
    ...(ipAddresses?.length && { addresses: ipAddresses }),
    ...(guestAddresses?.length && { guestAddresses }),
    ...(podInterfaceName && { podInterface: podInterfaceName }),
    ...(queueCount && { queues: queueCount }),
    ...(infoSource && { source: infoSource }),
  }
}

/** What runs otherwise than declared, by interface, from the planner. Links have sentences of their own. */
function planTexts(vm: Stored<VirtualMachine>, running: VirtualMachineInstance | undefined): Map<string, string[]> {
  if (!running) return new Map()
  const namespace = vm.metadata.namespace
  const desired = wantedNics(vm.spec.template.spec, namespace)
  const observed = desiredNics(running.spec, namespace)
  const find = (nics: readonly Nic[], name: string) => nics.find((nic) => nic.name === name)
  const { steps, needs } = planNics(desired, observed)
  const plugging = steps.flatMap(({ do: what, nic, from }): [string, string[]][] => {
    if (what === 'plug') return [[nic.name, ['declared, but not in the running instance; about to be plugged']]]
    if (what === 'rewire') return [[nic.name, [`declared on ${nic.network}, but on ${from}; about to be rewired`]]]
    return what === 'unplug' ? [[nic.name, ['absent, but in the running instance; about to be unplugged']]] : []
  })
  const texts = needs.map(({ nic, changed }): [string, string[]] => [
    nic,
    changed.map((what) => {
      if (what === 'added') return `declared, but not in the running instance; it comes with a restart`
      if (what === 'removed') return `no longer declared, but in the running instance; it goes with a restart`
      const [wanted, now] = [find(desired, nic)?.[what], find(observed, nic)?.[what]]
      return `${what} ${wanted} is declared, ${now} is in the running instance; it changes with a restart`
    }),
  ])
  return new Map([...plugging, ...texts])
}

function differencesOf(
  { own, ours, status }: Places,
  vm: VirtualMachine,
  running: VirtualMachineInstance,
  network = '',
): string[] {
  const texts: string[] = []
  const declared = own && ours && declaredOf(own)
  const found = status?.linkState
  if (declared && declared !== 'absent') {
    const isReported = vm.metadata.annotations?.[linkDriftAnnotation] === 'report'
    const what = isReported ? `left so because of the annotation ${linkDriftAnnotation}` : 'about to be set'
    if (found && found !== effectiveLink(declared, network))
      texts.push(`declared ${declared}, but ${found} in the hypervisor; ${what}`)
    else if (declaredOf(ours) !== declared)
      texts.push(`declared ${declared}, but ${declaredOf(ours)} in the running instance; about to be set`)
  }
  if (ours?.macAddress && status?.mac && normalMac(ours.macAddress) !== normalMac(status.mac))
    texts.push(`MAC ${normalMac(ours.macAddress)} is declared, ${normalMac(status.mac)} is in the hypervisor`)
  if (running.status?.phase !== 'Running' || !ours || declaredOf(ours) === 'absent') return texts
  const { conditions } = running.status
  if (!status || (status.infoSource && !isInGuest(status)))
    texts.push(
      isTrue(conditions, 'MigrationRequired')
        ? 'not in the running sandbox; it comes with a migration'
        : 'not in the hypervisor yet',
    )
  else if (!status.interfaceName && isTrue(conditions, 'AgentConnected')) texts.push('not yet seen by the guest')
  return texts
}

/** The network of each interface, absent ones included. */
function networksOf(spec: VmiSpec | undefined, { metadata }: Stored<VirtualMachine>): [string, string][] {
  if (!spec) return []
  const { namespace } = metadata
  // A network of the VM's own namespace is named as the VM names it.
  const short = (network: string) =>
    network.startsWith(`${namespace}/`) ? network.slice(namespace.length + 1) : network
  return wantedNics(spec, namespace).map(({ name, network }) => [
    name,
    network === podNetwork ? network : short(network),
  ])
}
