import type { Clock, Features, Input } from '#apis/kubevirt/hardware.ts'
import type { VirtualMachineInstance, VmiSpec } from '#apis/kubevirt/vmi.ts'

/** The firmware of a guest. Variables of EFI are in a file of its own. */
export type Firmware = Readonly<{ is: 'bios'; isOnSerial: boolean } | { is: 'efi'; isSecure: boolean }>

/** What a guest is made of beside memory, CPUs, disks and interfaces: with the defaults of KubeVirt (facts/disks.md §A8). */
export type Hardware = Readonly<{
  /** libvirt's machine type. */
  machine: string
  /** The CPU as its owner wants it; undefined: whatever the accelerator can do. */
  cpuModel: string | undefined
  cpuFeatures: readonly Readonly<{ name: string; policy: string }>[]
  firmware: Firmware
  features: Features
  hasSmm: boolean
  clock: Clock
  /** SMBIOS values by their names in libvirt. */
  system: Readonly<Record<string, string>>
  chassis: Readonly<Record<string, string>>
  hasConsole: boolean
  /** Type of the graphics device, which VNC shows; undefined: no screen. */
  video: string | undefined
  inputs: readonly Readonly<{ name: string; bus: 'usb' | 'virtio' }>[]
  sound: string | undefined
  watchdog: Readonly<{ action: string }> | undefined
  hasTpm: boolean
  /** Disks may be plugged while the guest runs. */
  takesDisks: boolean
}>

/** CPU models that mean what the accelerator can do. */
const hostModels = ['host-model', 'host-passthrough']

/** The hardware of an instance. */
export function hardwareOf({ spec }: Pick<VirtualMachineInstance, 'spec'>): Hardware {
  const { machine, cpu, firmware, features = {}, clock = {}, chassis = {}, devices } = spec.domain
  const { model } = cpu ?? {}
  const efi = firmware?.bootloader?.efi
  const { watchdog, sound, tpm } = devices
  return {
    machine: machine?.type || 'q35',
    cpuModel: model === undefined || hostModels.includes(model) ? undefined : model,
    cpuFeatures: (cpu?.features ?? []).map(({ name, policy = 'require' }) => ({ name, policy })),
    firmware: efi
      ? { is: 'efi', isSecure: efi.secureBoot ?? true }
      : { is: 'bios', isOnSerial: firmware?.bootloader?.bios?.useSerial ?? false },
    features,
    hasSmm: isOn(features.smm) || (efi !== undefined && (efi.secureBoot ?? true)),
    clock,
    system: firmware?.serial === undefined ? {} : { serial: firmware.serial },
    chassis: chassis as Readonly<Record<string, string>>,
    hasConsole: devices.autoattachSerialConsole ?? true,
    video: videoOf(spec),
    inputs: inputsOf(spec),
    sound: sound && (sound.model || 'ich9'),
    watchdog: watchdog?.i6300esb && { action: watchdog.i6300esb.action || 'reset' },
    hasTpm: tpm !== undefined && tpm.enabled !== false,
    takesDisks: devices.disableHotplug !== true,
  }
}

/** Whether a switch is on: KubeVirt's are on when they are there. */
export function isOn(one: Readonly<{ enabled?: boolean | undefined }> | undefined): boolean {
  return one !== undefined && one.enabled !== false
}

function videoOf({ domain }: VmiSpec): string | undefined {
  const { autoattachGraphicsDevice, video } = domain.devices
  if (autoattachGraphicsDevice === false) return undefined
  return video?.type || (domain.firmware?.bootloader?.efi ? 'bochs' : 'vga')
}

function inputsOf({ domain }: VmiSpec): Hardware['inputs'] {
  const { inputs = [], autoattachInputDevice } = domain.devices
  const all: readonly Input[] =
    autoattachInputDevice && !inputs.length ? [{ name: 'default-0', type: 'tablet', bus: 'usb' }] : inputs
  return all.map(({ name, bus }) => ({ name, bus: bus === 'virtio' ? 'virtio' : 'usb' }))
}
