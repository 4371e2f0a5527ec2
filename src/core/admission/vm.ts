import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import type { FieldError } from '#apis/meta/object.ts'
import { isObject, sameJson } from '#base/json.ts'
import { linkChangedByAnnotation, linkChangedInAnnotation, networkChangedByAnnotation } from '../nic/drift.ts'
import { bootErrors } from './boot.ts'
import { type ClusterConfig, clusterConfig } from './config.ts'
import { dnsErrors } from './dns.ts'
import { interfaceErrors } from './interfaces.ts'
import { macErrors } from './macs.ts'
import { probeErrors } from './probes.ts'
import { nameErrors } from './template.ts'

/** What admission asks the cluster. */
export type AdmissionWorld = Readonly<{
  config: ClusterConfig
  /** Names another VM that has a MAC. */
  holderOf: (mac: string) => string | undefined
}>

/**
 * Whether an update of a VM is none of admission's business: it leaves the spec alone, which may have become wrong by a rule that
 * came later, or the VM is to end, as in KubeVirt.
 */
export function isBeyondAdmission(vm: VirtualMachine, old: VirtualMachine | undefined): boolean {
  return old !== undefined && (old.metadata.deletionTimestamp !== undefined || sameJson(vm.spec, old.spec))
}

/** Everything that forbids a VM, all at once. */
export function vmErrors(
  vm: VirtualMachine,
  old?: VirtualMachine,
  { config, holderOf }: AdmissionWorld = { config: clusterConfig(), holderOf: () => undefined },
): FieldError[] {
  const errors = nameErrors(vm.metadata)
  if (vm.spec.running !== undefined && vm.spec.runStrategy !== undefined)
    errors.push({
      field: 'spec.running',
      message: 'running and runstrategy are mutually exclusive',
      reason: 'FieldValueInvalid',
    })
  const { spec } = vm.spec.template
  return [
    ...errors,
    ...interfaceErrors(spec, 'spec.template.spec', { config, isNew: !old }),
    ...macErrors(spec, old?.spec.template.spec, 'spec.template.spec', holderOf),
    ...probeErrors(spec, 'spec.template.spec'),
    ...bootErrors(spec, 'spec.template.spec'),
    ...dnsErrors(spec, 'spec.template.spec'),
  ]
}

/** The VM with every default that is written down at admission; see specWithDefaults. */
export function withDefaults(
  vm: VirtualMachine,
  old: VirtualMachine | undefined,
  newMac: (interfaceName: string) => string,
  config: ClusterConfig = clusterConfig(),
): VirtualMachine {
  if (!vm.spec?.template?.spec) return vm
  const spec = specWithDefaults(vm.spec.template.spec, old?.spec.template.spec, newMac, config)
  return { ...vm, spec: { ...vm.spec, template: { ...vm.spec.template, spec } } }
}

/**
 * Writes down who changed the state of an interface, and who its network: the Event about the change names them. Nobody is
 * noted when nothing of the kind changed, so that applying a manifest again changes nothing.
 */
export function withLinkChanger(vm: VirtualMachine, old: VirtualMachine | undefined, user: string): VirtualMachine {
  if (!old || !vm.spec?.template?.spec) return vm
  const isChanged = (valuesOf: typeof statesOf) => {
    const before = valuesOf(old)
    return [...valuesOf(vm)].some(([name, value]) => before.has(name) && before.get(name) !== value)
  }
  const notes = {
    ...(isChanged(statesOf) && {
      [linkChangedByAnnotation]: user,
      [linkChangedInAnnotation]: String((old.metadata.generation ?? 0) + 1),
    }),
    ...(isChanged(networksOf) && { [networkChangedByAnnotation]: user }),
  }
  if (!Object.keys(notes).length) return vm
  return { ...vm, metadata: { ...vm.metadata, annotations: { ...vm.metadata.annotations, ...notes } } }
}

/** States of interfaces by name, of a VM whose schema is not checked yet. */
function statesOf({ spec }: VirtualMachine): Map<string, string> {
  const { interfaces } = spec.template.spec?.domain?.devices ?? {}
  return new Map(Array.isArray(interfaces) ? interfaces.map((one) => [one?.name, one?.state ?? '']) : [])
}

/** NADs of networks by name, of a VM whose schema is not checked yet. */
function networksOf({ spec }: VirtualMachine): Map<string, string> {
  const { networks } = spec.template.spec ?? {}
  return new Map(Array.isArray(networks) ? networks.map((one) => [one?.name, one?.multus?.networkName ?? '']) : [])
}

/**
 * The default interface when there are neither interfaces nor networks, and a MAC for every interface, which it keeps for
 * life: an update that leaves it out keeps the one the interface of that name had. `newMac` must give a MAC nobody has.
 */
export function specWithDefaults(
  given: VmiSpec,
  old: VmiSpec | undefined,
  newMac: (interfaceName: string) => string,
  config: ClusterConfig = clusterConfig(),
): VmiSpec {
  // Runs before the schema is checked: what has no such shape is left for the schema to refuse.
  if (!Array.isArray(given?.domain?.devices?.interfaces ?? []) || !given?.domain?.devices) return given
  const spec = withDefaultInterface(given, config)
  const before = new Map((old?.domain.devices.interfaces ?? []).map((one) => [one.name, one.macAddress]))
  const interfaces = spec.domain.devices.interfaces?.map((one) =>
    !isObject(one) || one.macAddress ? one : { ...one, macAddress: before.get(one.name) || newMac(String(one.name)) },
  )
  const devices = interfaces ? { ...spec.domain.devices, interfaces } : spec.domain.devices
  return { ...spec, domain: { ...spec.domain, devices } }
}

/** KubeVirt's default: one interface on the pod network, with the binding the cluster says (facts/kubevirt.md §1.1). */
function withDefaultInterface(spec: VmiSpec, { defaultBinding }: ClusterConfig): VmiSpec {
  const { devices } = spec.domain
  if (devices.autoattachPodInterface === false || devices.interfaces?.length || spec.networks?.length) return spec
  return {
    ...spec,
    domain: { ...spec.domain, devices: { ...devices, interfaces: [{ name: 'default', [defaultBinding]: {} }] } },
    networks: [{ name: 'default', pod: {} }],
  }
}
