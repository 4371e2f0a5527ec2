import type { InstancetypeSpec } from '#apis/instancetype/instancetype.ts'
import type { PreferenceSpec } from '#apis/instancetype/preference.ts'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'

type Cpu = NonNullable<VmiSpec['domain']['cpu']>
type Topology = Readonly<{ sockets: number; cores: number; threads: number }>

/** Ratio of cores to sockets where CPUs are spread and the preference has none (KubeVirt). */
const defaultRatio = 2

/** The fields of a template that an instance type decides, and the template has too: paths below the spec (KubeVirt). */
export function conflictsWith({ domain, ...spec }: VmiSpec, type: InstancetypeSpec): string[] {
  const { cpu = {}, resources = {} } = domain
  const cpuFields = ['sockets', 'cores', 'threads', 'dedicatedCpuPlacement', 'numa', 'realtime'] as const
  const given: readonly (readonly [path: string, isThere: boolean])[] = [
    ...cpuFields.map((field) => [`domain.cpu.${field}`, cpu[field] !== undefined] as const),
    ['domain.cpu.model', cpu.model !== undefined && type.cpu.model !== undefined],
    ['domain.memory', domain.memory !== undefined],
    ...(['requests', 'limits'] as const).flatMap((what) =>
      (['cpu', 'memory'] as const).map(
        (name) => [`domain.resources.${what}.${name}`, resources[what]?.[name] !== undefined] as const,
      ),
    ),
    ['domain.ioThreadsPolicy', domain.ioThreadsPolicy !== undefined && type.ioThreadsPolicy !== undefined],
    ['domain.launchSecurity', domain.launchSecurity !== undefined && type.launchSecurity !== undefined],
    ['nodeSelector', Object.keys(type.nodeSelector ?? {}).some((key) => spec.nodeSelector?.[key] !== undefined)],
    ['schedulerName', spec.schedulerName !== undefined && type.schedulerName !== undefined],
  ]
  return given.filter(([, isThere]) => isThere).map(([path]) => path)
}

/** The spec with what an instance type decides; the preference says how its CPUs become a topology. */
export function sized(spec: VmiSpec, type: InstancetypeSpec, preference: PreferenceSpec | undefined): VmiSpec {
  const { gpus = [], hostDevices = [], ioThreadsPolicy, ioThreads, launchSecurity, nodeSelector, schedulerName } = type
  const { devices } = spec.domain
  return {
    ...spec,
    ...(nodeSelector && { nodeSelector: { ...spec.nodeSelector, ...nodeSelector } }),
    ...(schedulerName !== undefined && { schedulerName }),
    domain: {
      ...spec.domain,
      cpu: { ...spec.domain.cpu, ...cpuOf(type, preference) },
      memory: memoryOf(type),
      ...(ioThreadsPolicy !== undefined && { ioThreadsPolicy }),
      ...(ioThreads && { ioThreads }),
      ...(launchSecurity && { launchSecurity }),
      devices: {
        ...devices,
        ...(gpus.length && { gpus: [...(devices.gpus ?? []), ...gpus] }),
        ...(hostDevices.length && { hostDevices: [...(devices.hostDevices ?? []), ...hostDevices] }),
      },
    },
  }
}

function cpuOf({ cpu }: InstancetypeSpec, preference: PreferenceSpec | undefined): Cpu {
  const { guest, dedicatedCPUPlacement, ...rest } = cpu
  return {
    ...rest,
    ...topologyOf(guest, preference),
    ...(dedicatedCPUPlacement !== undefined && { dedicatedCpuPlacement: dedicatedCPUPlacement }),
  }
}

function memoryOf({ memory }: InstancetypeSpec): NonNullable<VmiSpec['domain']['memory']> {
  const { overcommitPercent: _, ...rest } = memory
  return rest
}

/** The topology of so many CPUs: all sockets, unless the preference wants cores, threads, or some of each. */
export function topologyOf(cpus: number, preference: PreferenceSpec | undefined): Topology {
  const word = preference?.cpu?.preferredCPUTopology?.replace(/^prefer/, '').toLowerCase() ?? 'sockets'
  if (word === 'cores') return { sockets: 1, cores: cpus, threads: 1 }
  if (word === 'threads') return { sockets: 1, cores: 1, threads: cpus }
  return word === 'spread' ? spread(cpus, preference) : { sockets: cpus, cores: 1, threads: 1 }
}

/** What cannot be divided becomes sockets. */
function spread(cpus: number, preference: PreferenceSpec | undefined): Topology {
  const { across = 'SocketsCores', ratio } = preference?.cpu?.spreadOptions ?? {}
  const threads = across === 'SocketsCores' ? 1 : defaultRatio
  const cores =
    across === 'CoresThreads' ? cpus / threads : (ratio ?? preference?.preferSpreadSocketToCoreRatio ?? defaultRatio)
  const sockets = cpus / (cores * threads)
  return [sockets, cores].every(Number.isInteger)
    ? { sockets, cores, threads }
    : { sockets: cpus, cores: 1, threads: 1 }
}
