import { Pod } from '#apis/core/pod.ts'
import { KubeVirt } from '#apis/kubevirt/kubevirt.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { NetworkAttachmentDefinition } from '#apis/net/attachment.ts'
import type { Log } from '#base/log.ts'
import { agentComponent, nodeNameLabel } from '#core/access/node.ts'
import { attachmentMode } from '#core/migration/required.ts'
import type { Host, Images, Prober } from '#core/ports.ts'
import type { Client } from '#machinery/client/client.ts'
import { makeInformer } from '#machinery/client/informer.ts'
import { makeRecorder } from '#machinery/client/recorder.ts'
import { runController } from '#machinery/loop/reconcile.ts'
import { startResync } from '#machinery/loop/resync.ts'
import type { AgentContext, RunningGuest } from './context.ts'
import { GuestAgentPoller } from './guest-agent-poller.ts'
import { type LeaseTimes, type NodeFacts, startHeartbeat, usualLeaseTimes } from './heartbeat.ts'
import { Memories } from './memory.ts'
import { MigrationJobs } from './migration-jobs.ts'
import { startOrphans } from './orphans.ts'
import { instancePass } from './pass.ts'
import { Probes } from './probes.ts'

export type AgentOptions = Readonly<{
  client: Client
  node: NodeFacts
  /** The cluster that the node belongs to: UID of the namespace kube-system. */
  cluster: string
  host: Host
  images: Images
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
  stop(): Promise<void>
}>

/** Interval of the resync of all sandboxes, milliseconds. */
const usualResyncMs = 30_000

/**
 * Runs the node agent: registers the node, then makes every sandbox of this host what the API declares. Resolves when all caches
 * are synced and the first passes are queued.
 */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const { client, node, host, images, signal, resyncMs: everyMs = usualResyncMs } = options
  const log = options.log.child({ component: 'agent', node: node.name })
  const heartbeat = await startHeartbeat({ client, node, times: options.leaseTimes ?? usualLeaseTimes, log, signal })
  const pods = makeInformer(
    client,
    Pod,
    { fieldSelector: `spec.nodeName=${node.name}` },
    { log, signal, indexes: { byUid: (pod) => [pod.metadata.uid ?? ''], byVmi: vmiKeys } },
  )
  const vmis = makeInformer(
    client,
    VirtualMachineInstance,
    { labelSelector: `${nodeNameLabel}=${node.name}` },
    { log, signal },
  )
  const nads = makeInformer(client, NetworkAttachmentDefinition, {}, { log, signal })
  const kubevirts = makeInformer(client, KubeVirt, {}, { log, signal })
  const nadOf = (network: string) => {
    const [namespace = '', name = ''] = network.split('/')
    return nads.get({ namespace, name })
  }
  const guests = new GuestAgentPoller((uid) => host.lifecycle.hypervisorOf(uid)?.guestAgent, enqueueUid, signal)
  const recorder = makeRecorder(client, { component: agentComponent, host: node.name }, log)
  const running = new Map<string, RunningGuest>()
  const probes = new Probes(options.prober, onHealth, signal)
  const context: AgentContext = {
    client,
    host,
    images,
    guests,
    memories: new Memories(),
    migrationJobs: new MigrationJobs(),
    probes,
    onApplied: options.onApplied ?? (() => undefined),
    running,
    recorder,
    log,
    nodeName: node.name,
    cluster: options.cluster,
    nads: {
      configOf: (network) => nadOf(network)?.spec?.config,
      annotationsOf: (network) => nadOf(network)?.metadata.annotations,
    },
    podOf: (namespace, name) => pods.get({ namespace, name }),
    again: (pod) => enqueue(pod),
    attachmentMode: () => attachmentMode(kubevirts.list()[0]),
  }
  const controller = runController({
    name: 'agent',
    workers: 8,
    log,
    signal,
    reconcile: async (key, passSignal) => {
      const [namespace = '', name = ''] = key.split('/')
      const pod = pods.get({ namespace, name })
      if (!pod) return undefined
      return instancePass(context, pod, vmis.get({ namespace, name: instanceNameOf(pod) }), passSignal)
    },
  })
  const enqueue = (pod: Pod) => controller.enqueue(`${pod.metadata.namespace}/${pod.metadata.name}`)
  /** Enqueues all pods of the same instance: during a migration one pod's agent waits for the other pod. */
  function enqueueUid(uid: string): void {
    for (const pod of pods.indexed('byUid', uid))
      for (const one of pods.indexed('byVmi', vmiKeys(pod)[0]!)) enqueue(one)
  }
  function onHealth(uid: string, probe: 'readiness' | 'liveness'): void {
    const { readiness, failed } = probes.health(uid)
    const [pod] = pods.indexed('byUid', uid)
    const vmi = pod && vmis.get({ namespace: pod.metadata.namespace ?? '', name: instanceNameOf(pod) })
    if (vmi && probe === 'readiness' && readiness && !readiness.isWell)
      recorder(vmi, 'Warning', 'Unhealthy', `Readiness probe failed: ${readiness.message}`)
    if (vmi && probe === 'liveness' && failed)
      recorder(vmi, 'Warning', 'Unhealthy', `Liveness probe failed: ${failed.message}; the guest is ended`)
    enqueueUid(uid)
  }
  await Promise.all([pods, vmis, nads, kubevirts].map((one) => one.synced))
  pods.onChange((now) => now && enqueue(now))
  vmis.onChange((now, before) => {
    const vmi = (now ?? before)!
    for (const pod of pods.indexed('byVmi', `${vmi.metadata.namespace}/${vmi.metadata.name}`)) enqueue(pod)
  })
  // Any pod may be waiting for a network or an image.
  const waiting = () => {
    for (const pod of pods.list()) enqueue(pod)
  }
  nads.onChange(waiting)
  kubevirts.onChange(waiting)
  options.onImage(waiting)
  host.lifecycle.onChange((uid, isNetwork) => {
    if (isNetwork) guests.askAgain(uid)
    else enqueueUid(uid)
  })
  waiting()
  startResync({ list: () => pods.list(), enqueue, everyMs, signal })
  const self = { node: node.name, cluster: options.cluster }
  const orphans = startOrphans({ client, sandboxes: host.lifecycle, self, pods, recorder, log, everyMs, signal })
  return {
    running: () => [...running.values()],
    left: orphans.left,
    stop: async () => {
      await Promise.all([controller.stop(), orphans.stop(), heartbeat.stop()])
    },
  }
}

function vmiKeys(pod: Pod): string[] {
  return [`${pod.metadata.namespace}/${instanceNameOf(pod)}`]
}

/** The name of the instance that a pod was created for. */
function instanceNameOf(pod: Pod): string {
  return pod.metadata.labels?.['vm.kubevirt.io/name'] ?? ''
}
