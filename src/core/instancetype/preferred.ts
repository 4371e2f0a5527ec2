import type { PreferenceSpec } from '#apis/instancetype/preference.ts'
import type { Disk } from '#apis/kubevirt/disk.ts'
import type { Features } from '#apis/kubevirt/hardware.ts'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'

type Domain = VmiSpec['domain']
type Devices = Domain['devices']
type Preferred = NonNullable<PreferenceSpec['devices']>

/** The spec with what a preference says where the spec itself says nothing. */
export function preferred(spec: VmiSpec, preference: PreferenceSpec): VmiSpec {
  const { preferredSubdomain, preferredTerminationGracePeriodSeconds, preferredArchitecture } = preference
  return filled(
    { ...spec, domain: domainOf(spec.domain, preference) },
    {
      subdomain: preferredSubdomain,
      terminationGracePeriodSeconds: preferredTerminationGracePeriodSeconds,
      architecture: preferredArchitecture,
    },
  )
}

function domainOf(domain: Domain, preference: PreferenceSpec): Domain {
  const { clock, cpu, features, machine } = preference
  const { preferredClockOffset, preferredTimer } = clock ?? {}
  const hasOffset = domain.clock?.utc !== undefined || domain.clock?.timezone !== undefined
  const type = domain.machine?.type || machine?.preferredMachineType
  const names = new Set(domain.cpu?.features?.map(({ name }) => name))
  const cpuFeatures = [
    ...(domain.cpu?.features ?? []),
    ...(cpu?.preferredCPUFeatures ?? []).filter(({ name }) => !names.has(name)),
  ]
  const bootloader = domain.firmware?.bootloader ?? bootloaderOf(preference)
  return {
    ...domain,
    ...(type && { machine: { ...domain.machine, type } }),
    ...(cpuFeatures.length && { cpu: { ...domain.cpu, features: cpuFeatures } }),
    ...(clock && {
      clock: {
        ...(hasOffset ? {} : preferredClockOffset),
        ...domain.clock,
        ...(preferredTimer && { timer: filled(domain.clock?.timer ?? {}, preferredTimer) }),
      },
    }),
    ...(features && { features: featuresOf(domain.features ?? {}, features) }),
    ...(bootloader && { firmware: { ...domain.firmware, bootloader } }),
    devices: devicesOf(domain.devices, preference.devices ?? {}),
  }
}

function featuresOf(features: Features, wanted: NonNullable<PreferenceSpec['features']>): Features {
  const { preferredHyperv } = wanted
  const hyperv = preferredHyperv && filled(features.hyperv ?? {}, preferredHyperv)
  return {
    ...filled(features, {
      acpi: wanted.preferredAcpi,
      apic: wanted.preferredApic,
      hypervPassthrough: wanted.preferredHypervPassthrough,
      kvm: wanted.preferredKvm,
      pvspinlock: wanted.preferredPvspinlock,
      smm: wanted.preferredSmm,
    }),
    ...(hyperv && { hyperv }),
  }
}

/** The firmware that is preferred; `preferredUseEfi` is the older way to say `preferredEfi`. */
function bootloaderOf({ firmware = {} }: PreferenceSpec): NonNullable<Domain['firmware']>['bootloader'] {
  const { preferredEfi, preferredUseEfi, preferredUseSecureBoot, preferredUseBios, preferredUseBiosSerial } = firmware
  if (preferredEfi) return { efi: preferredEfi }
  if (preferredUseEfi) return { efi: { secureBoot: preferredUseSecureBoot ?? false } }
  if (!preferredUseBios) return undefined
  return { bios: preferredUseBiosSerial === undefined ? {} : { useSerial: preferredUseBiosSerial } }
}

function devicesOf(devices: Devices, wanted: Preferred): Devices {
  const { disks, interfaces, inputs, video, sound } = devices
  const { preferredInterfaceModel: model, preferredInputBus: bus } = wanted
  const { preferredVideoType, preferredSoundModel } = wanted
  return {
    ...filled(devices, {
      autoattachGraphicsDevice: wanted.preferredAutoattachGraphicsDevice,
      autoattachInputDevice: wanted.preferredAutoattachInputDevice,
      autoattachMemBalloon: wanted.preferredAutoattachMemBalloon,
      autoattachSerialConsole: wanted.preferredAutoattachSerialConsole,
      blockMultiQueue: wanted.preferredBlockMultiQueue,
      disableHotplug: wanted.preferredDisableHotplug,
      networkInterfaceMultiqueue: wanted.preferredNetworkInterfaceMultiQueue,
      useVirtioTransitional: wanted.preferredUseVirtioTransitional,
      rng: wanted.preferredRng,
      tpm: wanted.preferredTPM,
    }),
    ...(disks && { disks: disks.map((one) => diskOf(one, wanted)) }),
    ...(interfaces && { interfaces: interfaces.map((one) => filled(one, { model })) }),
    ...(inputs && { inputs: inputs.map((one) => filled(one, { bus })) }),
    ...(preferredVideoType !== undefined && { video: filled(video ?? {}, { type: preferredVideoType }) }),
    ...(sound && { sound: filled(sound, { model: preferredSoundModel }) }),
  }
}

/** A disk that names no target is one like any other. */
function diskOf(one: Disk, wanted: Preferred): Disk {
  const { disk, cdrom, lun } = one
  const isDisk = !cdrom && !lun
  const target =
    isDisk && wanted.preferredDiskBus !== undefined ? filled(disk ?? {}, { bus: wanted.preferredDiskBus }) : disk
  const isVirtio = target?.bus === 'virtio'
  return {
    ...filled(one, {
      cache: isDisk ? wanted.preferredDiskCache : undefined,
      io: isDisk ? wanted.preferredDiskIO : undefined,
      blockSize: isDisk ? wanted.preferredDiskBlockSize : undefined,
      dedicatedIOThread: isVirtio ? wanted.preferredDiskDedicatedIoThread : undefined,
    }),
    ...(target && { disk: target }),
    ...(cdrom && { cdrom: filled(cdrom, { bus: wanted.preferredCdromBus }) }),
  }
}

/** An object with values for fields that it does not have; undefined ones are none. */
function filled<T extends object>(object: T, values: Readonly<{ [K in keyof T]?: T[K] | undefined }>): T {
  const missing = Object.entries(values).filter(
    ([field, value]) => value !== undefined && !Object.hasOwn(object, field),
  )
  return missing.length ? { ...object, ...Object.fromEntries(missing) } : object
}
