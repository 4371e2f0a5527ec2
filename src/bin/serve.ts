import { networkInterfaces } from 'node:os'
import { explain, Fault } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { version } from '#base/version.ts'
import type { Limits } from '#machinery/http/limits.ts'
import { openListener, ownName } from '#machinery/http/listener.ts'
import type { KeyPair } from '#machinery/rest/certificates.ts'
import { kubernetesDoor } from '#machinery/rest/door.ts'
import { openSqliteStore, type SqliteStore } from '#machinery/store/sqlite.ts'
import type { Store } from '#machinery/store/store.ts'
import { writeBackup } from './backup.ts'
import { openControl } from './control.ts'
import { type ControlPlane, type PlaneOptions, startControlPlane } from './control-plane.ts'
import { type DataDir, writeKubeconfig } from './data-dir.ts'
import { type AuditLimits, makeGuard } from './guard.ts'
import { identityOf, openKeys, renewedKeys, type TlsFiles } from './keys.ts'
import { Metrics } from './metrics.ts'
import { alarmKey } from './store-alarm.ts'

export type ServeOptions = PlaneOptions &
  Readonly<{
    dir: DataDir
    /** `HOST:PORT`, `[HOST]:PORT` or `:PORT`; port 0 takes any that is free. */
    listen: string
    limits: Limits
    /** How long changes are kept for watches that come back, milliseconds. */
    historyMs: number
    /** Above that many bytes of store, what makes it grow is refused. */
    storeQuotaBytes: number
    /** Tokens beside those of ServiceAccounts, as kube-apiserver's --token-auth-file. */
    tokenAuthFile?: string
    /** The operator's own server certificate. */
    tlsFiles?: TlsFiles
    audit: AuditLimits
    /** Longest life of a ServiceAccount's token, seconds. */
    maxTokenSeconds: number
    /** Looks at the store before anything is written to it; throws to refuse it. */
    admit?: (store: Store) => Promise<void>
    log: Log
  }>

/** The API server of a data directory, its store and its controllers; disposing it closes them in order. */
export type Serving = AsyncDisposable &
  Readonly<{
    store: SqliteStore
    plane: ControlPlane
    metrics: Metrics
    port: number
    url: string
    authority: KeyPair
    admin: KeyPair
  }>

/** Serves the API of a data directory and leaves the administrator's kubeconfig there. @throws Fault Invalid, Unavailable */
export async function serve(options: ServeOptions): Promise<Serving> {
  const { dir, log, limits } = options
  const listen = parseListen(options.listen)
  await using stack = new AsyncDisposableStack()
  const store = await openSqliteStore({
    path: dir.store,
    historyMs: options.historyMs,
    quotaBytes: options.storeQuotaBytes,
    alarmKey,
    log,
  })
  stack.defer(() => store.close())
  await options.admit?.(store)
  const closeControl = await openControl(dir.control, async ({ backup }) => {
    await writeBackup(dir, backup, (to) => store.copyTo(to))
  })
  stack.defer(closeControl)
  const stop = new AbortController()
  stack.defer(() => stop.abort())
  const plane = await startControlPlane(store, log, stop.signal, options)
  const metrics = new Metrics()
  metrics.followObjects(plane)
  stack.defer(() => plane.settled())
  stack.defer(() => stop.abort())
  const keyOptions = {
    dir,
    names: [listen.host, ...ownAddresses()],
    ...(options.tlsFiles && { files: options.tlsFiles }),
    log,
  }
  let keys = await openKeys(keyOptions)
  const { guard, close: closeGuard } = await makeGuard({ ...options, plane })
  stack.defer(closeGuard)
  const door = kubernetesDoor({
    registry: plane.registry,
    guard,
    version: versionInfo(),
    metrics: () => metrics.page(),
    documents: { '/apis/subresources.kubevirt.io/v1/version': versionInfo() },
    unready: () => (store.problem === undefined ? [] : [store.problem]),
    requestTimeoutMs: limits.requestTimeoutMs,
    log,
  })
  const { authority } = keys
  const listener = await openListener({ listen, tls: identityOf(keys), limits, log }, [door])
  stack.defer(() => listener.close())
  stack.defer(() => door.stop())
  const url = `https://${listen.host.includes(':') ? `[${listen.host}]` : listen.host}:${listener.port}`
  const address = { url, ...(options.tlsFiles && { serverName: ownName }) }
  await writeKubeconfig(dir, address, authority, keys.admin)
  const renew = async () => {
    const next = await renewedKeys(keys, keyOptions)
    if (next === keys) return
    keys = next
    log.info({}, 'Using renewed certificates')
    listener.renew(identityOf(keys))
    await writeKubeconfig(dir, address, keys.authority, keys.admin)
  }
  stack.defer(every(renewMs, renew, (error) => log.error({ cause: explain(error) }, 'Cannot renew certificates')))
  const open = stack.move()
  return {
    store,
    plane,
    metrics,
    port: listener.port,
    url,
    authority,
    admin: keys.admin,
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

/** How often certificates are looked at, milliseconds. */
const renewMs = 60_000

/** Does `work` again and again. Returns what stops it. */
export function every(ms: number, work: () => Promise<void>, onError: (error: unknown) => void): () => void {
  const timer = setInterval(() => work().catch(onError), ms)
  timer.unref()
  return () => clearInterval(timer)
}

/** @throws Fault Invalid */
function parseListen(text: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (!match || port > 65_535)
    throw new Fault('Invalid', `--listen ${text} is no address; write HOST:PORT, for example 127.0.0.1:6443`)
  return { host: match[1] ?? (match[2] || '127.0.0.1'), port }
}

function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((addresses) =>
    (addresses ?? []).filter((one) => !one.address.includes('%')).map((one) => one.address),
  )
}

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
