import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type AgentOptions, startAgent } from '#agent/agent.ts'
import { type Log, type LogFields, silent } from '#base/log.ts'
import { createDataDir, type DataDir, dataDirAt } from '#bin/data-dir.ts'
import { serve } from '#bin/serve.ts'
import { defaultNamespaceLimits, type NamespaceLimits } from '#core/quota/limits.ts'
import { defaultUsers } from '#core/sandbox/users.ts'
import { nodeInfo } from '#drivers/host/node-info.ts'
import { SimImageStock } from '#drivers/sim/image-stock.ts'
import { simImages } from '#drivers/sim/images.ts'
import { SimSandboxes, simProber } from '#drivers/sim/sandboxes.ts'
import { SimVolumes } from '#drivers/sim/volumes.ts'
import { defaultLimits, type Limits } from '#machinery/http/limits.ts'
import { issue, type KeyPair } from '#machinery/rest/certificates.ts'
import type { Store } from '#machinery/store/store.ts'
import { Api } from './api.ts'

const nodeNamed = async (name: string, allocatable: Readonly<Record<string, string>> = {}) => ({
  name,
  labels: { 'kubernetes.io/hostname': name, 'kubevirt.io/schedulable': 'true' },
  info: await nodeInfo('test', 'simulated://'),
  addresses: [],
  capacity: { cpu: '2', ...allocatable },
  allocatable: { cpu: '2', ...allocatable },
})

/** How an agent runs: over which host in memory, and how often it does what it does again and again. */
export type AgentTimes = Pick<AgentOptions, 'leaseTimes' | 'resyncMs' | 'imageThresholds' | 'imageGarbageMs'> &
  Readonly<{ allocatable?: Readonly<Record<string, string>> }>

/** A data directory and a host in memory, which outlive the processes that use them. */
export type Ground = Readonly<{
  dir: DataDir
  sandboxes: SimSandboxes
  volumes: SimVolumes
  remove(): Promise<void>
}>

/** Everything that `patchbay up` runs, in this process. */
export type Cluster = Readonly<{
  store: Store
  sandboxes: SimSandboxes
  /** The disks of the claims of its first node. */
  volumes: SimVolumes
  dir: DataDir
  port: number
  /** The port of oVirt's API; 0 unless `ovirt` is set. */
  ovirtPort: number
  /** The port of vdsm's API; 0 unless `vdsm` is set. */
  vdsmPort: number
  authority: KeyPair
  api: Api
  /** A client with another certificate of the same authority. */
  as(name: string, groups: readonly string[]): Promise<Api>
  /** What a client of one's own making needs to be the administrator. */
  keys: Readonly<{ ca: string; cert: string; key: string }>
  /** A client without a certificate. */
  anonymous: Api
  /** What was logged as an error: bugs of ours. */
  errors: readonly string[]
  /** UID of its namespace kube-system. */
  cluster: string
  /** Starts the agent of another node, over a host of its own unless given. */
  startNode(
    name: string,
    options?: AgentTimes &
      Pick<AgentOptions, 'functions'> & { sandboxes?: SimSandboxes; volumes?: SimVolumes; imageStock?: SimImageStock },
  ): Promise<{ stop(): Promise<void> }>
  stop(): Promise<void>
}>

export async function makeGround(): Promise<Ground> {
  const root = await mkdtemp(join(tmpdir(), 'patchbay-test-'))
  const dir = await createDataDir(dataDirAt(root), silent)
  return {
    dir,
    sandboxes: new SimSandboxes(),
    volumes: new SimVolumes(),
    remove: () => rm(root, { recursive: true, force: true }),
  }
}

/** Starts API server and controllers over a ground, and an agent over its host unless there is to be none. */
export async function startOn(
  { dir, sandboxes, volumes: disks }: Ground,
  options: AgentTimes & {
    agent?: boolean
    node?: string
    tokenAuthFile?: string
    /** Where the built page is; none unless given. */
    pageFolder?: string
    limits?: Partial<Limits>
    historyMs?: number
    storeQuotaBytes?: number
    namespaceLimits?: Partial<NamespaceLimits>
    anyNamespaceNetworks?: boolean
    ovirt?: boolean
    /** Where vdsm's API is served; true for any port. */
    vdsm?: boolean | string
  } = {},
): Promise<Cluster> {
  await using stack = new AsyncDisposableStack()
  const errors: string[] = []
  const log = errorsTo(errors)
  const serving = stack.use(
    await serve({
      dir,
      listen: '127.0.0.1:0',
      limits: { ...defaultLimits, ...options.limits },
      historyMs: options.historyMs ?? 300_000,
      storeQuotaBytes: options.storeQuotaBytes ?? 2 ** 31,
      guestUsers: defaultUsers,
      namespaceLimits: { ...defaultNamespaceLimits, ...options.namespaceLimits },
      anyNamespaceNetworks: options.anyNamespaceNetworks ?? false,
      maxTokenSeconds: 86_400,
      audit: { maxBytes: 10 * 1024 * 1024, files: 5 },
      ...(options.ovirt && { ovirt: { listen: '127.0.0.1:0', isDefault: false } }),
      ...(options.vdsm && { vdsmListen: options.vdsm === true ? '127.0.0.1:0' : options.vdsm }),
      pageFolder: options.pageFolder ?? join(dir.root, 'no-page'),
      ...(options.tokenAuthFile !== undefined && { tokenAuthFile: options.tokenAuthFile }),
      log,
    }),
  )
  const { store, port, authority, api } = serving
  const agents: (() => Promise<void>)[] = []
  stack.defer(async () => {
    for (const end of agents) await end()
  })
  const startNode = nodeStarter(serving, agents, log)
  const { leaseTimes, resyncMs } = options
  const times = { ...(leaseTimes && { leaseTimes }), ...(resyncMs !== undefined && { resyncMs }) }
  if (options.agent !== false) await startNode(options.node ?? 'node1', { sandboxes, volumes: disks, ...times })
  const clients: Api[] = []
  const apiWith = (pair: KeyPair | undefined) => {
    const api = new Api(port, authority.cert, pair)
    clients.push(api)
    return api
  }
  stack.defer(() => {
    for (const client of clients) client.close()
  })
  const running = stack.move()
  return {
    cluster: api.cluster,
    startNode,
    store,
    sandboxes,
    volumes: disks,
    dir,
    port,
    ovirtPort: serving.ovirtPort ?? 0,
    vdsmPort: serving.vdsmPort ?? 0,
    authority,
    api: apiWith(serving.admin),
    as: async (name, groups) => apiWith(await issue(authority, { use: 'client', name, groups })),
    keys: { ca: authority.cert, ...serving.admin },
    anonymous: apiWith(undefined),
    errors,
    stop: () => running.disposeAsync(),
  }
}

/** What starts the agents of nodes; `agents` gets what ends each of them. */
function nodeStarter(
  serving: Awaited<ReturnType<typeof serve>>,
  agents: (() => Promise<void>)[],
  log: Log,
): Cluster['startNode'] {
  return async (name, how = {}) => {
    const {
      sandboxes: host = new SimSandboxes(),
      volumes = new SimVolumes(),
      imageStock = new SimImageStock(),
      allocatable,
      ...times
    } = how
    const stop = new AbortController()
    const agent = await startAgent({
      client: serving.api.agentClient(name),
      node: await nodeNamed(name, allocatable),
      cluster: serving.api.cluster,
      host: host.host,
      images: { has: async (image: string) => image !== 'missing' },
      diskImages: simImages,
      imageStock,
      volumes,
      prober: simProber,
      onImage: () => undefined,
      ...times,
      log,
      signal: stop.signal,
    })
    serving.streams.set(name, host.streams)
    serving.uploads.set(name, agent.upload)
    serving.traffic.set(name, agent.traffic)
    const end = async () => {
      serving.streams.delete(name)
      serving.uploads.delete(name)
      serving.traffic.delete(name)
      stop.abort()
      await agent.stop()
    }
    agents.push(end)
    return { stop: end }
  }
}

/** A log that keeps errors and drops the rest. */
function errorsTo(lines: string[]): Log {
  const drop = () => undefined
  const error = (fields: LogFields, message: string) => lines.push(`${message} ${JSON.stringify(fields)}`)
  const log: Log = { debug: drop, info: drop, warn: drop, error, child: () => log }
  return log
}

/** A cluster on ground of its own; `stop` removes that too. */
export async function startCluster(options: Parameters<typeof startOn>[1] = {}): Promise<Cluster> {
  const ground = await makeGround()
  try {
    const cluster = await startOn(ground, options)
    const stop = async () => {
      try {
        await cluster.stop()
      } finally {
        await ground.remove()
      }
    }
    return { ...cluster, stop }
  } catch (error) {
    await ground.remove()
    throw error
  }
}
