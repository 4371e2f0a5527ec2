import { networkInterfaces } from 'node:os'
import { explain } from '#base/fault.ts'
import { version } from '#base/version.ts'
import type { TokenSource } from '#core/access/token-secret.ts'
import type { TakeUpload } from '#core/disk/upload.ts'
import type { GuestStreams, TrafficCounters } from '#core/ports.ts'
import type { Limits } from '#machinery/http/limits.ts'
import { openListener, ownName } from '#machinery/http/listener.ts'
import type { ServiceAccountTokens } from '#machinery/rest/access/tokens.ts'
import type { KeyPair } from '#machinery/rest/certificates.ts'
import { kubernetesDoor } from '#machinery/rest/door.ts'
import type { Store } from '#machinery/store/store.ts'
import { Queues } from '#ovirt/engine/queues.ts'
import { accountTokens, pageTokens } from '#server/account-tokens.ts'
import { type Api, type ApiOptions, startApi } from '#server/api.ts'
import { type ControllersOptions, startControllers } from '#server/controllers.ts'
import { Metrics } from '#server/metrics.ts'
import type { PageTokens } from '#server/page/tokens.ts'
import { identityOf, type Keys, openKeys, renewedKeys, type TlsFiles, tokenKeyOf } from '#server/pki.ts'
import { UploadTokens } from '#server/upload-tokens.ts'
import { uploadDoor } from '#server/uploads.ts'
import { writeBackup } from './backup.ts'
import { openControl } from './control.ts'
import { type DataDir, writeKubeconfig } from './data-dir.ts'
import { type AuditLimits, makeGuard } from './guard.ts'
import { addressOf, urlOf } from './listen-address.ts'
import { type OvirtListen, openOvirtDoor } from './ovirt-door.ts'
import { openPageDoor } from './page-door.ts'
import { type EtcdSettings, openServerStore, type ServerStore } from './server-store.ts'
import { openVdsmDoor } from './vdsm-door.ts'

export type ServeOptions = ApiOptions &
  ControllersOptions &
  Readonly<{
    dir: DataDir
    /** `HOST:PORT`, `[HOST]:PORT` or `:PORT`; port 0 takes any free one. */
    listen: string
    limits: Limits
    /** How long changes are kept for watches that resume, milliseconds. */
    historyMs: number
    /** Above this size in bytes, writes that make the store grow are refused. */
    storeQuotaBytes: number
    /** Where the store is, instead of in the data directory. */
    etcd?: EtcdSettings
    /** Where oVirt's API is served, if it is. */
    ovirt?: OvirtListen
    /** Where vdsm's API is served, if it is. */
    vdsmListen?: string
    /** Tokens beside those of ServiceAccounts, as kube-apiserver's --token-auth-file. */
    tokenAuthFile?: string
    /** The operator's own server certificate. */
    tlsFiles?: TlsFiles
    audit: AuditLimits
    /** Where the built page is, unless beside the source. */
    pageFolder?: string
    /** Longest life of a ServiceAccount's token, seconds. */
    maxTokenSeconds: number
    /** Checks the store before the first write; throws to refuse it. */
    admit?: (store: Store) => Promise<void>
  }>

/** Where clients find the API, and their credentials. */
type Listening = Readonly<{
  port: number
  url: string
  authority: KeyPair
  admin: KeyPair
  /** What is said about the other doors before the server is ready, a line each. */
  doors: readonly string[]
  /** The port of oVirt's API, if it is served. */
  ovirtPort?: number
  /** The port of vdsm's API, if it is served. */
  vdsmPort?: number
}>

/** The API server of a data directory, its store and its controllers; disposing it closes them in order. */
export type Serving = AsyncDisposable &
  Listening &
  Readonly<{
    store: ServerStore
    api: Api
    metrics: Metrics
    /** The streams into the guests of each node: who starts a node's agent adds them. */
    streams: Map<string, GuestStreams>
    /** What takes the uploads of each node, likewise. */
    uploads: Map<string, TakeUpload>
    /** The counters of the guests of each node, likewise. */
    traffic: Map<string, TrafficCounters>
  }>

/** Serves the API of a data directory and leaves the administrator's kubeconfig there. @throws Fault Invalid, Unavailable */
export async function serve(options: ServeOptions): Promise<Serving> {
  const listen = addressOf('--listen', options.listen)
  await using stack = new AsyncDisposableStack()
  const store = await openStore(options, stack)
  const stop = new AbortController()
  stack.defer(() => stop.abort())
  const api = await startApi(store, options, stop.signal)
  const keyring = await openKeyring(options, listen.host)
  const tokenKey = await tokenKeyOf(options.dir)
  const tokens = accountTokens(api.clients.own, tokenKey)
  const source: TokenSource = {
    authority: () => keyring.keys.authority.cert,
    issueFor: (account, secret) => tokens.issueFor(account.metadata, secret.metadata),
  }
  const controllers = await startControllers(api.clients, { ...api, tokens: source }, options, stop.signal)
  stack.defer(() => controllers.stop())
  stack.defer(() => stop.abort())
  const metrics = new Metrics()
  metrics.followObjects({ vms: () => api.objects.vms.list(), vmis: () => api.objects.vmis.list() })
  const streams: Serving['streams'] = new Map()
  const uploads: Serving['uploads'] = new Map()
  const traffic: Serving['traffic'] = new Map()
  const reach = { streamsOf: (node: string) => streams.get(node), trafficOf: (node: string) => traffic.get(node) }
  const takerOf = (node: string) => uploads.get(node)
  const uploading = { ...api.objects, tokens: new UploadTokens(), takerOf, log: options.log }
  const issuers = { tokens, pageTokens: pageTokens(api.clients.own, tokenKey) }
  const doors = { ...options, ...issuers, listen, store, api, metrics, keyring, ...reach, uploading }
  const listening = await openDoors(doors, stack)
  const open = stack.move()
  return {
    store,
    api,
    metrics,
    streams,
    uploads,
    traffic,
    ...listening,
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

/** Opens the store, and the socket for requests to copy it. */
async function openStore(options: ServeOptions, stack: AsyncDisposableStack): Promise<ServerStore> {
  const { dir } = options
  const store = await openServerStore(options, stack)
  await options.admit?.(store)
  const closeControl = await openControl(dir.control, async ({ backup }) => {
    await writeBackup(dir, backup, (to) => store.copyTo(to))
  })
  stack.defer(closeControl)
  return store
}

type Doors = Omit<ServeOptions, 'listen'> &
  Readonly<{
    listen: { host: string; port: number }
    store: ServerStore
    api: Api
    metrics: Metrics
    streamsOf: (node: string) => GuestStreams | undefined
    trafficOf: (node: string) => TrafficCounters | undefined
    uploading: Parameters<typeof uploadDoor>[0]
    tokens: ServiceAccountTokens
    pageTokens: PageTokens
    keyring: Keyring
  }>

/** Opens the API to clients. */
async function openDoors(options: Doors, stack: AsyncDisposableStack): Promise<Listening> {
  const { listen, store, api, metrics, keyring, dir, limits, tlsFiles, log } = options
  const { guard, close: closeGuard } = await makeGuard(options)
  stack.defer(closeGuard)
  const door = kubernetesDoor({
    registry: api.registry,
    guard,
    version: versionInfo(),
    metrics: () => metrics.page(),
    documents: { '/apis/subresources.kubevirt.io/v1/version': { ...versionInfo(), ...kubevirtVersion } },
    unready: () => (store.problem === undefined ? [] : [store.problem]),
    requestTimeoutMs: limits.requestTimeoutMs,
    log,
  })
  const { authority, admin } = keyring.keys
  const listener = await openListener({ listen, tls: identityOf(keyring.keys), limits, log }, [
    uploadDoor(options.uploading),
    openPageDoor({ folder: options.pageFolder, door, guard, tokens: options.pageTokens, own: api.clients.own, log }),
    door,
  ])
  stack.defer(() => listener.close())
  stack.defer(() => door.stop())
  const url = urlOf(listen.host, listener.port)
  const address = { url, ...(tlsFiles && { serverName: ownName }) }
  await writeKubeconfig(dir, address, authority, admin)
  const shared = { ...options, guard, identity: () => identityOf(keyring.keys), queues: new Queues() }
  const ovirt = await openOvirtDoor(shared, stack)
  const vdsm = await openVdsmDoor(shared, stack)
  const renew = async () => {
    if (!(await keyring.renew())) return
    const { keys } = keyring
    log.info({}, 'Using renewed certificates')
    listener.renew(identityOf(keys))
    for (const one of [ovirt, vdsm]) one?.renew(identityOf(keys))
    await writeKubeconfig(dir, address, keys.authority, keys.admin)
  }
  stack.defer(every(renewMs, renew, (error) => log.error({ cause: explain(error) }, 'Cannot renew certificates')))
  return {
    ...{ port: listener.port, url, authority, admin },
    doors: [ovirt, vdsm].flatMap((one) => (one ? [one.line] : [])),
    ...(ovirt?.port && { ovirtPort: ovirt.port }),
    ...(vdsm && { vdsmPort: vdsm.port }),
  }
}

/** The keys in use. */
type Keyring = Readonly<{
  keys: Keys
  /** Replaces those that are due. Resolves to whether any was. */
  renew(): Promise<boolean>
}>

async function openKeyring({ dir, tlsFiles, log }: ServeOptions, host: string): Promise<Keyring> {
  const options = { dir, names: [host, ...ownAddresses()], ...(tlsFiles && { files: tlsFiles }), log }
  let keys = await openKeys(options)
  return {
    get keys() {
      return keys
    },
    renew: async () => {
      const before = keys
      keys = await renewedKeys(before, options)
      return keys !== before
    },
  }
}

/** Interval of the check of certificates, milliseconds. */
const renewMs = 60_000

/** Runs `work` periodically. Returns a function that stops it. */
export function every(ms: number, work: () => Promise<void>, onError: (error: unknown) => void): () => void {
  const timer = setInterval(() => work().catch(onError), ms)
  timer.unref()
  return () => clearInterval(timer)
}

function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((addresses) =>
    (addresses ?? []).filter((one) => !one.address.includes('%')).map((one) => one.address),
  )
}

/** The KubeVirt whose API is served: virtctl compares it with its own version, and notes a difference with each error. */
const kubevirtVersion = { major: '1', minor: '6', gitVersion: 'v1.6.0' }

function versionInfo() {
  // kubectl compares the major and minor number with its own and warns when they are far apart.
  return {
    major: '1',
    minor: '32',
    gitVersion: `v1.32.0+patchbay-${version}`,
    gitCommit: '',
    gitTreeState: 'clean',
    buildDate: '',
    goVersion: '',
    compiler: 'node',
    platform: `linux/${process.arch}`,
  }
}
