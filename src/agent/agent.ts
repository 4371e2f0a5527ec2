import type { Pod } from '#apis/core/pod.ts'
import { explain, Fault } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { agentComponent } from '#core/access/node.ts'
import { type ImageStock, type ImageThresholds, nodeImages, usualThresholds } from '#core/disk/image-stock.ts'
import type { Volumes } from '#core/disk/ports.ts'
import type { TakeUpload } from '#core/disk/upload.ts'
import { attachmentMode } from '#core/migration/required.ts'
import type { VirtualFunction } from '#core/pci/functions.ts'
import type { DiskImages, Host, Images, Prober, TrafficCounters } from '#core/ports.ts'
import type { FindNads } from '#core/sandbox/plan.ts'
import type { Client } from '#machinery/client/client.ts'
import { onAnyChange } from '#machinery/client/informer.ts'
import { makeRecorder, type Recorder } from '#machinery/client/recorder.ts'
import { runController } from '#machinery/loop/reconcile.ts'
import { startResync } from '#machinery/loop/resync.ts'
import {
  type Caches,
  instanceOf,
  nadsIn,
  openCaches,
  podAt,
  podKey,
  podsBeside,
  podsOf,
  usersOfClaimIn,
} from './caches.ts'
import { startClaimWork } from './claims.ts'
import type { AgentContext, RunningGuest } from './context.ts'
import { FunctionPools } from './function-pools.ts'
import { GuestAgentPoller } from './guest-agent-poller.ts'
import { GuestCredentials } from './guest-credentials.ts'
import { type LeaseTimes, type NodeFacts, startHeartbeat, usualLeaseTimes } from './heartbeat.ts'
import { startImageGarbage, usualImageGarbageMs } from './image-garbage.ts'
import { ImagePulls } from './image-pulls.ts'
import { Memories } from './memory.ts'
import { MigrationJobs } from './migration-jobs.ts'
import { startOrphans } from './orphans.ts'
import { instancePass } from './pass.ts'
import { Probes, unhealthy } from './probes.ts'
import { contentOf } from './volumes.ts'

export type AgentOptions = Readonly<{
  client: Client
  node: NodeFacts
  /** The cluster that the node belongs to: UID of the namespace kube-system. */
  cluster: string
  host: Host
  images: Images
  diskImages: DiskImages
  imageStock: ImageStock
  /** When images that nothing uses are removed, and how often that is looked at; by default kubelet's. */
  imageThresholds?: ImageThresholds
  imageGarbageMs?: number
  volumes: Volumes
  /** Lists the virtual functions of this host; none unless given. */
  functions?: () => readonly VirtualFunction[]
  /** The resources that virtual functions of guests were taken for, by PCI address; none unless given. */
  takenFunctions?: () => Promise<ReadonlyMap<string, string>>
  prober: Prober
  /** Registers a callback for images that may have been added. */
  onImage: (listener: () => void) => void
  /** Called with the time a hypervisor took to change links, seconds. */
  onApplied?: (seconds: number) => void
  /** Times of the node's Lease, and the interval of the resync; milliseconds. */
  leaseTimes?: LeaseTimes
  resyncMs?: number
  log: Log
  signal: AbortSignal
}>

/** A running agent. */
export type Agent = Readonly<{
  running(): readonly RunningGuest[]
  /** Number of sandboxes without a pod that are kept. */
  left(): number
  /** Takes the disk of a claim of this node from a client. */
  upload: TakeUpload
  /** The counters of the guests of this node; they are read when they are asked for. */
  traffic: TrafficCounters
  stop(): Promise<void>
}>

/** Interval of the resync of all sandboxes, milliseconds. */
const usualResyncMs = 30_000

/**
 * Runs the node agent: registers the node, then makes every sandbox of this host what the API declares. Resolves when all caches
 * are synced and the first passes are queued.
 */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const { client, node, cluster, host, signal, resyncMs: everyMs = usualResyncMs } = options
  const log = options.log.child({ component: 'agent', node: node.name })
  const { imageStock, leaseTimes: times = usualLeaseTimes } = options
  const recorder = makeRecorder(client, { component: agentComponent, host: node.name }, log)
  const { functions = () => [], takenFunctions: taken = async () => new Map() } = options
  const pools = new FunctionPools({ client, nodeName: node.name, functions, taken, recorder, log })
  const observe = async () => ({ images: await imagesIn(imageStock, log), ...(await pools.amounts()) })
  const heartbeat = await startHeartbeat({ client, node, observe, times, log, signal })
  const caches = openCaches(client, node.name, { log, signal })
  const enqueue = (pod: Pod) => controller.enqueue(podKey(pod))
  const nads = nadsIn(caches, (resource) => pools.poolOf(resource))
  const context = contextOf({ ...options, log }, caches, nads, recorder, enqueue)
  const controller = runController({
    name: 'agent',
    workers: 8,
    log,
    signal,
    reconcile: async (key, passSignal) => {
      const pod = podAt(caches, key)
      return pod && instancePass(context, pod, instanceOf(caches, pod), passSignal)
    },
  })
  const { pods } = caches
  await Promise.all([pods, caches.vmis, caches.nads, caches.kubevirts].map((one) => one.synced))
  enqueueOnChanges(options, caches, context, enqueue)
  startResync({ list: () => pods.list(), enqueue, everyMs, signal })
  const claims = startClaimWork({
    ...{ client, nodeName: node.name, volumes: options.volumes, recorder, log, signal },
    onDisk: () => {
      for (const pod of pods.list()) enqueue(pod)
    },
  })
  await claims.synced
  const self = { node: node.name, cluster }
  const orphans = startOrphans({ client, sandboxes: host.lifecycle, self, pods, recorder, log, everyMs, signal })
  const garbage = startImageGarbage({
    ...{ nodeName: node.name, stock: imageStock, diskImages: options.diskImages, recorder, log, signal },
    thresholds: options.imageThresholds ?? usualThresholds,
    everyMs: options.imageGarbageMs ?? usualImageGarbageMs,
    instances: () => caches.vmis.list(),
    pulled: () => context.pulls.digests(),
  })
  return {
    running: () => [...context.running.values()],
    left: orphans.left,
    upload: claims.upload,
    traffic: trafficOf(host),
    stop: async () => {
      await Promise.all([controller.stop(), claims.stop(), orphans.stop(), garbage.stop(), heartbeat.stop()])
    },
  }
}

/** The images of this node as its status has them; undefined when they cannot be listed. */
async function imagesIn(stock: ImageStock, log: Log): Promise<ReturnType<typeof nodeImages> | undefined> {
  try {
    return nodeImages(await stock.list())
  } catch (error) {
    log.warn({ cause: explain(error) }, 'Cannot list the images of the node')
    return undefined
  }
}

/** What all passes share. Polls and probes of guests enqueue the pods of guests whose results change. */
function contextOf(
  {
    client,
    node,
    cluster,
    host,
    images,
    diskImages,
    volumes,
    prober,
    onApplied = () => undefined,
    log,
    signal,
  }: AgentOptions,
  caches: Caches,
  nads: FindNads,
  recorder: Recorder,
  enqueue: (pod: Pod) => void,
): AgentContext {
  const enqueueUid = (uid: string) => {
    for (const pod of podsBeside(caches, uid)) enqueue(pod)
  }
  const agentOf = (uid: string) => host.lifecycle.hypervisorOf(uid)?.guestAgent
  const onHealth = (uid: string, probe: 'readiness' | 'liveness') => {
    const [pod] = caches.pods.indexed('byUid', uid)
    const vmi = pod && instanceOf(caches, pod)
    const problem = unhealthy(probes.health(uid), probe)
    if (vmi && problem !== undefined) recorder(vmi, 'Warning', 'Unhealthy', problem)
    enqueueUid(uid)
  }
  const probes = new Probes(prober, onHealth, signal)
  return {
    ...{ client, host, images, diskImages, volumes, probes, recorder, log, signal, cluster, onApplied },
    pulls: new ImagePulls(),
    credentials: new GuestCredentials({
      accountsOf: agentOf,
      readSecret: (namespace, name) => contentOf({ client }, namespace, { kind: 'Secret', name, isOptional: false }),
      onNews: enqueueUid,
      signal,
    }),
    guests: new GuestAgentPoller(agentOf, enqueueUid, signal),
    memories: new Memories(),
    migrationJobs: new MigrationJobs(),
    running: new Map(),
    nodeName: node.name,
    nads,
    podOf: (namespace, name) => caches.pods.get({ namespace, name }),
    usersOfClaim: usersOfClaimIn(caches),
    again: enqueue,
    attachmentMode: () => attachmentMode(caches.kubevirts.list()[0]),
  }
}

/** Enqueues pods when anything changes that their passes depend on, and all of them now. */
function enqueueOnChanges(
  { host, onImage }: AgentOptions,
  caches: Caches,
  { guests }: AgentContext,
  enqueue: (pod: Pod) => void,
): void {
  const { pods, vmis, nads, kubevirts } = caches
  const enqueueThese = (these: readonly Pod[]) => {
    for (const pod of these) enqueue(pod)
  }
  pods.onChange((now) => now && enqueue(now))
  onAnyChange(vmis, (vmi) => enqueueThese(podsOf(caches, vmi)))
  // Any pod may be waiting for a network or an image.
  const enqueueAll = () => enqueueThese(pods.list())
  nads.onChange(enqueueAll)
  kubevirts.onChange(enqueueAll)
  onImage(enqueueAll)
  host.lifecycle.onChange((uid, isNetwork) => {
    if (isNetwork) guests.askAgain(uid)
    else enqueueThese(podsBeside(caches, uid))
  })
  enqueueAll()
}

function trafficOf({ lifecycle }: Host): TrafficCounters {
  return {
    ofGuest: async (uid, signal) => {
      const hypervisor = lifecycle.hypervisorOf(uid)
      if (!hypervisor) throw new Fault('Unavailable', 'The hypervisor of the guest is not connected')
      return hypervisor.cards.traffic(signal)
    },
  }
}
