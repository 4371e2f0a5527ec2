import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import type { FieldError } from '#apis/meta/object.ts'
import { isObject, sameJson } from '#base/json.ts'
import { withDiskDefaults } from '../disk/defaults.ts'
import { namesTypes } from '../instancetype/matcher.ts'
import { linkChangedByAnnotation, linkChangedInAnnotation, networkChangedByAnnotation } from '../nic/drift.ts'
import { bootErrors } from './boot.ts'
import { type ClusterConfig, clusterConfig } from './config.ts'
import { diskErrors } from './disks.ts'
import { dnsErrors } from './dns.ts'
import { hardwareErrors } from './hardware.ts'
import { interfaceErrors } from './interfaces.ts'
import { macErrors } from './macs.ts'
import { probeErrors } from './probes.ts'
import { nameErrors } from './template.ts'
import { volumeErrors } from './volumes.ts'

/** What admission of VMs needs from the cluster. */
export type AdmissionWorld = Readonly<{
  config: ClusterConfig
  /** The name of another VM that has a MAC. */
  holderOf: (mac: string) => string | undefined
}>

/**
 * Whether an update of a VM is not validated: it does not change the spec, which may have become invalid by a later rule, or the
 * VM is being deleted, as in KubeVirt.
 */
export function isBeyondAdmission(vm: VirtualMachine, old: VirtualMachine | undefined): boolean {
  return old !== undefined && (old.metadata.deletionTimestamp !== undefined || sameJson(vm.spec, old.spec))
}

/** All errors of a VM. */
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
    ...diskErrors(spec, 'spec.template.spec'),
    ...volumeErrors(spec, 'spec.template.spec', config),
    ...hardwareErrors(spec, 'spec.template.spec'),
    ...dnsErrors(spec, 'spec.template.spec'),
  ]
}

/** The VM with every default that is stored at admission; see specWithDefaults. */
export function withDefaults(
  vm: VirtualMachine,
  old: VirtualMachine | undefined,
  newMac: (interfaceName: string) => string,
  config: ClusterConfig = clusterConfig(),
): VirtualMachine {
  if (!vm.spec?.template?.spec) return vm
  // The buses of disks are those of the preference, which is known when the instance is made.
  const complete = namesTypes(vm) ? withNicDefaults : specWithDefaults
  const spec = complete(vm.spec.template.spec, old?.spec.template.spec, newMac, config)
  return { ...vm, spec: { ...vm.spec, template: { ...vm.spec.template, spec } } }
}

/**
 * Records the users who changed the state of an interface and the network of one: Events about the changes name them. Without
 * such a change nothing is recorded, so that applying a manifest again changes nothing.
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

/** States of interfaces by name, of a VM that has not been validated. */
function statesOf({ spec }: VirtualMachine): Map<string, string> {
  const { interfaces } = spec.template.spec?.domain?.devices ?? {}
  return new Map(Array.isArray(interfaces) ? interfaces.map((one) => [one?.name, one?.state ?? '']) : [])
}

/** NADs of networks by name, of a VM that has not been validated. */
function networksOf({ spec }: VirtualMachine): Map<string, string> {
  const { networks } = spec.template.spec ?? {}
  return new Map(Array.isArray(networks) ? networks.map((one) => [one?.name, one?.multus?.networkName ?? '']) : [])
}

/** Adds what is stored at admission: to disks what withDiskDefaults, to interfaces what withNicDefaults says. */
export function specWithDefaults(
  given: VmiSpec,
  old: VmiSpec | undefined,
  newMac: (interfaceName: string) => string,
  config: ClusterConfig = clusterConfig(),
): VmiSpec {
  const spec = withNicDefaults(given, old, newMac, config)
  return isBuilt(given) ? withDiskDefaults(spec) : spec
}

/** Whether a spec has the shape that defaults are added to: this runs before validation, which refuses any other. */
function isBuilt(given: VmiSpec): boolean {
  return Boolean(given?.domain?.devices) && Array.isArray(given.domain.devices.interfaces ?? [])
}

/**
 * Adds the default interface when there are neither interfaces nor networks, and a MAC to every interface, which it keeps: an
 * update without a MAC keeps that of the interface of the same name. `newMac` must return a MAC that no VM has.
 */
function withNicDefaults(
  given: VmiSpec,
  old: VmiSpec | undefined,
  newMac: (interfaceName: string) => string,
  config: ClusterConfig = clusterConfig(),
): VmiSpec {
  if (!isBuilt(given)) return given
  const spec = withDefaultInterface(given, config)
  const before = new Map((old?.domain.devices.interfaces ?? []).map((one) => [one.name, one.macAddress]))
  const interfaces = spec.domain.devices.interfaces?.map((one) =>
    !isObject(one) || one.macAddress ? one : { ...one, macAddress: before.get(one.name) || newMac(String(one.name)) },
  )
  const devices = interfaces ? { ...spec.domain.devices, interfaces } : spec.domain.devices
  return { ...spec, domain: { ...spec.domain, devices } }
}

/**
 * KubeVirt's default: one interface on the pod network, with the binding of the cluster configuration (facts/kubevirt.md §1.1).
 */
function withDefaultInterface(spec: VmiSpec, { defaultBinding }: ClusterConfig): VmiSpec {
  const { devices } = spec.domain
  if (devices.autoattachPodInterface === false || devices.interfaces?.length || spec.networks?.length) return spec
  return {
    ...spec,
    domain: { ...spec.domain, devices: { ...devices, interfaces: [{ name: 'default', [defaultBinding]: {} }] } },
    networks: [{ name: 'default', pod: {} }],
  }
}
