import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { type Agent, startAgent } from '#agent/agent.ts'
import type { RunningGuest } from '#agent/context.ts'
import type { NodeFacts } from '#agent/heartbeat.ts'
import { NetworkAttachmentDefinition } from '#apis/net/attachment.ts'
import { explain } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { version } from '#base/version.ts'
import type { ImageStock, ImageThresholds } from '#core/disk/image-stock.ts'
import type { Volumes } from '#core/disk/ports.ts'
import type { TakeUpload } from '#core/disk/upload.ts'
import type { VirtualFunction } from '#core/pci/functions.ts'
import type { DiskImages, GuestStreams, Host, Images, Prober, TrafficCounters } from '#core/ports.ts'
import { Cni } from '#drivers/cni/cni.ts'
import { DiskMaker } from '#drivers/disk/maker.ts'
import { HostVolumes } from '#drivers/disk/volumes.ts'
import { HostBridges } from '#drivers/host/bridges.ts'
import { CapabilityCache } from '#drivers/host/capabilities.ts'
import { type Accelerator, type AcceleratorChoice, chosenAccelerator, probeAccelerator } from '#drivers/host/kvm.ts'
import { libvirtVersion, nodeAddresses, nodeArchitecture, nodeInfo } from '#drivers/host/node-info.ts'
import { listFunctions } from '#drivers/host/pci/functions.ts'
import { type PodNetwork, podsIn } from '#drivers/host/pod-network.ts'
import { hostProber } from '#drivers/host/prober.ts'
import { SandboxNetwork } from '#drivers/host/sandbox-network.ts'
import { HostSandboxes } from '#drivers/host/sandboxes.ts'
import { ImageFolder } from '#drivers/image/folder.ts'
import type { DiskImageStore } from '#drivers/image/store/disk-image-store.ts'
import { HostImageStock } from '#drivers/image/store/image-stock.ts'
import { qemuProgram } from '#drivers/libvirt/domain-xml.ts'
import { SpareShells } from '#drivers/process/spare-shells.ts'
import { SimImageStock } from '#drivers/sim/image-stock.ts'
import { simImages } from '#drivers/sim/images.ts'
import { SimSandboxes, simProber } from '#drivers/sim/sandboxes.ts'
import { SimVolumes } from '#drivers/sim/volumes.ts'
import { hostStreams } from '#drivers/stream/guest-streams.ts'
import type { Client } from '#machinery/client/client.ts'
import { makeInformer } from '#machinery/client/informer.ts'
import type { GuestTraffic, Metrics } from '#server/metrics.ts'
import type { DataDir } from './data-dir.ts'
import { diskImagesOf } from './disk-images.ts'
import type { DownloadOptions } from './image-options.ts'

/** Time a guest's hypervisor may take to return its counters, milliseconds. */
const scrapeMs = 2000

/** Where CNI plugins are, and the timeout of each, milliseconds. */
export type CniLimits = Readonly<{ pluginDirs: readonly string[]; timeoutMs: number }>

type HostOptions = Readonly<{
  client: Client
  dir: DataDir
  nodeName: string
  cluster: string
  cni: CniLimits
  podNetwork: PodNetwork
  hostDiskFolders: readonly string[]
  accelerator: AcceleratorChoice
  downloads: DownloadOptions
  imageThresholds: ImageThresholds
  simulate: boolean
  /** Most pods of this node; by default the number of addresses. */
  maxPods?: number
  metrics: Metrics
  log: Log
  signal: AbortSignal
}>

/** Starts the agent over this host, or over a simulated one. */
export async function startHost(options: HostOptions): Promise<{
  streams: GuestStreams
  upload: TakeUpload
  traffic: TrafficCounters
  stop(): Promise<void>
}> {
  const { client, nodeName, log, signal } = options
  const drivers = options.simulate ? simulated() : await realHost(options)
  const { subnet } = options.podNetwork
  const limits = { pods: Math.min(options.maxPods ?? Number.POSITIVE_INFINITY, podsIn(subnet)), memory: totalmem() }
  const agent = await startAgent({
    client,
    node: await nodeFacts(options, options.simulate ? noLimit : limits),
    cluster: options.cluster,
    ...drivers,
    imageThresholds: options.imageThresholds,
    onApplied: (seconds) => options.metrics.applied(seconds),
    log,
    signal,
  })
  options.metrics.followSandboxes(nodeName, () => agent.left())
  options.metrics.followTraffic(() => trafficOf(agent, nodeName, log))
  return {
    streams: drivers.streams,
    upload: agent.upload,
    traffic: agent.traffic,
    stop: async () => {
      await agent.stop()
      drivers.close()
    },
  }
}

/** The traffic of all guests; a guest that does not answer is left out. */
async function trafficOf(agent: Agent, node: string, log: Log): Promise<GuestTraffic[]> {
  const one = async ({ namespace, name, hypervisor }: RunningGuest) => {
    try {
      return [{ node, namespace, name, nics: await hypervisor.cards.traffic(AbortSignal.timeout(scrapeMs)) }]
    } catch (error) {
      log.warn({ guest: `${namespace}/${name}`, cause: explain(error) }, 'Cannot read the counters of a guest')
      return []
    }
  }
  return (await Promise.all(agent.running().map(one))).flat()
}

type Drivers = Readonly<{
  host: Host
  streams: GuestStreams
  images: Images
  diskImages: DiskImages
  imageStock: ImageStock
  volumes: Volumes
  functions?: () => readonly VirtualFunction[]
  takenFunctions?: () => Promise<ReadonlyMap<string, string>>
  prober: Prober
  onImage: (listener: () => void) => void
  close(): void
}>

function simulated(): Drivers {
  const { host, streams } = new SimSandboxes()
  return {
    host,
    streams,
    images: { has: async () => true },
    diskImages: simImages,
    imageStock: new SimImageStock(),
    volumes: new SimVolumes(),
    prober: simProber,
    onImage: () => undefined,
    close: () => undefined,
  }
}

async function realHost({ dir, ...options }: HostOptions): Promise<Drivers> {
  const accelerator = await chosenAccelerator(options.accelerator)
  const { client, cni, podNetwork, hostDiskFolders, downloads, log, signal } = options
  const networks = makeInformer(client, NetworkAttachmentDefinition, {}, { log, signal })
  const images = new ImageFolder(dir.images)
  const isUnused = (network: string) => {
    const [namespace = '', name = ''] = network.split('/')
    return networks.get({ namespace, name }) === undefined
  }
  await networks.synced
  const diskImages = await diskImagesOf(dir, downloads)
  await diskImages.sweep()
  const { sandboxes, network, shells } = hostSandboxes(dir, {
    ...{ log, cni, podNetwork, isUnused, letGoMs, hostDiskFolders, diskImages },
    ...(accelerator && { accelerator }),
  })
  networks.onChange((now) => {
    if (!now)
      network
        .sweep(signal)
        .catch((error: unknown) => log.warn({ cause: explain(error) }, 'Cannot remove unused bridges'))
  })
  return {
    host: sandboxes.host,
    streams: hostStreams({ pods: dir.pods, stateOf: (uid) => sandboxes.stateOf(uid), log }),
    images,
    diskImages,
    imageStock: new HostImageStock(dir.images),
    functions: listFunctions,
    takenFunctions: () => sandboxes.takenDevices(),
    volumes: new HostVolumes(dir.volumes, diskImages),
    prober: hostProber,
    onImage: (listener) => {
      images
        .onChange(listener, signal)
        .catch((error: unknown) => log.warn({ cause: explain(error) }, 'Cannot watch images'))
    },
    close: () => {
      sandboxes.close()
      shells.close()
    },
  }
}

/** How long a CNI plugin's DEL is retried before it is abandoned, milliseconds. */
const letGoMs = 30_000

/** Shells that wait to become what a guest waits for: a plug needs a CNI plugin and a process for its links and rules. */
const spareShells = 2

/** The sandboxes of a data directory, for the agent and for `patchbay down`, which tries every DEL once. */
export function hostSandboxes(
  dir: DataDir,
  options: Readonly<{
    log: Log
    cni?: CniLimits
    podNetwork: PodNetwork
    diskImages: DiskImageStore
    /** Folders of the host whose files guests may have as disks; none unless given. */
    hostDiskFolders?: readonly string[]
    isUnused: (network: string) => boolean
    letGoMs: number
    /** What guests run with, unless it is to be probed. */
    accelerator?: Accelerator
  }>,
) {
  const { log, podNetwork, isUnused, letGoMs, diskImages, hostDiskFolders = [], accelerator } = options
  const images = new ImageFolder(dir.images)
  const bridges = new HostBridges(dir.host, log)
  const shells = new SpareShells(spareShells)
  const cni = new Cni({
    cacheDir: join(dir.root, 'cni'),
    ipamDir: dir.ipam,
    ...options.cni,
    spawn: shells.spawn,
  })
  const network = new SandboxNetwork({
    cni,
    bridges,
    podNetwork,
    isUnused,
    letGoMs,
    spawn: shells.spawn,
    log,
  })
  let verdict = accelerator && Promise.resolve(accelerator)
  const sandboxes = new HostSandboxes({
    pods: dir.pods,
    network,
    capabilities: new CapabilityCache(join(dir.cache, 'capabilities')),
    accelerator: () => {
      verdict ??= probeAccelerator(qemuProgram, join(dir.cache, 'accelerator.json'), log)
      return verdict
    },
    provideImage: (sandbox, image) => images.provide(sandbox, image),
    disks: new DiskMaker({
      volumes: dir.volumes,
      hostFolders: hostDiskFolders,
      provideImage: (sandbox, digest) => diskImages.provide(sandbox, digest),
    }),
    log,
  })
  return { sandboxes, network, bridges, shells }
}

/** What simulated guests have: they need little of it. */
const noLimit = { pods: 1_000_000, memory: 2 ** 50 }

/** Memory reserved for the host and Patchbay, bytes: an absolute minimum, and a part of all memory. */
const reservedBytes = 256 * 2 ** 20
const reservedPart = 0.05

async function nodeFacts(
  { nodeName: name, simulate, podNetwork }: HostOptions,
  { pods, memory }: typeof noLimit,
): Promise<NodeFacts> {
  const amounts = (bytes: number) => ({
    cpu: String(cpus().length),
    memory: `${Math.floor(bytes / 1024)}Ki`,
    pods: String(pods),
  })
  return {
    name,
    labels: {
      'kubernetes.io/hostname': name,
      'kubernetes.io/os': 'linux',
      'kubernetes.io/arch': nodeArchitecture(),
      'kubevirt.io/schedulable': 'true',
    },
    info: await nodeInfo(`patchbay-${version}`, simulate ? 'simulated://' : await libvirtVersion()),
    addresses: nodeAddresses(name, new Set([podNetwork.bridge])),
    capacity: amounts(memory),
    allocatable: amounts(memory - Math.max(reservedBytes, memory * reservedPart)),
  }
}
