import { rm } from 'node:fs/promises'
import { Node } from '#apis/core/node.ts'
import { explain, Fault } from '#base/fault.ts'
import { writeFileAtomic } from '#base/file.ts'
import { collectWhenIdle } from '#base/idle-collector.ts'
import type { ImageThresholds } from '#core/disk/image-stock.ts'
import type { AcceleratorChoice } from '#drivers/host/kvm.ts'
import { defaultPodNetwork } from '#drivers/host/pod-network.ts'
import type { Client } from '#machinery/client/client.ts'
import type { Store } from '#machinery/store/store.ts'
import { lookMs, StoreAlarm } from '#server/store-alarm.ts'
import { asSentence, createDataDir, type DataDir, dataDirAt } from './data-dir.ts'
import { type CniLimits, startHost } from './host.ts'
import { claimDataDir } from './identity.ts'
import type { DownloadOptions } from './image-options.ts'
import { type PodNetworkOptions, settlePodNetwork } from './pod-network.ts'
import { every, type ServeOptions, serve } from './serve.ts'
import { nameOfEtcd } from './server-store.ts'

export type UpOptions = Omit<ServeOptions, 'dir' | 'admit'> &
  Readonly<{
    dataDir: string
    /** Name of this node; by default the data directory's, else the host's. */
    node: string | undefined
    cni: CniLimits
    podNetwork: PodNetworkOptions
    /** Folders of the host whose files guests may have as disks. */
    hostDiskFolders: readonly string[]
    accelerator: AcceleratorChoice
    simulate: boolean
    /** Where disk images are downloaded from. */
    downloads: DownloadOptions
    /** When images that nothing uses are removed. */
    imageThresholds: ImageThresholds
    /** Most pods of this node; by default the number of addresses. */
    maxPods?: number
    signal: AbortSignal
  }>

/**
 * Runs API server, controllers and node agent in this process until the signal aborts. Guests are not its children and
 * continue without it. `ready` is called with a line for each other door, and with the last one when everything is served.
 */
export async function up(options: UpOptions, ready: (line: string) => void): Promise<void> {
  if (!options.simulate && process.getuid?.() !== 0)
    throw new Fault(
      'Invalid',
      'patchbay up makes network namespaces and runs guests, which only root may: run it as root, or with --simulate to try the API without guests',
    )
  const dir = await createDataDir(dataDirAt(options.dataDir), options.log)
  await asSentence(dir.root, () => runOn(dir, options, ready))
}

async function runOn(dir: DataDir, options: UpOptions, ready: (line: string) => void): Promise<void> {
  const { log } = options
  const claim = await claimDataDir(dir, options.node, options.etcd && nameOfEtcd(options.etcd))
  await using stack = new AsyncDisposableStack()
  stack.defer(collectWhenIdle())
  let nodeName = ''
  const admit = async (store: Store) => {
    nodeName = await claim.admit(store)
  }
  const serving = stack.use(await serve({ ...options, dir, admit }))
  const { cluster } = serving.api
  const podNetwork = options.simulate ? defaultPodNetwork : await settlePodNetwork(dir, options.podNetwork, log)
  await claim.keep(nodeName, cluster)
  await writeFileAtomic(dir.pid, `${process.pid}\n`, 0o644)
  stack.defer(() => rm(dir.pid, { force: true }))
  const stop = new AbortController()
  stack.defer(() => stop.abort())
  const agent = await startHost({
    client: serving.api.agentClient(nodeName),
    dir,
    nodeName,
    cluster,
    cni: options.cni,
    podNetwork,
    hostDiskFolders: options.hostDiskFolders,
    accelerator: options.accelerator,
    downloads: options.downloads,
    imageThresholds: options.imageThresholds,
    simulate: options.simulate,
    ...(options.maxPods !== undefined && { maxPods: options.maxPods }),
    metrics: serving.metrics,
    log,
    signal: stop.signal,
  })
  stack.defer(() => agent.stop())
  serving.streams.set(nodeName, agent.streams)
  serving.uploads.set(nodeName, agent.upload)
  serving.traffic.set(nodeName, agent.traffic)
  // An agent may not change the spec of its node; only the server may, as in Kubernetes.
  if (!options.simulate) await writePodCidr(serving.api.clients.own, nodeName, podNetwork.subnet)
  stack.defer(() => stop.abort())
  const problem = () => serving.store.problem
  const alarm = new StoreAlarm({
    ...{ client: serving.api.clients.own, node: nodeName, problem, log },
    ...(options.etcd && { reason: 'StoreUnavailable' }),
  })
  const onError = (error: unknown) => log.error({ cause: explain(error) }, 'Cannot look at the store')
  stack.defer(every(lookMs, () => alarm.look(Date.now()), onError))
  for (const line of serving.doors) ready(line)
  ready(`Patchbay is ready: ${serving.url}, try: kubectl --kubeconfig ${dir.kubeconfig} get vms -A`)
  await aborted(options.signal)
  log.info({}, 'Stopping; guests go on')
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

async function writePodCidr(client: Client, name: string, podCIDR: string): Promise<void> {
  await client.modify(Node, { name }, (node) => ({ ...node, spec: { ...node.spec, podCIDR, podCIDRs: [podCIDR] } }))
}
