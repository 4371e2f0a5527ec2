import type { Interface, Network } from '#apis/kubevirt/interface.ts'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VirtualMachineInstance, VmiSpec } from '#apis/kubevirt/vmi.ts'
import { type JsonObject, sameJson } from '#base/json.ts'
import type { AttachmentMode } from '../migration/required.ts'
import { desiredNics, wantedNics } from '../nic/desired.ts'
import { isNetwork, type Nic } from '../nic/nic.ts'
import { type Plan, planNics, type Step } from '../nic/plan.ts'
import { isTrue } from './conditions.ts'
import { withSortedVolumes, withVolumesOf } from './live-volumes.ts'
import { isParking } from './parking.ts'

/** The effect of a template's change on the running instance. */
export type LiveUpdate = Readonly<{
  /** The instance's new spec, if something can be changed while it runs. */
  spec?: VmiSpec
  /** Whether something differs that only a restart changes. */
  restartRequired: boolean
}>

type Running = Pick<VirtualMachineInstance, 'spec' | 'status'>

/**
 * Compares a VM's template with its instance by the same planner as on the node: live changes and volumes that can be plugged go
 * into the instance's spec, everything else requires a restart (facts/kubevirt.md §3.2, §3.3). An interface that is `absent` stays in the instance's spec
 * until neither guest nor sandbox has it; as long as the guest has it, `absent` can be withdrawn.
 *
 * Where networks are attached by migration (`mode`), `absent` is final, and a network is changed only if the instance can be
 * migrated.
 */
export function liveUpdate(
  template: VmiSpec,
  running: Running,
  namespace: string,
  mode: AttachmentMode = 'InPlace',
): LiveUpdate {
  const plan = possible(planNics(wantedNics(template, namespace), desiredNics(running.spec, namespace)), running, mode)
  const wanted = new Map(interfacesOf(template).map((one) => [one.name, one]))
  const networks = new Map((template.networks ?? []).map((one) => [one.name, one]))
  const steps = new Map(plan.steps.map((step) => [step.nic.name, step.do]))
  // An interface whose `absent` was withdrawn is plugged into the network that is declared now.
  const moved = new Set(
    plan.steps.filter(({ do: what }) => what === 'rewire' || what === 'plug').map(({ nic }) => nic.name),
  )
  const held = heldDown(template, running.spec, namespace)
  const known = knownNames(running)
  const have = new Set(interfacesOf(running.spec).map(({ name }) => name))
  const kept = interfacesOf(running.spec).flatMap((one): Interface[] => {
    if (steps.get(one.name) === 'unplug') return [withState(one, 'absent')]
    if (steps.has(one.name) || held.has(one.name)) return [withState(one, wanted.get(one.name)?.state)]
    const isGone = one.state === 'absent' && !known.has(one.name)
    return isGone ? [] : [one]
  })
  const plugged = plan.steps.filter((step) => step.do === 'plug' && !have.has(step.nic.name))
  const interfaces = [...kept, ...plugged.map(({ nic }) => wanted.get(nic.name)!)]
  const names = new Set(interfaces.map(({ name }) => name))
  const spec = withInterfaces(withVolumesOf(running.spec, template), interfaces, [
    ...(running.spec.networks ?? [])
      .filter(({ name }) => names.has(name))
      .map((one) => (moved.has(one.name) ? withNetworkOf(one, networks.get(one.name)) : one)),
    ...plugged.flatMap(({ nic }) => networks.get(nic.name) ?? []),
  ])
  return {
    ...(!sameJson(spec, running.spec) && { spec }),
    restartRequired: plan.needs.length > 0 || !sameJson(judged(template, names), judged(spec, names)),
  }
}

/**
 * Interfaces that are on no network and stay so: their links are down whatever is declared, so a new state is no step, and the
 * instance gets it all the same.
 */
function heldDown(template: VmiSpec, running: VmiSpec, namespace: string): ReadonlySet<string> {
  const now = new Set(unconnected(desiredNics(running, namespace)))
  return new Set(unconnected(desiredNics(template, namespace)).filter((name) => now.has(name)))
}

function unconnected(nics: readonly Nic[]): string[] {
  return nics.filter(({ network }) => !isNetwork(network)).map(({ name }) => name)
}

/** Names of secondary interfaces in pods of old versions, which do not identify the network (facts/kubevirt.md §3.5). */
const ordinalName = /^net\d+$/

/** A plan in which steps that are impossible here are replaced by the need for a restart. */
function possible({ steps, needs }: Plan, { spec, status }: Running, mode: AttachmentMode): Plan {
  const isOrdinal =
    status?.interfaces?.some(({ podInterfaceName }) => ordinalName.test(podInterfaceName ?? '')) ?? false
  const absent = new Set(interfacesOf(spec).flatMap(({ name, state }) => (state === 'absent' ? [name] : [])))
  const isMigrating = mode === 'Migration'
  const canMove = isTrue(status?.conditions, 'LiveMigratable')
  const isPossible = ({ do: what, nic }: Step) =>
    !(what === 'unplug' && isOrdinal) &&
    !(isMigrating && what === 'plug' && absent.has(nic.name)) &&
    !(isMigrating && what === 'rewire' && !canMove)
  const immovable = steps.filter((step) => step.do === 'rewire' && !isPossible(step))
  return {
    steps: steps.filter(isPossible),
    needs: [...needs, ...immovable.map(({ nic, changed }) => ({ nic: nic.name, why: 'restart' as const, changed }))],
  }
}

/** The VM without the `absent` interfaces that its instance no longer has; the same object when there are none. */
export function withoutUnplugged(vm: VirtualMachine, running: Running | undefined): VirtualMachine {
  if (isParking(vm)) return vm
  const { spec } = vm.spec.template
  const busy = new Set([
    ...(running ? knownNames(running) : []),
    ...interfacesOf(running?.spec).map(({ name }) => name),
  ])
  const gone = new Set(
    interfacesOf(spec)
      .filter(({ name, state }) => state === 'absent' && !busy.has(name))
      .map(({ name }) => name),
  )
  if (!gone.size) return vm
  const cleaned = withInterfaces(
    spec,
    interfacesOf(spec).filter(({ name }) => !gone.has(name)),
    (spec.networks ?? []).filter(({ name }) => !gone.has(name)),
  )
  return { ...vm, spec: { ...vm.spec, template: { ...vm.spec.template, spec: cleaned } } }
}

/** The spec of an instance to be started: without `absent` interfaces. */
export function withoutAbsent(spec: VmiSpec): VmiSpec {
  const interfaces = interfacesOf(spec).filter(({ state }) => state !== 'absent')
  if (interfaces.length === interfacesOf(spec).length) return spec
  const names = new Set(interfaces.map(({ name }) => name))
  return withInterfaces(
    spec,
    interfaces,
    (spec.networks ?? []).filter(({ name }) => names.has(name)),
  )
}

/** Interfaces that the node has reported: the guest or its sandbox has them. */
function knownNames({ status }: Pick<VirtualMachineInstance, 'status'>): Set<string> {
  return new Set((status?.interfaces ?? []).flatMap(({ name }) => (name ? [name] : [])))
}

/** The interfaces of a spec, if any. */
export function interfacesOf(spec: VmiSpec | undefined): readonly Interface[] {
  return spec?.domain.devices.interfaces ?? []
}

/**
 * A running spec with the interfaces and networks of a template whose other hardware is not known, since its instance type or
 * preference does not exist: the models of its interfaces are those that they run with.
 */
export function withNicsOf(running: VmiSpec, template: VmiSpec): VmiSpec {
  const models = new Map(interfacesOf(running).map(({ name, model }) => [name, model]))
  const interfaces = interfacesOf(template).map((one) => {
    const model = one.model ?? models.get(one.name)
    return model === undefined ? one : { ...one, model }
  })
  return withInterfaces(running, interfaces, template.networks ?? [])
}

/** The spec with other interfaces and networks. */
export function withInterfaces(spec: VmiSpec, interfaces: readonly Interface[], networks: readonly Network[]): VmiSpec {
  const { networks: _, ...rest } = spec
  return {
    ...rest,
    domain: { ...spec.domain, devices: { ...spec.domain.devices, interfaces } },
    ...((networks.length || spec.networks) && { networks }),
  }
}

/** A network with the NAD of another one. */
function withNetworkOf(one: Network, other: Network | undefined): Network {
  const networkName = other?.multus?.networkName
  return one.multus && networkName !== undefined ? { ...one, multus: { ...one.multus, networkName } } : one
}

function withState(one: Interface, state: string | undefined): Interface {
  const { state: _, ...rest } = one
  return state === undefined ? rest : { ...rest, state }
}

/**
 * A spec without what the planner has compared already (states, and interfaces that only one side has), and with sorted lists
 * where the order has no meaning.
 */
function judged(spec: VmiSpec, names: ReadonlySet<string>): JsonObject {
  const byName = <T extends { name: string }>(list: readonly T[]) =>
    list.filter(({ name }) => names.has(name)).toSorted((a, b) => a.name.localeCompare(b.name))
  return withInterfaces(
    withSortedVolumes(spec),
    byName(interfacesOf(spec)).map((one) => withState(one, undefined)),
    byName(spec.networks ?? []),
  ) as unknown as JsonObject
}
