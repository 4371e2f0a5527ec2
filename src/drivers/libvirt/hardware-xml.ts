import type { Clock, Features } from '#apis/kubevirt/hardware.ts'
import type { DomainSpec } from '#core/vm/domain.ts'
import { type Hardware, isOn } from '#core/vm/hardware.ts'
import type { Accelerator } from '../host/kvm.ts'
import { element, type XmlElement } from './xml.ts'

/** The files of a guest's firmware in its sandbox: its code, and its variables. */
export type FirmwareFiles = Readonly<{ code: string; variables: string }>

/** The kernel's files in the sandbox. */
export type KernelFiles = Readonly<{ kernel: string; initrd: string | undefined; args: string }>

/** Machine, firmware and kernel. */
export function osElement(
  { hardware }: Pick<DomainSpec, 'hardware'>,
  { kernel, firmware }: Readonly<{ kernel: KernelFiles | undefined; firmware: FirmwareFiles | undefined }>,
): XmlElement {
  const { machine, firmware: wanted } = hardware
  const isSecure = wanted.is === 'efi' && wanted.isSecure
  return element(
    'os',
    {},
    element('type', { arch: 'x86_64', machine }, 'hvm'),
    firmware &&
      element('loader', { readonly: 'yes', ...(isSecure && { secure: 'yes' }), type: 'pflash' }, firmware.code),
    firmware && element('nvram', {}, firmware.variables),
    kernel && element('kernel', {}, kernel.kernel),
    kernel?.initrd !== undefined && element('initrd', {}, kernel.initrd),
    kernel && element('cmdline', {}, kernel.args),
    wanted.is === 'bios' && wanted.isOnSerial && element('bios', { useserial: 'yes' }),
    hasSystem(hardware) && element('smbios', { mode: 'sysinfo' }),
  )
}

/** Numbers and names that the guest finds in its SMBIOS. */
export function sysinfoElement(hardware: Hardware): XmlElement | undefined {
  const { system, chassis } = hardware
  if (!hasSystem(hardware)) return undefined
  const entries = (values: Readonly<Record<string, string>>) =>
    Object.entries(values).map(([name, value]) => element('entry', { name }, value))
  return element(
    'sysinfo',
    { type: 'smbios' },
    Object.keys(system).length > 0 && element('system', {}, ...entries(system)),
    Object.keys(chassis).length > 0 && element('chassis', {}, ...entries(chassis)),
  )
}

function hasSystem({ system, chassis }: Hardware): boolean {
  return Object.keys(system).length + Object.keys(chassis).length > 0
}

/**
 * The CPU. Without a model it is all that the accelerator can do. A model is not checked under emulation, which lacks some of the
 * features of most models; under KVM libvirt refuses what the host does not have.
 */
export function cpuElement(spec: DomainSpec, accelerator: Accelerator): XmlElement {
  const { sockets, cores, threads } = spec
  const { cpuModel, cpuFeatures } = spec.hardware
  const topology = element('topology', { sockets, cores, threads })
  const features = cpuFeatures.map(({ name, policy }) => element('feature', { name, policy }))
  if (cpuModel === undefined) {
    const mode = accelerator === 'kvm' ? 'host-passthrough' : 'maximum'
    return element('cpu', { mode }, topology, ...features)
  }
  const check = accelerator === 'kvm' ? 'partial' : 'none'
  return element(
    'cpu',
    { mode: 'custom', match: 'exact', check },
    element('model', { fallback: 'forbid' }, cpuModel),
    topology,
    ...features,
  )
}

/**
 * The memory for translated code of a guest under emulation, MiB. QEMU would use up to a GiB, which the limit of the sandbox
 * (cgroup.ts) does not have room for.
 */
const translationMiB = 256

export function featuresElement({ features, hasSmm }: Hardware, accelerator: Accelerator): XmlElement {
  const { acpi, apic, kvm } = features
  return element(
    'features',
    {},
    acpi?.enabled !== false && element('acpi'),
    apic?.enabled !== false && element('apic'),
    hasSmm && element('smm', { state: 'on' }),
    kvm?.hidden === true && element('kvm', {}, element('hidden', { state: 'on' })),
    accelerator === 'tcg' && element('tcg', {}, element('tb-cache', { unit: 'MiB' }, String(translationMiB))),
    // QEMU has them for KVM only.
    accelerator === 'kvm' && hypervElement(features),
  )
}

/** libvirt's names where they differ from KubeVirt's. */
const hypervNames: Readonly<Record<string, string>> = { synictimer: 'stimer', vendorid: 'vendor_id' }

function hypervElement({ hyperv }: Features): XmlElement | false {
  if (!hyperv) return false
  const { evmcs: _, ...carried } = hyperv
  const children = Object.entries(carried).map(([name, value]) => {
    const state = isOn(value) ? 'on' : 'off'
    const spinlocks = name === 'spinlocks' ? { retries: hyperv.spinlocks?.spinlocks ?? defaultRetries } : {}
    const vendor = name === 'vendorid' ? { value: hyperv.vendorid?.vendorid ?? '' } : {}
    return element(hypervNames[name] ?? name, { state, ...spinlocks, ...vendor })
  })
  return children.length > 0 && element('hyperv', { mode: 'custom' }, ...children)
}

/** Tries before a guest tells the hypervisor that it waits for a lock (KubeVirt's default). */
const defaultRetries = 4096

/** The clock and its timers. */
export function clockElement({ utc, timezone, timer }: Clock): XmlElement {
  const offset = utc?.offsetSeconds
  const timers = timer ? timerElements(timer) : []
  if (timezone !== undefined) return element('clock', { offset: 'timezone', timezone }, ...timers)
  if (offset !== undefined) return element('clock', { offset: 'variable', adjustment: offset, basis: 'utc' }, ...timers)
  // KubeVirt: a guest that was given UTC starts with it again.
  return element('clock', { offset: 'utc', ...(utc && { adjustment: 'reset' }) }, ...timers)
}

function timerElements({ rtc, pit, kvm, hpet, hyperv }: NonNullable<Clock['timer']>): XmlElement[] {
  const one = (
    name: string,
    timer: Readonly<{ present?: boolean; tickPolicy?: string; track?: string }> | undefined,
  ): XmlElement[] =>
    timer
      ? [
          element('timer', {
            name,
            present: timer.present === false ? 'no' : 'yes',
            ...(timer.tickPolicy && { tickpolicy: timer.tickPolicy }),
            ...(timer.track && { track: timer.track }),
          }),
        ]
      : []
  return [
    ...one('rtc', rtc),
    ...one('pit', pit),
    ...one('kvmclock', kvm),
    ...one('hpet', hpet),
    ...one('hypervclock', hyperv),
  ]
}
