import { type InstancetypeSpec, VirtualMachineClusterInstancetype } from '#apis/instancetype/instancetype.ts'
import { type PreferenceSpec, VirtualMachineClusterPreference } from '#apis/instancetype/preference.ts'
import { apiVersionOf } from '#apis/meta/object.ts'

/** Size of an instance type: its name, CPUs, and memory in MiB. */
type Size = readonly [name: string, cpus: number, mebibytes: number]

const Gi = 1024

/** Four GiB for each CPU, and fewer below. */
const general: readonly Size[] = [
  ['nano', 1, 512],
  ['micro', 1, Gi],
  ['small', 1, 2 * Gi],
  ['medium', 1, 4 * Gi],
  ['2xmedium', 2, 4 * Gi],
  ['large', 2, 8 * Gi],
  ['xlarge', 4, 16 * Gi],
  ['2xlarge', 8, 32 * Gi],
  ['4xlarge', 16, 64 * Gi],
  ['8xlarge', 32, 128 * Gi],
]

/** Two GiB for each CPU. */
const computing: readonly Size[] = [
  ['medium', 1, 2 * Gi],
  ['large', 2, 4 * Gi],
  ['xlarge', 4, 8 * Gi],
  ['2xlarge', 8, 16 * Gi],
  ['4xlarge', 16, 32 * Gi],
  ['8xlarge', 32, 64 * Gi],
]

/** The instance types of every installation: the common ones of KubeVirt's clusters. */
export const builtInInstancetypes: readonly VirtualMachineClusterInstancetype[] = [
  ...series('u1', 'general.purpose', general, (size) => size),
  ...series('o1', 'overcommitted', general, ({ cpu, memory }) => ({
    cpu,
    memory: { ...memory, overcommitPercent: 50 },
  })),
  ...series('cx1', 'compute.exclusive', computing, ({ cpu, memory }) => ({
    cpu: { ...cpu, dedicatedCPUPlacement: true, isolateEmulatorThread: true, numa: { guestMappingPassthrough: {} } },
    memory: { ...memory, hugepages: { pageSize: '2Mi' } },
    ioThreadsPolicy: 'auto',
  })),
]

function series(
  prefix: string,
  name: string,
  sizes: readonly Size[],
  specOf: (size: Pick<InstancetypeSpec, 'cpu' | 'memory'>) => InstancetypeSpec,
): VirtualMachineClusterInstancetype[] {
  return sizes.map(([size, cpus, mebibytes]) => {
    const memory = mebibytes % Gi ? `${mebibytes}Mi` : `${mebibytes / Gi}Gi`
    const about = (field: string) => `instancetype.kubevirt.io/${field}`
    return {
      apiVersion: apiVersionOf(VirtualMachineClusterInstancetype),
      kind: VirtualMachineClusterInstancetype.kind,
      metadata: {
        name: `${prefix}.${size}`,
        labels: { [about('class')]: name, [about('cpu')]: String(cpus), [about('memory')]: memory },
      },
      spec: specOf({ cpu: { guest: cpus }, memory: { guest: memory } }),
    }
  })
}

const linux: PreferenceSpec = {
  devices: { preferredDiskBus: 'virtio', preferredInterfaceModel: 'virtio', preferredRng: {} },
}
const efi: PreferenceSpec = {
  ...linux,
  features: { preferredSmm: {} },
  firmware: { preferredEfi: { secureBoot: true } },
}

const windows: PreferenceSpec = {
  clock: {
    preferredClockOffset: { utc: {} },
    preferredTimer: {
      hpet: { present: false },
      hyperv: {},
      pit: { tickPolicy: 'delay' },
      rtc: { tickPolicy: 'catchup' },
    },
  },
  devices: {
    preferredAutoattachInputDevice: true,
    preferredCdromBus: 'sata',
    preferredDiskBus: 'sata',
    preferredInputBus: 'usb',
    preferredInterfaceModel: 'e1000e',
  },
  features: {
    preferredAcpi: {},
    preferredApic: {},
    preferredHyperv: {
      ...{ frequencies: {}, ipi: {}, reenlightenment: {}, relaxed: {}, reset: {}, runtime: {}, synic: {}, vapic: {} },
      ...{ spinlocks: { spinlocks: 8191 }, synictimer: { direct: {} }, tlbflush: {}, vpindex: {} },
    },
  },
}
const windows11: PreferenceSpec = {
  ...windows,
  devices: { ...windows.devices, preferredTPM: {} },
  features: { ...windows.features, preferredSmm: {} },
  firmware: { preferredEfi: { secureBoot: true } },
}
const paravirtual = { preferredDiskBus: 'virtio', preferredInterfaceModel: 'virtio' }

/** A preference with the least CPUs and memory that its system runs with. */
function requiring(guest: number, memory: string, spec: PreferenceSpec): PreferenceSpec {
  return { ...spec, requirements: { cpu: { guest }, memory: { guest: memory } } }
}

const preferences: Readonly<Record<string, PreferenceSpec>> = {
  alpine: requiring(1, '512Mi', linux),
  'centos.stream9': requiring(1, '1536Mi', linux),
  'centos.stream10': requiring(1, '1536Mi', linux),
  cirros: requiring(1, '256Mi', linux),
  debian: requiring(1, '1Gi', linux),
  fedora: requiring(1, '1Gi', linux),
  linux,
  'linux.efi': efi,
  'opensuse.leap': requiring(1, '1Gi', linux),
  'opensuse.tumbleweed': requiring(1, '1Gi', linux),
  'rhel.8': requiring(1, '1536Mi', linux),
  'rhel.9': requiring(1, '1536Mi', linux),
  'rhel.10': requiring(1, '1536Mi', linux),
  ubuntu: requiring(1, '1Gi', linux),
  'windows.10': requiring(1, '2Gi', windows),
  'windows.10.virtio': requiring(1, '2Gi', { ...windows, devices: { ...windows.devices, ...paravirtual } }),
  'windows.11': requiring(2, '4Gi', windows11),
  'windows.11.virtio': requiring(2, '4Gi', { ...windows11, devices: { ...windows11.devices, ...paravirtual } }),
  'windows.2k19': requiring(1, '2Gi', windows),
  'windows.2k22': requiring(1, '2Gi', windows),
  'windows.2k22.virtio': requiring(1, '2Gi', { ...windows, devices: { ...windows.devices, ...paravirtual } }),
  'windows.2k25': requiring(1, '2Gi', windows11),
}

/** The preferences of every installation. Those of Linux leave the firmware at BIOS: UEFI is not on every node. */
export const builtInPreferences: readonly VirtualMachineClusterPreference[] = Object.entries(preferences).map(
  ([name, spec]) => ({
    apiVersion: apiVersionOf(VirtualMachineClusterPreference),
    kind: VirtualMachineClusterPreference.kind,
    metadata: { name },
    spec,
  }),
)
